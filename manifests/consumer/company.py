"""One batch of all processes: their slices of the lists together, the images where they are."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ..stream import PairBatch
from ..stream.batch import MixBatch
from .distributed import Holders, Ranks

_ASSETS = 1 << 62
"""Generated pictures (ids below -1) come behind samples, as in the batch of one process."""


@dataclass(frozen=True)
class Company:
    """Which process holds what of a batch of B pairs over U images.

    Attributes:
        ranks: the processes.
        rows: int64 [B], the process of each pair; it holds all images of its pairs.
        images: int64 [U], the lowest process that holds each image.
        own: int64 [U], place of each image among this process's; -1 where it has it not.
    """

    ranks: Ranks
    rows: Tensor
    images: Tensor
    own: Tensor

    def to(self, device: torch.device | str, non_blocking: bool = False) -> Company:
        """Return the company on a device."""
        moved = [part.to(device, non_blocking=non_blocking) for part in
                 (self.rows, self.images, self.own)]  # fmt: skip
        return Company(self.ranks, *moved)

    def of_rows(self, rows: Tensor) -> Holders:
        """Return the holders of pairs."""
        return Holders(self.ranks, self.rows[rows])

    def of_images(self, places: Tensor) -> Holders:
        """Return the holders of images."""
        return Holders(self.ranks, self.images[places])


def gathered(batch: PairBatch, ranks: Ranks) -> tuple[PairBatch, Company]:
    """Return the batch of all processes; only its images stay this process's own.

    The batch is the one that one process with the whole global batch would get: pairs in the order
    of ranks, each image once, in the order of ids.
    """
    parts: list[PairBatch] = ranks.share(replace(batch, images=batch.images[:0]))
    # A process without any readable image has none that says how large they are.
    none = max((part.images for part in parts), key=lambda images: images.shape[-1])
    return united(parts, batch.images if len(batch.images) else none, ranks)


def united(parts: list[PairBatch], images: Tensor, ranks: Ranks) -> tuple[PairBatch, Company]:
    """Unite the batches of all processes; see `gathered`."""
    ids = torch.cat([part.sample_id for part in parts])
    _, inverse = torch.unique(torch.where(ids < -1, _ASSETS - ids, ids), return_inverse=True)
    # Where an image first comes up: on the lowest process that has it.
    count = int(inverse.max()) + 1 if len(ids) else 0
    first = torch.full((count,), len(ids))
    first.scatter_reduce_(0, inverse, torch.arange(len(ids)), "amin")
    sizes = [len(part.sample_id) for part in parts]
    moved = inverse.split(sizes)
    own = torch.full((len(first),), -1)
    own[moved[ranks.rank]] = torch.arange(sizes[ranks.rank])
    numbers = torch.arange(ranks.world)
    rows = numbers.repeat_interleave(torch.tensor([len(part) for part in parts]))
    holder = numbers.repeat_interleave(torch.tensor(sizes))[first]
    return _whole(parts, images, first, list(moved)), Company(ranks, rows, holder, own)


def _whole(parts: list[PairBatch], images: Tensor, first: Tensor, moved: list[Tensor]) -> PairBatch:
    def rows(name: str) -> Tensor:
        return torch.cat([getattr(part, name) for part in parts])

    def places(name: str) -> Tensor:
        return torch.cat(
            [_placed(getattr(p, name), to) for p, to in zip(parts, moved, strict=True)]
        )

    listed = ("positive_weight", "negative_weight", "fn_ids", "weight", "pair_id", "valid")
    soft = [name for name in ("soft_ids", "soft_targets") if getattr(parts[0], name) is not None]
    captions = [text for part in parts for text in part.captions or ()]
    wrong = [texts for part in parts for texts in part.negative_texts or ()]
    return replace(
        parts[0],
        images=images,
        sample_id=rows("sample_id")[first],
        groups=rows("groups")[first],
        bad_images=sum(part.bad_images for part in parts),
        captions=[captions[at] for at in first.tolist()] if captions else parts[0].captions,
        negative_texts=wrong or parts[0].negative_texts,
        mixes=_mixes([part.mixes for part in parts], moved),
        **{name: places(name) for name in ("anchor", "positive", "negative")},
        **{name: rows(name) for name in (*listed, *soft)},
    )


def _mixes(parts: list[MixBatch | None], moved: list[Tensor]) -> MixBatch | None:
    there = [part for part in parts if part is not None]
    if not there:
        return None
    plain = ("method", "type", "coef", "seed")
    return replace(
        there[0],
        **{name: torch.cat([getattr(part, name) for part in there]) for name in plain},
        a=torch.cat([_placed(part.a, to) for part, to in zip(there, moved, strict=True)]),
        b=torch.cat([_placed(part.b, to) for part, to in zip(there, moved, strict=True)]),
    )


def _placed(places: Tensor, to: Tensor) -> Tensor:
    # Place -1 stays -1: the last entry of the table.
    return torch.cat([to, to.new_tensor([-1])])[places]
