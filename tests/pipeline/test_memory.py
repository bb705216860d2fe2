"""The meter of peaks: it sees what was held, and its thread goes with it."""

import gc
import threading
import time

import numpy as np

from curate.pipeline.memory import PeakMeter


def threads_after(wait_s=2.0, most=0):
    """Return how many threads are left, waiting until there are no more than `most`."""
    deadline = time.monotonic() + wait_s
    while threading.active_count() > most and time.monotonic() < deadline:
        time.sleep(0.05)
    return threading.active_count()


def test_a_peak_is_remembered_when_the_memory_is_gone():
    meter = PeakMeter().start()
    before = meter.peak_bytes
    held = np.ones(40_000_000, np.uint8)
    meter.sample()
    assert meter.peak_bytes - before > 30_000_000
    del held
    meter.sample()
    assert meter.peak_bytes - before > 30_000_000
    meter.stop()


def test_its_thread_ends_with_it():
    before = threading.active_count()
    meters = [PeakMeter().start() for _ in range(5)]
    assert threading.active_count() == before + 5
    meters[0].stop()
    del meters
    gc.collect()
    assert threads_after(most=before) <= before
