"""What a backend is: the only thing that knows where work runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from ...manifests.artifact import Receipt
from ...stages.base import Resources, Task


@dataclass(frozen=True)
class Done:
    """What comes back of one task: its receipt, and what is true of this run only.

    Attributes:
        receipt: proof of the part.
        seconds: time that the task took in its worker.
        peak_bytes: peak resident memory of the worker since it opened the job.
        anonymous_bytes: the same without pages of mapped files, which the system can drop.
        worker: name of the worker, "host/pid".
        log: what the stage had to say (warnings, notes).
        cpu_seconds: time that cores worked for it, all threads; opening the job counts for the
            first task.
    """

    receipt: Receipt
    seconds: float
    peak_bytes: int
    anonymous_bytes: int
    worker: str
    log: Mapping[str, Any] = field(default_factory=dict)
    cpu_seconds: float = 0.0


Job = Callable[[], Callable[[Task], Done]]
"""Called once in each process; returns the function that is called once for each task."""


class Backend(Protocol):
    """Runs tasks in any order, each at least once. Rows never pass through it."""

    name: str

    def workers(self, resources: Resources, tasks: int) -> int:
        """Say how many workers a job with this many tasks would get.

        Raises:
            ResourceError: not even one worker fits.
        """
        ...

    def map(self, job: Job, tasks: Sequence[Task], resources: Resources) -> Iterator[Done]:
        """Yield what came of each task as it ends."""
        ...

    def close(self) -> None:
        """Give back processes and devices."""
        ...
