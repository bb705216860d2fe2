"""One training step as a kind of loss sees it: views of a batch's pairs, their weights, the mask.

A loss asks for the views that it needs (anchors, positives, hard negatives), encodes them as it
likes, and asks which members of any collection of candidates an anchor may be contrasted with.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from ..fingerprint import draw_uniform
from ..stream import PairBatch, false_negative_mask, normalise
from ..stream.picks import drawn_shares
from .acceptance import Schedule
from .augment import DRAWS, Augmentation, view_draws
from .company import Company
from .distributed import Holders
from .shown import Shown, together

__all__ = ["IMAGE_MEAN", "IMAGE_STD", "Shown", "Step", "StepSettings", "together"]
IMAGE_MEAN = (0.485, 0.456, 0.406)
IMAGE_STD = (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class StepSettings:
    """What is done to every batch, whatever the loss.

    Attributes:
        augmentation: of every view.
        seed: of the views' and all other draws.
        mask: whether false negatives and near-duplicates are masked; without, only the anchor
            itself and its positives are.
        hard_negatives: whether the listed negatives are encoded.
        positives: positives that an anchor draws by their weights; 0 for all.
    """

    augmentation: Augmentation
    seed: int = 0
    mask: bool = True
    hard_negatives: bool = True
    positives: int = 0


@dataclass(frozen=True)
class Step:
    """A batch with at least one valid pair, its place in the training, and what is asked of it.

    B counts the valid pairs, P the places of their positives, Q the positives that are shown.

    Attributes:
        batch: on the device of the model.
        settings: what is done to it.
        epoch: of the batch; views depend on it.
        progress: share of the training that is done, 0..1.
        schedules: of the pairset: what clusters mask at which progress.
        company: who holds what, where the batch is that of several processes and its images are
            this one's; None for a process alone.
    """

    batch: PairBatch
    settings: StepSettings
    epoch: int = 0
    progress: float = 0.0
    schedules: tuple[Schedule, ...] = ()
    company: Company | None = None

    @cached_property
    def rows(self) -> Tensor:
        """int64 [B]: the valid rows of the batch."""
        return self.batch.valid.nonzero()[:, 0]

    @cached_property
    def positive_weight(self) -> Tensor:
        """float32 [B, P]: weights of the positives that are shown; 0 for the others."""
        weight, draw = self.batch.positive_weight[self.rows], self.settings.positives
        if not draw:
            return weight
        ids = self.batch.pair_id[self.rows].cpu().numpy()
        start = draw_uniform(self.settings.seed, ids, f"positive/{self.epoch}")
        return drawn_weights(weight, draw, start[:, 0])

    @cached_property
    def positive_at(self) -> tuple[Tensor, Tensor]:
        """Two int64 [Q]: row (of `rows`) and place of each positive that is shown."""
        shown = (self.batch.positive[self.rows] >= 0) & (self.positive_weight > 0)
        at_row, at_column = shown.nonzero(as_tuple=True)
        return at_row, at_column

    @cached_property
    def positive_share(self) -> Tensor:
        """float32 [Q]: weight of each shown positive in a mean over pairs; sums to 1."""
        weight = self.positive_weight / self.positive_weight.sum(1, keepdim=True).clamp_min(1e-12)
        at_row, at_column = self.positive_at
        share = weight[at_row, at_column] * self.batch.weight[self.rows][at_row]
        return share / share.sum().clamp_min(1e-12)

    @cached_property
    def hard(self) -> Tensor:
        """int64 [n]: ascending places in the batch's images of the listed hard negatives."""
        negative = self.batch.negative[self.rows]
        if not self.settings.hard_negatives:
            negative = negative[:, :0]
        return torch.unique(negative[negative >= 0])

    def anchors(self, view: str = "anchor") -> Shown:
        """Return a view of each anchor, [B]; another name gives another view."""
        ids, places = self.batch.pair_id[self.rows], self.batch.anchor[self.rows]
        every = torch.arange(len(ids), device=ids.device)
        return self._show(places, self.of_rows(every), lambda own: self._draws(ids[own], view))

    def positives(self) -> Shown:
        """Return a view of each shown positive, [Q]."""
        at_row, at_column = self.positive_at
        ids, rows = self.batch.pair_id[self.rows][at_row], self.rows[at_row]

        def draws(own: Tensor) -> Tensor:
            made = torch.zeros(len(ids), DRAWS)
            for column in at_column.unique().tolist():
                some = own & (at_column == column)
                made[some.cpu()] = self._draws(ids[some], f"positive-{column}")
            return made[own.cpu()]

        places = self.batch.positive[rows, at_column]
        return self._show(places, self.of_rows(at_row), draws)

    def negatives(self) -> Shown:
        """Return a view of each sample of `hard`."""
        return self._samples(self.hard, "negative")

    def parents(self) -> tuple[Shown, Tensor, Tensor]:
        """Return a view of each parent of a recipe, and where the parents of each recipe are.

        Returns:
            views of n samples, and two int64 [B, M], places among them of the first and of the
            second parent; -1 for none.

        Raises:
            ValueError: the batch has no recipes.
        """
        mixes = self.batch.mixes
        if mixes is None:
            raise ValueError("the batch has no recipes of synthetic negatives")
        both = torch.stack([mixes.a[self.rows], mixes.b[self.rows]])
        used, at = torch.unique(both, return_inverse=True)
        empty = int((used[:1] < 0).sum())
        first, second = at - empty
        return self._samples(used[empty:], "parent"), first, second

    def positive_cosines(self, anchors: Tensor, positives: Tensor) -> Tensor:
        """Return float32 [B, P], cosines of unit rows [B, d] and [Q, d]; 0 where none is shown."""
        at_row, at_column = self.positive_at
        cosines = anchors.new_zeros(self.positive_weight.shape)
        cosines[at_row, at_column] = (anchors[at_row] * positives).sum(1)
        return cosines

    def allowed(self, ids: Tensor, groups: Tensor) -> Tensor:
        """Say which candidates each anchor may be contrasted with: bool [B, M].

        Args:
            ids: int64 [M] sample ids, -1 for an empty place.
            groups: int64 [M, C] mask groups.
        """
        batch, rows = self.batch, self.rows
        known = torch.cat([batch.sample_id, batch.sample_id.new_tensor([-1])])
        fn_ids, own = batch.fn_ids[rows], batch.groups[batch.anchor[rows]]
        if not self.settings.mask:
            fn_ids, own, groups = fn_ids[:, :0], own[:, :0], groups[:, :0]
        anchors = batch.sample_id[batch.anchor[rows]]
        masked = false_negative_mask(fn_ids, anchors, own, ids, groups, known[batch.positive[rows]])
        for schedule in self.schedules if self.settings.mask else ():
            masked |= schedule.masked(anchors, ids, self.progress)
        return ~masked

    def negative_weights(self, bank: Shown) -> Tensor:
        """Return float32 [B, M]: 0 where masked, a listed negative's own weight, else 1.

        Args:
            bank: candidates; the last of them are those of `negatives()`.
        """
        weights = self.allowed(bank.ids, bank.groups).to(torch.float32)
        if len(self.hard):
            negative = self.batch.negative[self.rows]
            at_row, at_column = (negative >= 0).nonzero(as_tuple=True)
            first = len(bank) - len(self.hard)
            column = first + torch.searchsorted(self.hard, negative[at_row, at_column])
            weights[at_row, column] *= self.batch.negative_weight[self.rows][at_row, at_column]
        return weights

    def mean(self, losses: Tensor) -> Tensor:
        """Return the mean of losses [B] under the pairs' weights."""
        weight = self.batch.weight[self.rows]
        return (losses * weight).sum() / weight.sum().clamp_min(1e-12)

    def of_rows(self, rows: Tensor) -> Holders | None:
        """Return the holders of pairs, int64 [n] of `rows`; None for a process alone."""
        return self.company and self.company.of_rows(self.rows[rows])

    def of_images(self, places: Tensor) -> Holders | None:
        """Return the holders of images, int64 [n] places; None for a process alone."""
        return self.company and self.company.of_images(places)

    def _samples(self, places: Tensor, view: str) -> Shown:
        """Return a view of each of some images, drawn by their sample ids."""
        ids = self.batch.sample_id[places]
        return self._show(places, self.of_images(places), lambda own: self._draws(ids[own], view))

    def _show(
        self, places: Tensor, held: Holders | None, draws: Callable[[Tensor], Tensor]
    ) -> Shown:
        """Make the views that this process holds; `draws` gets bool [n], which they are."""
        batch = self.batch
        own = torch.ones_like(places, dtype=torch.bool) if held is None else held.own
        at = places[own] if self.company is None else self.company.own[places[own]]
        images = batch.images[at]
        if len(images):
            images = self.settings.augmentation(images, draws(own).to(images.device))
        images = normalise(images, IMAGE_MEAN, IMAGE_STD)
        return Shown(images, batch.sample_id[places], batch.groups[places], held)

    def _draws(self, ids: Tensor, view: str) -> Tensor:
        return view_draws(self.settings.seed, self.epoch, ids, view)


def drawn_weights(weight: Tensor, count: int, start: np.ndarray) -> Tensor:
    """Draw `count` members of each row in proportion to their weights; systematic sampling.

    See `stream.picks.drawn_shares`: a member has its share of the weights as mean over `start`,
    so a mean of losses keeps its expectation (the cost trick of MSF, algorithms.md §2.2).

    Args:
        weight: float32 [B, P] >= 0.
        count: points a row, at least 1.
        start: float64 [B] in [0, 1).

    Returns:
        float32 [B, P], rows sum to 1 (to 0 where all weights are 0).
    """
    drawn = drawn_shares(weight.cpu().numpy(), count, start)
    return torch.from_numpy(drawn.astype(np.float32)).to(weight.device)
