"""Which process of a job this is, and loaders around a stream that would share it out again."""

from __future__ import annotations

import os
import sys

import torch

from ..errors import StreamError, UsageError


def found_ranks() -> tuple[int, int] | None:
    """Return rank and world size of torch.distributed, None while it is not initialised.

    A forked worker of a DataLoader sees what its parent saw.
    """
    distributed = torch.distributed
    if not (distributed.is_available() and distributed.is_initialized()):
        return None
    return distributed.get_rank(), distributed.get_world_size()


def launched_ranks() -> tuple[int, int]:
    """Return rank and world size as a launcher set them ($RANK, $WORLD_SIZE), else (0, 1).

    Raises:
        UsageError: they are no numbers.
    """
    rank, world = os.environ.get("RANK"), os.environ.get("WORLD_SIZE")
    if rank is None or world is None:
        return 0, 1
    try:
        return int(rank), int(world)
    except ValueError as error:
        raise UsageError(
            f"$RANK={rank!r}, $WORLD_SIZE={world!r} are no numbers. Mend them, or give rank=... "
            "and world_size=..."
        ) from error


def check_ranks(rank: int, world_size: int, batch_size: int) -> None:
    """Refuse ranks that cannot share a batch.

    Raises:
        UsageError: the rank is outside the world, or the world does not divide the batch.
    """
    if world_size < 1 or not 0 <= rank < world_size:
        raise UsageError(f"rank={rank}, world_size={world_size}: rank must be in 0..world_size-1.")
    if batch_size < 1 or batch_size % world_size:
        raise UsageError(
            f"batch_size={batch_size} is the batch of all ranks together and must be a positive "
            f"multiple of world_size={world_size}."
        )


def refuse_wrappers(depth: int = 2) -> None:
    """Refuse a caller of Accelerate, whose loaders give batches of one rank to the others.

    They also read a batch ahead and set the epoch back to 0 after a resume. All of them call
    `set_epoch` before they iterate.

    Args:
        depth: frames between here and the caller.

    Raises:
        StreamError: the caller is one of Accelerate's loaders.
    """
    if str(sys._getframe(depth).f_globals.get("__name__")).startswith("accelerate."):
        raise StreamError(
            "Accelerate wrapped a DataLoader of this stream, and would share out again what each "
            "rank has for itself already. Give prepare() the loader stream.loader(...), which it "
            "leaves as it is, or leave the loader out of prepare(); move batches with "
            "batch.to(accelerator.device)."
        )
