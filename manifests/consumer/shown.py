"""Views and texts, as a loss hands them to encoders; with several processes, each has its own.

`net(together(anchors, positives))` is [n, d] of all views, whoever encoded them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from .distributed import Holders


@dataclass(frozen=True)
class Shown:
    """Views of n samples.

    Attributes:
        images: float32 [m, 3, H, W], normalised: those of the n views that this process holds, in
            order; all of them where there is one process.
        ids: int64 [n] sample ids.
        groups: int64 [n, C] mask groups.
        holders: which process holds each view; None where there is one process.
    """

    images: Tensor
    ids: Tensor
    groups: Tensor
    holders: Holders | None = None

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, which: Tensor) -> Shown:
        """Return some views: bool [n], or int64 places."""
        ids, groups = self.ids[which], self.groups[which]
        if self.holders is None:
            return Shown(self.images[which], ids, groups)
        at = self.holders.own.cumsum(0) - 1
        left = self.holders[which]
        return Shown(self.images[at[which][left.own]], ids, groups, left)

    def pieces(self, cut: Callable[[Tensor], Tensor], count: int) -> Shown:
        """Return what `cut` makes of each image: `count` smaller ones, one behind the other.

        Args:
            cut: from [m, 3, H, W] to [m * count, 3, h, w].
            count: pieces of an image.
        """
        held = self.holders
        return Shown(
            cut(self.images),
            self.ids.repeat_interleave(count),
            self.groups.repeat_interleave(count, 0),
            held and Holders(held.ranks, held.of.repeat_interleave(count)),
        )


def together(*parts: Shown) -> Shown:
    """Return several collections as one, in their order."""
    holders = [part.holders for part in parts if part.holders is not None]
    return Shown(
        torch.cat([part.images for part in parts]),
        torch.cat([part.ids for part in parts]),
        torch.cat([part.groups for part in parts]),
        holders[0].joined(*holders[1:]) if holders else None,
    )


@dataclass(frozen=True)
class Told:
    """n texts, as a loss hands them to a tower of captions.

    Attributes:
        texts: those of the n that this process holds, in order.
        holders: which process holds each; None where there is one process.
    """

    texts: list[str]
    holders: Holders | None = None
