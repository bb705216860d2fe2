"""Where the next iteration starts, in memory that a stream shares with its workers alone."""

from __future__ import annotations

import os

import torch
from torch.utils.data import get_worker_info


class Place:
    """Epoch, batch and training progress; a change reaches workers that live on between epochs.

    The memory has no name, so nothing is left behind. A process that was forked or spawned with a
    stream and is none of its workers (a rank of a job that was launched from a notebook) gets
    memory of its own when it first writes: ranks never move each other.
    """

    def __init__(self) -> None:
        self._numbers = torch.zeros(2, dtype=torch.int64).share_memory_()
        self._progress = torch.full((1,), -1.0, dtype=torch.float64).share_memory_()
        self._owner = os.getpid()

    @property
    def now(self) -> tuple[int, int]:
        """Epoch, and the batch of it at which the next iteration starts."""
        epoch, batch = self._numbers.tolist()
        return epoch, batch

    @property
    def progress(self) -> float | None:
        """The training progress that was set, 0..1; None for none."""
        value = float(self._progress)
        return value if value >= 0 else None

    def move(self, epoch: int, batch: int) -> None:
        """Let the next iteration start at a batch of an epoch."""
        self._own()
        self._numbers[0], self._numbers[1] = epoch, batch

    def set_progress(self, progress: float | None) -> None:
        """Set the training progress, 0..1, or None for none."""
        self._own()
        self._progress[0] = -1.0 if progress is None else progress

    def _own(self) -> None:
        if self._owner == os.getpid() or get_worker_info() is not None:
            return
        self._numbers = self._numbers.clone().share_memory_()
        self._progress = self._progress.clone().share_memory_()
        self._owner = os.getpid()
