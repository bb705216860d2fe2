"""Retrieval of captions by pictures and of pictures by captions; many captions a picture."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch
from torch import Tensor

from ..pairset import Pairset
from .evaluate import chosen, held_out_split

DEPTHS = (1, 5, 10)
_CHUNK = 512


@dataclass(frozen=True)
class CaptionedSamples:
    """Samples with an image and captions.

    Attributes:
        ids: int64 [n] sample ids, ascending.
        groups: int64 [n] near-duplicate groups.
        captions: all captions of the samples, in their order.
        owner: int64 [m], the place in `ids` that each caption is of.
        split: where they come from: a validation split, or "" for all samples.
    """

    ids: np.ndarray
    groups: np.ndarray
    captions: list[str]
    owner: np.ndarray
    split: str


def captioned_samples(pairset: Pairset, limit: int, seed: int) -> CaptionedSamples | None:
    """Choose samples with images and captions: of a validation split where there is one.

    Args:
        pairset: whose samples.
        limit: at most so many.
        seed: of the choice; a sample's draw depends on (seed, sample_id).

    Returns:
        None where there are fewer than two.
    """
    usable, splits, groups = [], [], []
    for table in pairset.tables("samples", ["caption", "split", "group_id", "shard"]):
        trimmed = pc.call_function("utf8_trim_whitespace", [table["caption"].fill_null("")])
        empty = [pc.call_function("equal", [c, pa.scalar("")]) for c in (trimmed, table["shard"])]
        usable.append(~np.logical_or(*(column.to_numpy() for column in empty)))
        splits.append(table["split"].to_numpy())
        groups.append(table["group_id"].to_numpy())
    split = np.concatenate(splits)
    held_out = held_out_split(set(np.unique(split).tolist()))
    which = np.concatenate(usable) & ((split == held_out) | (held_out == ""))
    ids = chosen(np.flatnonzero(which), limit, seed)
    if len(ids) < 2:
        return None
    own = _captions(pairset, ids)
    return CaptionedSamples(
        ids,
        np.concatenate(groups)[ids],
        [text for texts in own for text in texts],
        np.repeat(np.arange(len(ids)), [len(texts) for texts in own]),
        held_out,
    )


def _captions(pairset: Pairset, ids: np.ndarray) -> list[list[str]]:
    """Return the captions of some samples, empty ones left out."""
    found, first = [], 0
    for table in pairset.tables("samples", ["captions"]):
        rows = ids[(ids >= first) & (ids < first + len(table))] - first
        first += len(table)
        listed = table["captions"].take(pa.array(rows)).to_pylist()
        found += [[text for text in texts if text.strip()] for texts in listed]
    return found


def recalls(
    samples: CaptionedSamples, pictures: tuple[Tensor, np.ndarray], texts: Tensor
) -> dict[str, float]:
    """Return the share of queries with a hit among the first 1, 5 and 10 candidates.

    A picture hits with any of its own captions, a caption with its own picture. Other members of
    the own near-duplicate group are no candidates. An equal score of a wrong candidate counts
    against the query, so features that are all alike score 0.

    Args:
        samples: whose captions.
        pictures: features [p, d], unit rows, and the sample ids of those that could be read.
        texts: float32 [m, d], unit rows, of all captions.

    Returns:
        "i2t_r1", "i2t_r5", "i2t_r10", "t2i_r1", ...; queries are the pictures that could be read,
        and their captions.
    """
    place = torch.from_numpy(np.searchsorted(samples.ids, pictures[1]))
    groups, owner = torch.from_numpy(samples.groups), torch.from_numpy(samples.owner)
    read = torch.isin(owner, place)
    texts, owner = texts[read], owner[read]
    forth = _ranks(pictures[0], texts, place, owner, groups)
    back = _ranks(texts, pictures[0], owner, place, groups)
    return {
        f"{name}_r{depth}": float((ranks < depth).double().mean()) if len(ranks) else 0.0
        for name, ranks in (("i2t", forth), ("t2i", back))
        for depth in DEPTHS
    }


def _ranks(
    queries: Tensor, candidates: Tensor, of_query: Tensor, of_candidate: Tensor, groups: Tensor
) -> Tensor:
    """Return int64 [q]: how many wrong candidates score at least as high as the best right one."""
    found = []
    for start in range(0, len(queries), _CHUNK):
        asked = of_query[start : start + _CHUNK]
        scores = queries[start : start + _CHUNK] @ candidates.T
        right = asked[:, None] == of_candidate[None, :]
        wrong = groups[asked][:, None] != groups[of_candidate][None, :]
        best = scores.masked_fill(~right, -torch.inf).amax(1, keepdim=True)
        found.append((wrong & (scores >= best)).sum(1))
    return torch.cat(found) if found else torch.zeros(0, dtype=torch.int64)
