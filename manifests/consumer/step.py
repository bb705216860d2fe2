"""From a batch of pairs to one loss: views, one forward pass, mask, loss G.

Every view of the batch is a candidate negative of every anchor: the other anchors, the other
anchors' positives, and all listed hard negatives; the mask takes out what must not be contrasted.
Features of other ranks join the bank at one place, `_Bank`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from ..stream import PairBatch, false_negative_mask, normalise
from .augment import Augmentation, view_draws
from .loss import LossSettings, contrastive_loss, weighted_mean

IMAGE_MEAN = (0.485, 0.456, 0.406)
IMAGE_STD = (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class StepSettings:
    """What a step does.

    Attributes:
        loss: the loss.
        augmentation: of every view.
        seed: of the views' draws.
        mask: whether false negatives and near-duplicates are masked; without, only the anchor
            itself and its positives are.
        hard_negatives: whether the listed negatives are encoded.
    """

    loss: LossSettings
    augmentation: Augmentation
    seed: int = 0
    mask: bool = True
    hard_negatives: bool = True


@dataclass(frozen=True)
class _Bank:
    """All candidates: features [M, d], sample ids [M], mask groups [M, C]."""

    features: Tensor
    ids: Tensor
    groups: Tensor


@dataclass(frozen=True)
class _Views:
    """Which image each view shows, and its draws, in the order anchors, positives, negatives.

    Attributes:
        places: int64 [V], places in `images`.
        draws: float32 [V, DRAWS].
        rows: int64 [B], the valid rows of the batch, one anchor view each.
        positive_at: two int64 [Q], row (of `rows`) and column of each positive view.
        negative_places: int64 [n], ascending places in `images` of the hard negatives.
    """

    places: Tensor
    draws: Tensor
    rows: Tensor
    positive_at: tuple[Tensor, Tensor]
    negative_places: Tensor


def batch_loss(
    project: Callable[[Tensor], Tensor], batch: PairBatch, epoch: int, settings: StepSettings
) -> Tensor | None:
    """Return the weighted mean loss of a batch, or None where no pair of it is valid.

    Args:
        project: from normalised images float32 [V, 3, H, W] to unit rows float32 [V, d].
        batch: on the device of `project`.
        epoch: of the batch; draws depend on it.
        settings: of the step.
    """
    if not bool(batch.valid.any()):
        return None
    views = _views(batch, epoch, settings)
    images = settings.augmentation(batch.images[views.places], views.draws)
    features = project(normalise(images, IMAGE_MEAN, IMAGE_STD))
    rows = views.rows
    anchors = features[: len(rows)]
    at_row, at_column = views.positive_at
    positives = features[len(rows) : len(rows) + len(at_row)]
    similarity = anchors.new_zeros(len(rows), batch.positive.shape[1])
    similarity[at_row, at_column] = (anchors[at_row] * positives).sum(1)
    bank = _Bank(features, batch.sample_id[views.places], batch.groups[views.places])
    losses = contrastive_loss(
        similarity,
        batch.positive_weight[rows],
        anchors @ bank.features.T,
        _negative_weights(batch, views, bank, settings),
        settings.loss,
    )
    return weighted_mean(losses, batch.weight[rows])


def _views(batch: PairBatch, epoch: int, settings: StepSettings) -> _Views:
    seed, rows = settings.seed, batch.valid.nonzero()[:, 0]
    pair_id, positive = batch.pair_id[rows], batch.positive[rows]
    at_row, at_column = (positive >= 0).nonzero(as_tuple=True)
    negative = batch.negative[rows]
    if not settings.hard_negatives:
        negative = negative[:, :0]
    hard = torch.unique(negative[negative >= 0])
    places = torch.cat([batch.anchor[rows], positive[at_row, at_column], hard])
    by_column = [
        view_draws(seed, epoch, pair_id, f"positive-{column}")
        for column in range(positive.shape[1])
    ]
    draws = torch.cat(
        [
            view_draws(seed, epoch, pair_id, "anchor"),
            torch.stack(by_column, 1)[at_row.cpu(), at_column.cpu()],
            view_draws(seed, epoch, batch.sample_id[hard], "negative"),
        ]
    )
    return _Views(places, draws.to(batch.images.device), rows, (at_row, at_column), hard)


def _negative_weights(
    batch: PairBatch, views: _Views, bank: _Bank, settings: StepSettings
) -> Tensor:
    """Return float32 [B, M]: 0 where masked, a listed negative's own weight, else 1."""
    rows = views.rows
    ids = torch.cat([batch.sample_id, batch.sample_id.new_tensor([-1])])
    fn_ids, groups, bank_groups = batch.fn_ids[rows], batch.groups, bank.groups
    if not settings.mask:
        fn_ids, groups, bank_groups = fn_ids[:, :0], groups[:, :0], bank_groups[:, :0]
    masked = false_negative_mask(
        fn_ids,
        ids[batch.anchor[rows]],
        groups[batch.anchor[rows]],
        bank.ids,
        bank_groups,
        ids[batch.positive[rows]],
    )
    weights = (~masked).to(torch.float32)
    hard = views.negative_places
    if len(hard):
        first = len(views.places) - len(hard)
        at_row, at_column = (batch.negative[rows] >= 0).nonzero(as_tuple=True)
        column = first + torch.searchsorted(hard, batch.negative[rows][at_row, at_column])
        weights[at_row, column] *= batch.negative_weight[rows][at_row, at_column]
    return weights
