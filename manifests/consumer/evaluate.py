"""kNN accuracy of an encoder on a pairset's labels: the quickest sign that training helps."""

from __future__ import annotations

from collections.abc import Callable, Container
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from ..fingerprint import draw_uint64
from ..pairset import Pairset
from ..stream import PairStream
from ..stream.images import FailureBudget

VALIDATION = ("val", "valid", "validation", "dev", "test")
"""Names of splits that are never trained on; the first that is there gives the queries."""
_TEMPERATURE = 0.07
_CHUNK = 256


@dataclass(frozen=True)
class LabelledSamples:
    """The samples that kNN is measured on.

    Attributes:
        bank: int64 ids that vote, ascending.
        queries: int64 ids that are judged, ascending; the bank itself where there is no
            validation split.
        labels: int64 [N] code of every sample's label, -1 without.
        groups: int64 [N] near-duplicate groups; a query never sees its own group.
        split: where the queries come from: a split's name, or "" for the bank itself.
    """

    bank: np.ndarray
    queries: np.ndarray
    labels: np.ndarray
    groups: np.ndarray
    split: str

    @property
    def chance(self) -> float:
        """Accuracy of always naming the most frequent label of the queries."""
        return float(np.bincount(self.labels[self.queries]).max() / len(self.queries))


def labelled_samples(pairset: Pairset, limit: int, seed: int) -> LabelledSamples | None:
    """Choose labelled samples with images; None where fewer than two labels are left.

    Args:
        pairset: whose samples.
        limit: at most so many queries, and four times as many in the bank.
        seed: of the choice; a sample's draw depends on (seed, sample_id).
    """
    codes: dict[str | None, int] = {None: -1}
    names: dict[str, int] = {}
    labels, splits, groups, there = [], [], [], []
    for table in pairset.tables("samples", ["label", "split", "group_id", "shard"]):
        values = table["label"].to_pylist()
        labels.append(np.array([codes.setdefault(v, len(codes) - 1) for v in values], np.int64))
        splits.append([names.setdefault(v, len(names)) for v in table["split"].to_pylist()])
        groups.append(table["group_id"].to_numpy())
        there.append([shard != "" for shard in table["shard"].to_pylist()])
    label, split = np.concatenate(labels), np.concatenate(splits)
    usable = (label >= 0) & np.concatenate(there)
    held_out = held_out_split(names)
    judged = usable & (split == names[held_out]) if held_out else usable
    voting = usable & ~np.isin(split, [names[name] for name in VALIDATION if name in names])
    queries = chosen(np.flatnonzero(judged), limit, seed)
    bank = chosen(np.flatnonzero(voting), 4 * limit, seed) if held_out else queries
    if len(queries) == 0 or len(np.unique(label[bank])) < 2:
        return None
    return LabelledSamples(bank, queries, label, np.concatenate(groups), held_out)


def held_out_split(names: Container[str]) -> str:
    """Return the validation split among the names of splits, "" where there is none."""
    return next((name for name in VALIDATION if name in names), "")


def chosen(ids: np.ndarray, limit: int, seed: int) -> np.ndarray:
    """Choose at most `limit` of some sample ids by seed, ascending."""
    draws = draw_uint64(seed, ids, "evaluate")[:, 0]
    return np.sort(ids[np.argsort(draws, kind="stable")[:limit]])


class _Chunks(Dataset[tuple[Tensor, Tensor]]):
    """Images of some samples, a chunk an item: (float32 [n, 3, H, W], int64 ids [n])."""

    def __init__(self, stream: PairStream, ids: np.ndarray) -> None:
        self.stream, self.ids = stream, ids

    def __len__(self) -> int:
        return -(-len(self.ids) // _CHUNK)

    def __getitem__(self, number: int) -> tuple[Tensor, Tensor]:
        ids = self.ids[number * _CHUNK : (number + 1) * _CHUNK]
        budget = FailureBudget(self.stream.max_bad_fraction)
        images = self.stream.images.load(ids, 0, budget)
        kept = [image for image in images if image is not None]
        good = ids[[image is not None for image in images]]
        stacked = torch.stack(kept) if kept else torch.zeros(0, 3, 1, 1)
        return stacked, torch.from_numpy(good)


def embed(
    encode: Callable[[Tensor], Tensor], stream: PairStream, ids: np.ndarray, workers: int = 0
) -> tuple[Tensor, np.ndarray]:
    """Encode samples; those whose image cannot be read are left out.

    Args:
        encode: from float32 [n, 3, H, W] as the stream makes them to unit rows [n, d].
        stream: reads the images.
        ids: int64 [n] sample ids.
        workers: processes that decode.

    Returns:
        float32 [m, d] on the CPU, and the int64 [m] ids that they belong to.
    """
    features, kept = [], []
    for images, good in DataLoader(_Chunks(stream, ids), batch_size=None, num_workers=workers):
        if len(good):
            features.append(encode(images).float().cpu())
            kept.append(good.numpy())
    if not features:
        return torch.zeros(0, 1), np.zeros(0, np.int64)
    return torch.cat(features), np.concatenate(kept)


def knn_accuracy(
    samples: LabelledSamples,
    bank: tuple[Tensor, np.ndarray],
    queries: tuple[Tensor, np.ndarray],
    k: int = 20,
) -> float:
    """Return the share of queries whose label wins the vote of their k nearest in the bank.

    Votes weigh exp(s / 0.07) (Wu et al. 2018); a query's own near-duplicate group has no vote.

    Args:
        samples: labels and groups by sample id.
        bank: features [m, d], unit rows, and their ids.
        queries: the same of the queries.
        k: voters.
    """
    labels, groups = torch.from_numpy(samples.labels), torch.from_numpy(samples.groups)
    bank_ids = torch.from_numpy(bank[1])
    classes, right = int(labels.max()) + 1, 0
    for start in range(0, len(queries[1]), _CHUNK):
        ids = torch.from_numpy(queries[1][start : start + _CHUNK])
        scores = queries[0][start : start + _CHUNK] @ bank[0].T
        own = groups[ids][:, None] == groups[bank_ids][None, :]
        top, place = scores.masked_fill(own, -torch.inf).topk(min(k, len(bank_ids)), dim=1)
        weights = ((top - 1) / _TEMPERATURE).exp()
        votes = torch.zeros(len(ids), classes).scatter_add_(1, labels[bank_ids][place], weights)
        right += int((votes.argmax(1) == labels[ids]).sum())
    return right / max(len(queries[1]), 1)
