"""Vectors that somebody else made, as a space."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ...manifests.arrays import ArrayAlignment, ArraySource, VectorTable, corpus_counts
from ...manifests.artifact import Output
from ...manifests.vectors import unit
from ..base import Inputs, Resources, Stage, Task, Worker, task_per_part
from ._unit import mean_of_runs

_COLUMNS = ["key", "position", "caption_position", "captions"]


class ArrayVectors(Stage):
    """Takes each sample's rows of an array, makes them unit vectors, and stores float16.

    A sample with several rows (one a caption) gets the mean of their unit vectors, made a unit
    vector again; a sample without any gets a zero row. Which rows are a sample's:
    `manifests.arrays`. Lengths are taken in float32.

    Inputs: `samples`, `scan`. File: "npy" float16 [rows, dim]. Facts: dim, missing (zero rows).

    Attributes:
        space: name of the space.
        source: where the vectors are.
    """

    space: str
    source: ArraySource

    def plan(self, inputs: Inputs) -> list[Task]:
        """Plan one task for each part of the samples."""
        return task_per_part(inputs["samples"])

    def resources(self, inputs: Inputs) -> Resources:
        """A part of vectors, a few times."""
        del inputs
        return Resources(memory_bytes=800 << 20)

    def open(self, inputs: Inputs) -> Worker:
        """Open the array and find which rows belong to which sample.

        Raises:
            DataError: the array cannot be read or does not fit the corpus.
        """
        table = self.source.open()
        inputs_count, captions_count = corpus_counts(inputs["scan"])
        rows = len(table)
        alignment = ArrayAlignment.of(self.source, rows, inputs_count, captions_count)
        samples = inputs["samples"]

        def run(task: Task) -> Output:
            first, count = _rows_for(alignment, samples.table(task.part, _COLUMNS))
            vectors = _take(table, first, count)
            facts = {"dim": table.dim, "missing": int((~vectors.any(axis=1)).sum())}
            return Output(len(vectors), {"npy": vectors}, facts)

        return run


def _rows_for(alignment: ArrayAlignment, part: pa.Table) -> tuple[np.ndarray, np.ndarray]:
    return alignment.rows_for(
        part["position"].to_numpy(),
        part["caption_position"].to_numpy(),
        pc.call_function("list_value_length", [part["captions"]]).to_numpy().astype(np.int64),
        part["key"].to_pylist(),
    )


def _take(table: VectorTable, first: np.ndarray, count: np.ndarray) -> np.ndarray:
    count = np.where(first < 0, 0, count)
    owners = np.repeat(np.arange(len(first)), count)
    within = np.arange(len(owners)) - np.repeat(np.cumsum(count) - count, count)
    vectors = unit(table.take(np.repeat(first, count) + within))
    return mean_of_runs(vectors, owners, len(first)).astype(np.float16)
