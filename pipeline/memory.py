"""What a process occupies at its peak, and what this machine has."""

from __future__ import annotations

import ctypes
import gc
import sys
import threading
import weakref
from pathlib import Path

import psutil
import pyarrow as pa

_INTERVAL_S = 0.1


class PeakMeter:
    """Samples this process's resident memory in a thread: all of it, and without mapped files.

    The thread ends with `stop`, or when nobody holds the meter any more.
    """

    def __init__(self) -> None:
        self.peak_bytes = 0
        self.anonymous_bytes = 0
        self._process = psutil.Process()
        self._stop = threading.Event()
        self.sample()

    def start(self) -> PeakMeter:
        """Begin to sample."""
        watched = (weakref.ref(self), self._stop)
        threading.Thread(target=_watch, args=watched, daemon=True).start()
        return self

    def sample(self) -> None:
        """Take one sample now."""
        info = self._process.memory_info()
        resident, mapped = int(info.rss), int(getattr(info, "shared", 0))
        self.peak_bytes = max(self.peak_bytes, resident)
        self.anonymous_bytes = max(self.anonymous_bytes, resident - mapped)

    def stop(self) -> None:
        """End the sampling."""
        self._stop.set()


def _watch(meter: weakref.ref[PeakMeter], stop: threading.Event) -> None:
    # Only a weak reference: a job that is over takes its meter with it, and so its thread.
    while not stop.wait(_INTERVAL_S):
        held = meter()
        if held is None:
            return
        held.sample()
        del held


def release_unused() -> None:
    """Give freed memory back to the system, so that one stage does not carry another's peak.

    C's allocator keeps what was freed; glibc gives it back when asked (other systems do by
    themselves, or not at all: there is nothing to ask).
    """
    gc.collect()
    pa.default_memory_pool().release_unused()
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        if trim is not None:
            trim(0)


def machine_bytes() -> int:
    """Return the memory that may be used here: the machine's, or the container's limit."""
    total = int(psutil.virtual_memory().total)
    limit = Path("/sys/fs/cgroup/memory.max")
    try:
        text = limit.read_text().strip()
    except OSError:
        return total
    return min(total, int(text)) if text.isdigit() else total
