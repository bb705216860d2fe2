"""How a run goes: rates, waiting, time left, memory; and TensorBoard's events."""

from __future__ import annotations

import importlib
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

import torch

from ..errors import UsageError

_T = TypeVar("_T")


class Meter:
    """Counts pairs and seconds of a run, and since the last look.

    Attributes:
        pairs: trained on.
        waited: seconds in which the loop had no batch. On a GPU work that was queued before may
            still run in them, so this is an upper bound of what data cost.
    """

    def __init__(self, device: torch.device, steps_left: int) -> None:
        self.device, self.steps_left = device, steps_left
        self.begun = time.perf_counter()
        self.pairs, self.steps, self.waited = 0, 0, 0.0
        self._last = (self.begun, 0, 0.0)
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)

    def waiting(self, items: Iterable[_T]) -> Iterator[_T]:
        """Yield items; what it takes to get them is waiting."""
        source = iter(items)
        while True:
            asked = time.perf_counter()
            try:
                item = next(source)
            except StopIteration:
                return
            self.waited += time.perf_counter() - asked
            yield item

    def count(self, pairs: int) -> None:
        """Count a step."""
        self.steps += 1
        self.pairs += pairs

    @property
    def seconds(self) -> float:
        """Seconds since the start."""
        return time.perf_counter() - self.begun

    @property
    def peak_gpu_bytes(self) -> int | None:
        """Most that torch held on the GPU, None on a CPU."""
        if self.device.type != "cuda":
            return None
        return int(torch.cuda.max_memory_allocated(self.device))

    def look(self) -> dict[str, Any]:
        """Return rates since the last look, as JSON; time left is by the mean of all steps."""
        now = time.perf_counter()
        then, pairs, waited = self._last
        self._last = (now, self.pairs, self.waited)
        since = max(now - then, 1e-9)
        left = max(self.steps_left - self.steps, 0)
        return {
            "pairs_per_second": (self.pairs - pairs) / since,
            "data_wait": (self.waited - waited) / since,
            "seconds_left": left * (now - self.begun) / max(self.steps, 1),
            "peak_gpu_bytes": self.peak_gpu_bytes,
        }


class Board:
    """TensorBoard's events of a run.

    Args:
        folder: where they are written.

    Raises:
        UsageError: tensorboard is not installed.
    """

    def __init__(self, folder: Path) -> None:
        try:
            writer = importlib.import_module("torch.utils.tensorboard").SummaryWriter
        except ImportError as error:
            raise UsageError(
                'tensorboard is not installed: pip install "curate-pairs[tensorboard]"'
            ) from error
        self._writer = writer(str(folder))

    def write(self, step: int, values: Mapping[str, Any], under: str = "train") -> None:
        """Write the numbers among some values."""
        for name, value in values.items():
            if isinstance(value, int | float) and not isinstance(value, bool):
                self._writer.add_scalar(f"{under}/{name}", value, step)

    def close(self) -> None:
        """Let the events reach the disk."""
        self._writer.close()
