"""Runs the tasks here, one after the other: for small corpora, tests and debuggers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ...stages.base import Resources, Task
from ..memory import release_unused
from .base import Done, Job


class SerialBackend:
    """No processes and nothing to start."""

    name = "serial"

    def workers(self, resources: Resources, tasks: int) -> int:
        """One: this process."""
        del resources, tasks
        return 1

    def map(self, job: Job, tasks: Sequence[Task], resources: Resources) -> Iterator[Done]:
        """Yield what came of each task, in the order of the tasks."""
        del resources
        if tasks:
            release_unused()
            yield from map(job(), tasks)

    def close(self) -> None:
        """Nothing is held."""
