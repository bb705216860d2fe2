"""What a stream yields: each image once, and index tensors that say which image is whose what."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..fingerprint import draw_uniform
from ..schema import NO_ID
from .columns import Columns
from .extras import Mixes, allowed, draw_assets, draw_mixes
from .picks import draw_start, pick_negatives, pick_positives
from .planned import PlannedNegatives
from .schedules import accepted_groups
from .together import together


@dataclass(frozen=True)
class MixBatch:
    """Recipes of synthetic negatives of B pairs, M each; their parents are among the images.

    An empty place, or one whose parent's image could not be read, has `a` -1.

    Attributes:
        methods: names of the methods, by code.
        method: int64 [B, M], code of the method.
        type: int64 [B, M], the method's own number.
        a: int64 [B, M], place of the first parent in `images`.
        b: int64 [B, M], place of the second parent, -1 for none or the anchor itself.
        coef: float32 [B, M].
        seed: int64 [B, M].
    """

    methods: tuple[str, ...]
    method: Tensor
    type: Tensor
    a: Tensor
    b: Tensor
    coef: Tensor
    seed: Tensor

    def map(self, change: Callable[[Tensor], Tensor]) -> MixBatch:
        """Return the recipes with every tensor changed."""
        values = {item.name: getattr(self, item.name) for item in fields(self)}
        tensors = {name: change(v) for name, v in values.items() if isinstance(v, Tensor)}
        return replace(self, **tensors)


@dataclass(frozen=True)
class PairBatch:
    """B pairs over U images; ids are tensors, so they can be gathered with the features.

    An index of -1 is an empty place: padding of the pairset, or an image that could not be read.
    Its weight is 0. `false_negative_mask` and the reference loss know this.

    Attributes:
        images: float32 [U, 3, H, W], each image of the batch once; with `pad_to_multiple` the
            last of them may be zeros, which no index names, with sample_id and groups -1.
        anchor: int64 [B], place in `images`; -1 where `valid` is false for want of the anchor.
        positive: int64 [B, P + assets], places in `images`.
        negative: int64 [B, K + h], places in `images`; h is of negatives that a plan drew.
        positive_weight: float32 [B, P + assets]; a drawn asset weighs what the row's other
            positives weigh on average.
        negative_weight: float32 [B, K + h].
        fn_ids: int64 [B, F], sample ids (not places) never to be contrasted with the anchor;
            where some positives of a pair were picked, the others stand behind them.
        sample_id: int64 [U]; of a generated picture -2 - asset_id, of padding -1.
        groups: int64 [U, C], values of the manifest's mask_groups, then of its mask_schedules
            (of the samples that are accepted at this progress); -1 equals nothing.
        weight: float32 [B], 0 where not valid.
        pair_id: int64 [B].
        replaced: bool [B]; the pair stands in for one whose images could not be read.
        valid: bool [B]; false for a pair without its anchor or without any positive, and for the
            repeats that fill the last batch where `drop_last` is false.
        bad_images: images that could not be read.
        captions: first caption of each image, where the stream was asked for captions.
        negative_texts: of each pair, captions that are wrong for its anchor; with captions only.
        soft_ids: int64 [B, S] sample ids of the soft target, -1 padding.
        soft_targets: float32 [B, S], their shares.
        mixes: recipes of synthetic negatives, where the stream was asked for some.
        assets: how many of the last columns of `positive` are generated pictures.
    """

    images: Tensor
    anchor: Tensor
    positive: Tensor
    negative: Tensor
    positive_weight: Tensor
    negative_weight: Tensor
    fn_ids: Tensor
    sample_id: Tensor
    groups: Tensor
    weight: Tensor
    pair_id: Tensor
    replaced: Tensor
    valid: Tensor
    bad_images: int = 0
    captions: list[str] | None = None
    negative_texts: list[list[str]] | None = None
    soft_ids: Tensor | None = None
    soft_targets: Tensor | None = None
    mixes: MixBatch | None = None
    assets: int = 0

    @property
    def group_id(self) -> Tensor:
        """int64 [U]: the first of the mask groups, the near-duplicate group."""
        return self.groups[:, 0]

    def __len__(self) -> int:
        return len(self.pair_id)

    def to(self, device: torch.device | str, non_blocking: bool = False) -> PairBatch:
        """Return the batch on a device."""
        return self._map(lambda tensor: tensor.to(device, non_blocking=non_blocking))

    def pin_memory(self) -> PairBatch:
        """Return the batch in page-locked memory; torch's DataLoader calls this."""
        return self._map(lambda tensor: tensor.pin_memory())

    def _map(self, change: Callable[[Tensor], Tensor]) -> PairBatch:
        values = {item.name: getattr(self, item.name) for item in fields(self)}
        changed: dict[str, Any] = {
            name: change(value) for name, value in values.items() if isinstance(value, Tensor)
        }
        if self.mixes is not None:
            changed["mixes"] = self.mixes.map(change)
        return replace(self, **changed)


