"""What a kind of loss is to the trainer, and the parts that several kinds are made of."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ...errors import UsageError
from ..model import ContrastiveModel
from ..step import Shown, Step, together
from ..text import TextTower


def _no_column(name: str) -> Tensor:
    raise UsageError(f"there is no table of samples here to read {name!r} from.")


@dataclass(frozen=True)
class Place:
    """Where a loss is used: what decides the shape of its state.

    Attributes:
        net: encoder and projection head, as they are before the first step.
        groups: mask groups of a sample.
        samples: of the pairset.
        column: reads a column of `samples` by name: int64 [N] codes of its values, -1 for null.
        tower: makes the tower of captions that goes with the encoder; None for the small one.
    """

    net: ContrastiveModel
    groups: int
    samples: int
    column: Callable[[str], Tensor] = _no_column
    tower: Callable[[], nn.Module] | None = None

    def text_tower(self) -> nn.Module:
        """Return a new tower of captions, from `Told` to float32 [n, width] unit rows."""
        return TextTower(self.width) if self.tower is None else self.tower()

    @property
    def width(self) -> int:
        """Width of a projection."""
        return self.net.projection


class Head(nn.Module):
    """A kind of loss: its settings, its weights, its state, and the loss of one step.

    What must outlive a step (slow copies, queues, banks) is a submodule or a buffer, so it stands
    in the checkpoint and a resumed run ends as an undisturbed one.
    """

    positives = 1
    """Positives that an anchor draws unless the options say otherwise; 0 for all."""
    captions = False
    """Whether batches must carry captions."""

    def __init__(self, settings: Any, place: Place) -> None:
        super().__init__()
        self.settings = settings

    def forward(self, net: ContrastiveModel, step: Step) -> Tensor:
        """Return the loss of a step, a scalar."""
        raise NotImplementedError

    def after(self, net: ContrastiveModel, step: Step) -> None:
        """Bring slow copies, queues and banks up to date, after the optimiser's step."""


class Slow(nn.Module):
    """A copy of a module that follows it: w <- m w + (1 - m) w_of_the_module.

    Args:
        source: what is copied and followed.
        momentum: m at the start.
        rises: whether m rises to 1 along a half cosine of the training (Grill 2020, BYOL).
    """

    def __init__(self, source: nn.Module, momentum: float, rises: bool = False) -> None:
        super().__init__()
        self.copy = copy.deepcopy(source).requires_grad_(False)
        self.momentum, self.rises = momentum, rises

    @torch.no_grad()
    def forward(self, *given: Any) -> Tensor:
        """Return what the copy makes of its input; no gradient."""
        return self.copy(*given)

    @torch.no_grad()
    def call(self, method: str, *given: Any) -> Tensor:
        """Return what a method of the copy makes of its input; no gradient."""
        return getattr(self.copy, method)(*given)

    @torch.no_grad()
    def follow(self, source: nn.Module, progress: float) -> None:
        """Move the copy a step towards its source; buffers of batch norms are its own."""
        m = self.momentum
        if self.rises:
            m = 1 - (1 - m) * (math.cos(math.pi * progress) + 1) / 2
        for own, given in zip(self.copy.parameters(), source.parameters(), strict=True):
            own.mul_(m).add_(given.detach(), alpha=1 - m)


class Queue(nn.Module):
    """The last keys with their sample ids and mask groups; the oldest leave first.

    Args:
        size: keys that are kept.
        width: of a key.
        groups: mask groups of a sample.
    """

    keys: Tensor
    ids: Tensor
    groups: Tensor
    seen: Tensor

    def __init__(self, size: int, width: int, groups: int) -> None:
        super().__init__()
        self.register_buffer("keys", torch.zeros(size, width))
        self.register_buffer("ids", torch.full((size,), -1))
        self.register_buffer("groups", torch.full((size, groups), -1))
        self.register_buffer("seen", torch.tensor(0))

    def filled(self) -> tuple[Tensor, Tensor, Tensor]:
        """Return keys [M, d], ids [M], groups [M, C] of the places that are in use."""
        count = min(int(self.seen), len(self.ids))
        return self.keys[:count], self.ids[:count], self.groups[:count]

    @torch.no_grad()
    def push(self, keys: Tensor, shown: Shown) -> None:
        """Put keys [n, d] in the places of the oldest."""
        size, new = len(self.ids), len(keys)
        kept = slice(max(new - size, 0), new)
        numbers = torch.arange(new, device=keys.device)[kept]
        at = (int(self.seen) + numbers) % size
        self.keys[at], self.ids[at] = keys.detach()[kept], shown.ids[kept]
        self.groups[at] = shown.groups[kept]
        self.seen += new


def mlp(width: int, hidden: int, out: int | None = None) -> nn.Sequential:
    """Return the usual predictor: linear, batch norm, ReLU, linear."""
    return nn.Sequential(
        nn.Linear(width, hidden),
        nn.BatchNorm1d(hidden),
        nn.ReLU(inplace=True),
        nn.Linear(hidden, out or width),
    )


def two_views(net: ContrastiveModel, step: Step) -> tuple[Tensor, Tensor]:
    """Return projections [Q, d], of any length, of the anchor and of each shown positive."""
    anchors = step.anchors()
    projections = net.project(together(anchors, step.positives()))
    row, _ = step.positive_at
    return projections[: len(anchors)][row], projections[len(anchors) :]
