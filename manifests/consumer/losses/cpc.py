"""CPC on images: rows of patches predict the rows below them (van den Oord 2018, eq. 4; §3.2).

An anchor's view is cut into grid x grid patches that overlap by half; each is encoded alone. A GRU
reads the rows of a column of patches from the top; from its state c at row r a linear map W_k
predicts the patch k rows below, by InfoNCE over all patches of that row offset in the batch:

    L = mean over r, k, patches of -log( e^{z W_k c / t} / sum over candidates of e^{z' W_k c / t} )

This is the paper's loss with a GRU down each column in place of its PixelCNN over the whole grid.
The pairset's positives have no part in it; its mask has: patches of samples that an anchor must
not be contrasted with are no candidates. Patches of its own picture are, as in the paper.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from ...errors import UsageError
from ..model import ContrastiveModel, unit
from ..step import Step
from . import base


class Head(base.Head):
    """The reader of rows and the predictors, one for each number of rows ahead."""

    def __init__(self, settings: Any, place: base.Place) -> None:
        super().__init__(settings, place)
        if settings.ahead >= settings.grid:
            raise UsageError(
                f"loss.ahead={settings.ahead} rows ahead in a grid of {settings.grid}; "
                f"from 1 to {settings.grid - 1}."
            )
        self.reader = nn.GRU(place.width, place.width, batch_first=True)
        self.predictors = nn.ModuleList(
            nn.Linear(place.width, place.width) for _ in range(settings.ahead)
        )

    def forward(self, net: ContrastiveModel, step: Step) -> Tensor:
        """Return the mean over all predictions."""
        grid, anchors = self.settings.grid, step.anchors()
        patches = anchors.pieces(lambda images: cut(images, grid).flatten(0, 2), grid * grid)
        # [B, row, column, d]
        z = net(patches).unflatten(0, (len(anchors), grid, grid))
        columns = z.transpose(1, 2).flatten(0, 1)
        context = self.reader(columns)[0].unflatten(0, (len(anchors), grid)).transpose(1, 2)
        same = torch.eye(len(anchors), dtype=torch.bool, device=z.device)
        allowed = step.allowed(anchors.ids, anchors.groups) | same
        terms = [
            self._row(predictor(context[:, row]), z[:, row + ahead], allowed, step)
            for ahead, predictor in enumerate(self.predictors, 1)
            for row in range(grid - ahead)
        ]
        return torch.stack(terms).mean()

    def _row(self, predicted: Tensor, true: Tensor, allowed: Tensor, step: Step) -> Tensor:
        grid = true.shape[1]
        logits = unit(predicted.flatten(0, 1)) @ true.flatten(0, 1).T / self.settings.t
        may = allowed.repeat_interleave(grid, 0).repeat_interleave(grid, 1)
        target = torch.arange(len(logits), device=logits.device)
        losses = functional.cross_entropy(
            logits.masked_fill(~may, -torch.inf), target, reduction="none"
        )
        return step.mean(losses.unflatten(0, (-1, grid)).mean(1))


def cut(images: Tensor, grid: int) -> Tensor:
    """Cut images [n, 3, H, W] into patches [n, grid, grid, 3, h, w] that overlap by half.

    Raises:
        UsageError: the images are too small for the grid.
    """
    strides = [side // (grid + 1) for side in images.shape[2:]]
    if min(strides) < 2:
        raise UsageError(
            f"loss.grid={grid}, but images are {images.shape[2]} x {images.shape[3]} px; "
            f"at least {2 * (grid + 1)} px are needed."
        )
    high, wide = strides
    rows = images.unfold(2, 2 * high, high).unfold(3, 2 * wide, wide)
    return rows[:, :, :grid, :grid].permute(0, 2, 3, 1, 4, 5)
