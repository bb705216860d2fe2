"""What a stream yields: each image once, and index tensors that say which image is whose what."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..schema import NO_ID
from .columns import Columns


@dataclass(frozen=True)
class PairBatch:
    """B pairs over U images; ids are tensors, so they can be gathered with the features.

    An index of -1 is an empty place: padding of the pairset, or an image that could not be read.
    Its weight is 0. `false_negative_mask` and the reference loss know this.

    Attributes:
        images: float32 [U, 3, H, W], each image of the batch once.
        anchor: int64 [B], place in `images`; -1 where `valid` is false for want of the anchor.
        positive: int64 [B, P], places in `images`.
        negative: int64 [B, K], places in `images`.
        positive_weight: float32 [B, P].
        negative_weight: float32 [B, K].
        fn_ids: int64 [B, F], sample ids (not places) never to be contrasted with the anchor.
        sample_id: int64 [U].
        groups: int64 [U, C], values of the manifest's mask_groups; -1 equals nothing.
        weight: float32 [B], 0 where not valid.
        pair_id: int64 [B].
        valid: bool [B]; false for a pair without its anchor or without any positive, and for the
            repeats that fill the last batch where `drop_last` is false.
        bad_images: images that could not be read.
        captions: first caption of each image, where the stream was asked for captions.
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
    valid: Tensor
    bad_images: int = 0
    captions: list[str] | None = None

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
        return replace(self, **changed)


@dataclass(frozen=True)
class Composition:
    """The ids of one batch, before any image is read; all numpy.

    Attributes:
        sample_id: int64 [U], ascending: the images that are needed, each once.
        places: int64 [B, 1 + P + K], places in `sample_id` of anchor, positives, negatives; -1.
        positives: P.
        rows: int64 [B], rows of `pairs`.
        valid: bool [B].
    """

    sample_id: np.ndarray
    places: np.ndarray
    positives: int
    rows: np.ndarray
    valid: np.ndarray


def compose(columns: Columns, rows: np.ndarray, valid: np.ndarray) -> Composition:
    """Find the images that some pairs need.

    Args:
        columns: of the pairset.
        rows: int64 [B], rows of `pairs`.
        valid: bool [B]; nothing is read for a pair that is not valid.
    """
    anchor, positive = columns["anchor_id"][rows], columns["positive_ids"][rows]
    members = np.concatenate([anchor[:, None], positive, columns["negative_ids"][rows]], axis=1)
    members[~valid] = NO_ID
    needed, places = np.unique(members, return_inverse=True)
    places = places.reshape(members.shape).astype(np.int64)
    if needed.size and needed[0] == NO_ID:
        needed, places = needed[1:], places - 1
    return Composition(needed, places, positive.shape[1], rows, valid)


def complete(
    columns: Columns, plan: Composition, images: list[Tensor | None], captions: bool = False
) -> PairBatch:
    """Make the batch of a composition and its images.

    Args:
        columns: of the pairset.
        plan: what the batch holds.
        images: float32 [3, H, W] for each id of `plan.sample_id`; None where it cannot be read.
        captions: whether captions are added.
    """
    read = np.array([image is not None for image in images], bool)
    good = plan.sample_id[read]
    # One entry more, so that place -1 stays -1.
    moved = np.append(np.where(read, np.cumsum(read) - 1, NO_ID), NO_ID)
    places = moved[plan.places]
    anchor, positive, negative = np.split(places, [1, 1 + plan.positives], axis=1)
    rows = plan.rows
    positive_weight = np.where(positive >= 0, columns["positive_weights"][rows], 0)
    valid = plan.valid & (anchor[:, 0] >= 0) & (positive >= 0).any(axis=1)
    kept = [image for image in images if image is not None]
    return PairBatch(
        images=torch.stack(kept) if kept else torch.zeros(0, 3, 1, 1),
        anchor=torch.from_numpy(anchor[:, 0].copy()),
        positive=torch.from_numpy(positive.copy()),
        negative=torch.from_numpy(negative.copy()),
        positive_weight=torch.from_numpy(positive_weight),
        negative_weight=torch.from_numpy(
            np.where(negative >= 0, columns["negative_weights"][rows], 0)
        ),
        fn_ids=torch.from_numpy(columns["false_negative_ids"][rows]),
        sample_id=torch.from_numpy(good),
        groups=torch.from_numpy(columns["groups"][good]),
        weight=torch.from_numpy(np.where(valid, columns["weight"][rows], 0)),
        pair_id=torch.from_numpy(rows.copy()),
        valid=torch.from_numpy(valid),
        bad_images=int((~read).sum()),
        captions=[columns.caption(int(sample)) for sample in good] if captions else None,
    )