@dataclass(frozen=True)
class Settings:
    """What the batches of a stream hold beside the pairs.

    Attributes:
        captions: whether captions are added.
        mixes: recipes of synthetic negatives of a pair, with their parents' images.
        assets: generated positives of a pair, where the pairset has any.
        seed: of the stream.
        positives: positives of a pair that are picked by weight; None for all.
        negatives: negatives of a pair that are picked evenly; None for all.
        pad_to: number of images is filled up to a multiple of this.
        planned: negatives that the plan drew for its pairs; they weigh 1 each.
    """

    captions: bool = False
    mixes: int = 0
    assets: int = 0
    seed: int = 0
    positives: int | None = None
    negatives: int | None = None
    pad_to: int = 1
    planned: PlannedNegatives | None = None


_PLAIN = Settings()


@dataclass(frozen=True)
class Composition:
    """The ids of one batch, before any image is read; all numpy.

    Attributes:
        sample_id: int64 [U], ascending: the images that are needed, each once, as rows of the
            columns of samples: asset a is N + a.
        places: places in `sample_id` by list, int64 [B, length], -1: "anchor", "positive",
            "negative", "asset", and "a", "b" of the recipes.
        weights: of the places of "positive" and "negative", float32 [B, length].
        fn_ids: int64 [B, F] sample ids that are masked at this progress.
        rows: int64 [B], rows of `pairs`.
        valid: bool [B].
        mixes: recipes, or None.
        progress: of the training, 0..1.
    """

    sample_id: np.ndarray
    places: dict[str, np.ndarray]
    weights: dict[str, np.ndarray]
    fn_ids: np.ndarray
    rows: np.ndarray
    valid: np.ndarray
    mixes: Mixes | None = None
    progress: float = 1.0


def compose(
    columns: Columns,
    rows: np.ndarray,
    valid: np.ndarray,
    settings: Settings = _PLAIN,
    epoch: int = 0,
    progress: float = 1.0,
) -> Composition:
    """Find the images that some pairs need.

    Args:
        columns: of the pairset.
        rows: int64 [B], rows of `pairs`.
        valid: bool [B]; nothing is read for a pair that is not valid.
        settings: what else the batch holds.
        epoch: of the batch; draws of recipes depend on it.
        progress: of the training, 0..1: entries that hold only later are left out.
    """
    lists = {"anchor": columns["anchor_id"][rows][:, None]}
    for role in ("positive", "negative", "false_negative"):
        ids = columns[f"{role}_ids"][rows]
        holds = allowed(columns.arrays, role, rows, progress)
        lists[role] = ids if holds is None else np.where(holds, ids, NO_ID)
    fn_ids = lists.pop("false_negative")
    weights = {role: columns[f"{role}_weights"][rows] for role in ("positive", "negative")}
    if settings.positives is not None:
        known, start = lists["positive"], draw_start(settings.seed, rows, epoch)
        picked = pick_positives(known, weights["positive"], settings.positives, start)
        lists["positive"], weights["positive"] = picked
        shown = (known[:, :, None] == picked[0][:, None, :]).any(axis=2)
        fn_ids = np.concatenate([fn_ids, np.where(shown, NO_ID, known)], axis=1)
    if settings.negatives is not None:
        uniform = draw_uniform(settings.seed, rows, f"negative/{epoch}", settings.negatives)
        picked = pick_negatives(lists["negative"], weights["negative"], uniform)
        lists["negative"], weights["negative"] = picked
    if settings.planned is not None:
        drawn = settings.planned.rows(rows)
        lists["negative"] = np.concatenate([lists["negative"], drawn], axis=1)
        own = np.ones(drawn.shape, weights["negative"].dtype)
        weights["negative"] = np.concatenate([weights["negative"], own], axis=1)
    if settings.assets and columns.samples is not None:
        drawn = draw_assets(columns.arrays, rows, settings.assets, settings.seed, epoch, progress)
        lists["asset"] = np.where(drawn == NO_ID, NO_ID, columns.samples + drawn)
    mixes = None
    if settings.mixes and "mix_a_id" in columns.arrays:
        mixes = draw_mixes(columns.arrays, rows, settings.mixes, settings.seed, epoch)
        lists |= {"a": mixes.a_ids, "b": mixes.b_ids}
    members = np.concatenate(list(lists.values()), axis=1)
    members[~valid] = NO_ID
    needed, places = np.unique(members, return_inverse=True)
    places = places.reshape(members.shape).astype(np.int64)
    if needed.size and needed[0] == NO_ID:
        needed, places = needed[1:], places - 1
    cuts = np.cumsum([ids.shape[1] for ids in lists.values()])[:-1]
    by_list = dict(zip(lists, np.split(places, cuts, axis=1), strict=True))
    return Composition(needed, by_list, weights, fn_ids, rows, valid, mixes, progress)


def stands(plan: Composition, read: np.ndarray) -> np.ndarray:
    """Say which pairs have their anchor and a positive: bool [B].

    Args:
        plan: what the batch holds.
        read: bool [U], which of its images could be read.
    """
    there = np.append(read, False)  # what place -1 leads to
    anchor, positive = there[plan.places["anchor"]][:, 0], there[plan.places["positive"]]
    if "asset" in plan.places:
        positive = np.concatenate([positive, there[plan.places["asset"]]], axis=1)
    return plan.valid & anchor & positive.any(axis=1)


