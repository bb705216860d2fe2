"""Lock files: one process of a machine does a thing while the others wait, or go on without it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

try:
    import fcntl
except ImportError:  # not a POSIX system: whoever comes first by rename is right
    fcntl = None

_POLL_S = 0.02


@contextmanager
def locked(path: Path, wait_s: float | None = None) -> Iterator[bool]:
    """Hold a lock file while the body runs; it is let go when the process dies, too.

    Args:
        path: the lock file; it is made if need be and stays.
        wait_s: longest wait, seconds; None waits until the lock is free.

    Yields:
        Whether the lock is held: true as well where the file system knows no locks.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        yield _wait(file.fileno(), wait_s)


def hold(number: int, alone: bool = False, wait: bool = False) -> bool:
    """Lock an open file, until it is closed; say whether it is locked now.

    Args:
        number: file descriptor.
        alone: nobody else may hold the file; else others may share it.
        wait: until it is free.
    """
    if fcntl is None:
        return True
    kind = fcntl.LOCK_EX if alone else fcntl.LOCK_SH
    try:
        fcntl.flock(number, kind if wait else kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a file system without locks
        return True
    return True


def _wait(number: int, wait_s: float | None) -> bool:
    if wait_s is None:
        return hold(number, alone=True, wait=True)
    end = time.monotonic() + wait_s
    while not hold(number, alone=True):
        if time.monotonic() > end:
            return False
        time.sleep(_POLL_S)
    return True
