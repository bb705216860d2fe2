"""The meter of peaks: it sees what was held, and its thread goes with it."""

import gc
import mmap
import threading

from curate.pipeline.memory import PeakMeter


def test_a_peak_is_remembered_when_the_memory_is_gone():
    meter = PeakMeter().start()
    before = meter.peak_bytes
    # Fresh pages: what an allocator has freed and kept would not show.
    with mmap.mmap(-1, 64 << 20) as held:
        held.write(b"x" * (64 << 20))
        meter.sample()
        grown = meter.peak_bytes - before
    assert grown > 48 << 20
    meter.sample()
    assert meter.peak_bytes - before >= grown
    meter.stop()


def test_its_thread_ends_with_it():
    before = set(threading.enumerate())
    meters = [PeakMeter().start() for _ in range(5)]
    watching = set(threading.enumerate()) - before
    assert len(watching) == 5
    meters[0].stop()
    del meters
    gc.collect()
    for thread in watching:
        thread.join(timeout=20)
        assert not thread.is_alive()
