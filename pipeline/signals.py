"""Ctrl-C and SIGTERM, while something runs that may be stopped."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def stopped_by(stop: Callable[[int, Any], Any]) -> Iterator[None]:
    """Call `stop` on SIGINT and SIGTERM within; the handlers of before stand again behind."""
    before = {}
    try:
        for number in (signal.SIGINT, signal.SIGTERM):
            before[number] = signal.signal(number, stop)
    except ValueError:
        # Signals belong to the main thread; a run inside another program leaves them alone.
        before = {}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
