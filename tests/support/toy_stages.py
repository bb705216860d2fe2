"""Small stages for tests of what runs stages: numbers, their squares, and a stage that fails."""

import os
import signal
from pathlib import Path
from typing import Annotated

import pyarrow as pa

from curate.manifests.artifact import Output
from curate.manifests.errors import DataError
from curate.stages.base import Runtime, Stage, Task, task_per_part


class Numbers(Stage):
    """Writes consecutive numbers."""

    parts: int = 4
    rows: int = 10
    batch: Annotated[int, Runtime()] = 3

    def plan(self, inputs):
        return [Task(f"part-{i:05d}", {"first": i * self.rows}) for i in range(self.parts)]

    def open(self, inputs):
        def run(task):
            first = task.spec["first"]
            return Output.of(pa.table({"x": list(range(first, first + self.rows))}), first=first)

        return run


class Squares(Stage):
    """Squares its input; `kill` names a file: while it is missing, the worker kills itself."""

    power: int = 2
    kill: Annotated[str, Runtime()] = ""
    fail_on: Annotated[str, Runtime()] = ""

    def plan(self, inputs):
        return task_per_part(inputs["numbers"])

    def open(self, inputs):
        def run(task):
            if task.part == self.fail_on:
                raise DataError(f"{task.part} is bad; look at it.")
            if self.kill and not Path(self.kill).exists():
                Path(self.kill).touch()
                os.kill(os.getpid(), signal.SIGKILL)
            x = inputs["numbers"].table(task.part)["x"].to_numpy()
            return Output.of(pa.table({"y": x**self.power}))

        return run

    def check(self, artifact):
        if self.power > 5:
            raise DataError("too large a power; use 5 at most.")