def complete(
    columns: Columns,
    plan: Composition,
    images: list[Tensor | None],
    settings: Settings = _PLAIN,
    replaced: np.ndarray | None = None,
) -> PairBatch:
    """Make the batch of a composition and its images.

    Args:
        columns: of the pairset.
        plan: what the batch holds.
        images: float32 [3, H, W] for each id of `plan.sample_id`; None where it cannot be read.
        settings: what else the batch holds.
        replaced: bool [B], which rows stand in for others; None for none.
    """
    read = np.array([image is not None for image in images], bool)
    good, rows, valid = plan.sample_id[read], plan.rows, stands(plan, read)
    # One entry more, so that place -1 stays -1.
    moved = np.append(np.where(read, np.cumsum(read) - 1, NO_ID), NO_ID)
    places = {name: moved[at] for name, at in plan.places.items()}
    positive, negative = places["positive"], places["negative"]
    positive_weight = np.where(positive >= 0, plan.weights["positive"], 0)
    asset = places.get("asset", positive[:, :0])
    if asset.shape[1]:
        positive, positive_weight = _with_assets(positive, positive_weight, asset)
    stacked = _stack([image for image in images if image is not None], settings.pad_to)
    padding = max(len(stacked) - len(good), 0)
    groups = [columns["groups"][good], accepted_groups(columns.arrays, good, plan.progress)]
    arrays = {
        "anchor": places["anchor"][:, 0].copy(),
        "positive": positive.copy(),
        "negative": negative.copy(),
        "positive_weight": positive_weight,
        "negative_weight": np.where(negative >= 0, plan.weights["negative"], 0),
        "fn_ids": plan.fn_ids,
        "sample_id": _pad(columns.ids_of(good), padding),
        "groups": _pad(np.concatenate(groups, axis=1), padding),
        "weight": np.where(valid, columns["weight"][rows], 0),
        "pair_id": rows.copy(),
        "replaced": np.zeros(len(rows), bool) if replaced is None else replaced,
        "valid": valid,
    }
    soft = ("soft_ids", "soft_targets")
    arrays |= {name: columns[name][rows] for name in soft if name in columns.arrays}
    tensors: dict[str, Any] = {name: torch.from_numpy(array) for name, array in arrays.items()}
    return PairBatch(
        images=stacked,
        bad_images=int((~read).sum()),
        assets=asset.shape[1],
        mixes=None if plan.mixes is None else _mixes(columns, plan.mixes, places),
        **(_texts(columns, good, padding, rows) if settings.captions else {}),
        **tensors,
    )


def _texts(columns: Columns, good: np.ndarray, padding: int, rows: np.ndarray) -> dict[str, Any]:
    captions = [columns.caption(int(sample)) for sample in good]
    negative = [columns.negative_texts(int(row)) for row in rows]
    return {"captions": captions + [""] * padding, "negative_texts": negative}


def _stack(images: list[Tensor], multiple: int) -> Tensor:
    if not images:  # nobody knows the shape that they would have had
        return torch.zeros(0, 3, 1, 1)
    many = -(-len(images) // multiple) * multiple
    if many == len(images):
        return together(images)
    out = images[0].new_empty(many, *images[0].shape)
    torch.stack(images, out=out[: len(images)])
    out[len(images) :] = 0
    return out


def _pad(ids: np.ndarray, padding: int) -> np.ndarray:
    widths = [(0, padding), *[(0, 0)] * (ids.ndim - 1)]
    return np.pad(ids, widths, constant_values=NO_ID) if padding else ids


def _with_assets(
    positive: np.ndarray, weight: np.ndarray, asset: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Put generated pictures behind the positives; each weighs as much as one of those."""
    there = np.maximum((positive >= 0).sum(axis=1, keepdims=True), 1)
    each = np.where(weight.any(axis=1, keepdims=True), weight.sum(axis=1, keepdims=True) / there, 1)
    own = np.where(asset >= 0, each, 0).astype(weight.dtype)
    return np.concatenate([positive, asset], axis=1), np.concatenate([weight, own], axis=1)


def _mixes(columns: Columns, mixes: Mixes, places: dict[str, np.ndarray]) -> MixBatch:
    # A recipe of two parents is none where one of them could not be read.
    whole = (places["a"] >= 0) & ((mixes.b_ids == NO_ID) | (places["b"] >= 0))
    return MixBatch(
        methods=columns.methods,
        method=torch.from_numpy(mixes.methods.astype(np.int64)),
        type=torch.from_numpy(mixes.types.astype(np.int64)),
        a=torch.from_numpy(np.where(whole, places["a"], NO_ID)),
        b=torch.from_numpy(np.where(whole, places["b"], NO_ID)),
        coef=torch.from_numpy(mixes.coefs),
        seed=torch.from_numpy(mixes.seeds),
    )
