"""Runs one planner: from the finished pairs to batches of pair_id, block after block."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import Field

from ...manifests.artifact import Artifact, Output
from ...manifests.errors import DataError
from ...manifests.schema import NO_ID
from ...manifests.vectors import GraphStore, Rows, VectorStore
from ..base import Inputs, Resources, Stage, Task, Worker
from ._judge import LABEL, judge
from ._rows import (
    CLUSTER,
    GROUP,
    PairRows,
    block_numbers,
    blocks_of,
    column_codes,
    never_contrasted,
    rows_of,
    split_of,
)
from .base import Batches, Planner, Pool

BASE_BYTES = 700 << 20
NEGATIVES = "negatives.npy"
"""File of the negatives that a plan draws."""


class Plan(Stage):
    """One planner, one array of batches a block.

    Inputs:
        pairs: the published pairs, with pair_id.
        samples: for labels and the columns that the planner asks for.
        graph:<graph>, vectors:<space>: what the planner names, and `judge`.

    Files of a part: "npy", int64 [batches, size] of pair_id; where the planner draws negatives,
    "negatives.npy", int64 [batches, size, h] of sample_id, -1 fill. Facts: split, rows, size, and
    what the planner and `_judge` report.
    """

    planner: Planner
    id: str = Field(min_length=1)
    """Name of the plan in this run."""
    judge: str | None = None
    """The space in which the hardness of batches is measured."""
    seed: int = Field(default=0, ge=0)

    def plan(self, inputs: Inputs) -> list[Task]:
        """One task a block; counting the blocks reads three columns of the pairs."""
        pairs = inputs["pairs"]
        split = split_of(pairs, self.planner.split)
        numbers = block_numbers(self.planner, pairs, split, self._seed())
        return [Task(f"part-{n:05d}", {"block": n, "split": split}) for n in numbers]

    def resources(self, inputs: Inputs) -> Resources:
        """One core, and what the planner holds of a block."""
        rows = min(inputs["pairs"].rows, self.planner.block or inputs["pairs"].rows)
        return Resources(memory_bytes=BASE_BYTES + self.planner.row_bytes * rows)

    def open(self, inputs: Inputs) -> Worker:
        """Nothing is loaded; graphs and vectors stay on the disk."""

        def compose(task: Task) -> Output:
            split = task.spec["split"]
            rows = self._rows(inputs["pairs"], split, task.spec["block"])
            pool = self._pool(inputs, rows)
            if not len(rows):
                empty = np.zeros((0, self.planner.size), np.int64)
                return self._output(rows, Batches(empty), split, {})
            made = self.planner.compose(pool)
            facts = {**made.facts}
            if len(made.places):
                facts |= judge(pool, made.places, self.judge)
            return self._output(rows, made, split, facts)

        return compose

    def _rows(self, pairs: Artifact, split: str, block: int) -> PairRows:
        if self.planner.block is None:
            return PairRows.join(list(rows_of(pairs, split)))
        return blocks_of(self.planner, self._seed()).read(pairs, split, block)

    def _output(
        self, rows: PairRows, made: Batches, split: str, facts: Mapping[str, Any]
    ) -> Output:
        places = made.places
        files: dict[str, Any] = {"npy": rows.pair_id[places]}
        if self.planner.drawn_negatives:
            files[NEGATIVES] = _ids_of(rows, made, self.planner.drawn_negatives)
        used = len(np.unique(places))
        counts = {"split": split, "rows": len(rows), "used": used, "size": places.shape[1]}
        return Output(len(places), files, {**counts, "planner": dict(facts)})

    def _pool(self, inputs: Inputs, rows: PairRows) -> Pool:
        wanted = dict.fromkeys([LABEL, *self.planner.columns])
        columns = {name: self._column(inputs["samples"], rows, name) for name in wanted}
        spaces = {*self.planner.space_names, *([self.judge] if self.judge else [])}
        return Pool(
            anchors=rows.anchor_id,
            groups=rows.group_id,
            columns=columns,
            graphs={name: _graph(inputs, name) for name in self.planner.graph_depths},
            vectors={name: _vectors(inputs, name) for name in spaces},
            never=(
                never_contrasted(inputs["pairs"], rows) if self.planner.drawn_negatives else None
            ),
            seed=self._seed(),
        )

    def _column(self, samples: Artifact, rows: PairRows, name: str) -> np.ndarray:
        if name in (CLUSTER, GROUP):
            return rows.cluster_id if name == CLUSTER else rows.group_id
        return column_codes(samples, name, rows.anchor_id)

    def check(self, artifact: Artifact) -> None:
        """Look at the blocks together.

        Raises:
            DataError: there is not one full batch, or blocks have batches of different sizes.
        """
        rows = sum(receipt.facts["rows"] for receipt in artifact.receipts)
        if not artifact.rows:
            raise DataError(
                f"plan {self.id}: {rows} pairs of split {artifact.receipts[0].facts['split']!r} "
                f"make not one batch of {self.planner.size}. Take a smaller `size`."
            )
        sizes = {receipt.facts["size"] for receipt in artifact.receipts if receipt.rows}
        if len(sizes) > 1:
            raise DataError(
                f"plan {self.id}: blocks have batches of {min(sizes)} and {max(sizes)} pairs, as "
                "their classes differ in number. Take a larger `block` or a smaller `size`."
            )

    def _seed(self) -> int:
        # Two planners of one kind in a run must not draw the same numbers.
        text = f"{self.seed}/plan/{self.id}"
        return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little")


class FinalPlan(Stage):
    """The blocks of a plan as one array file. Inputs: plan."""

    def plan(self, inputs: Inputs) -> list[Task]:
        """One task."""
        del inputs
        return [Task("plan")]

    def open(self, inputs: Inputs) -> Worker:
        """Blocks are mapped and copied one after the other."""
        made = inputs["plan"]
        blocks = [receipt for receipt in made.receipts if receipt.rows]

        def join(task: Task) -> Output:
            del task

            files = {"npy": _joined(made, "npy")}
            if made.file(blocks[0].part, NEGATIVES).exists():
                files[NEGATIVES] = _joined(made, NEGATIVES)
            return Output(made.rows, files, _together(made))

        return join


def _ids_of(rows: PairRows, made: Batches, count: int) -> np.ndarray:
    """Return the drawn negatives as sample ids, int64 [batches, size, count]; -1 fill."""
    if made.negatives is None:
        return np.zeros((*made.places.shape, count), np.int64)
    there = made.negatives != NO_ID
    return np.where(there, rows.anchor_id[np.where(there, made.negatives, 0)], NO_ID)


def _joined(made: Artifact, suffix: str) -> Callable[[Path], None]:
    """Return what writes the arrays of all parts as one; each is mapped and copied."""
    parts = [receipt.part for receipt in made.receipts if receipt.rows]

    def write(path: Path) -> None:
        shape = (made.rows, *made.array(parts[0], suffix).shape[1:])
        with path.open("wb") as file:
            header = {"descr": "<i8", "fortran_order": False, "shape": shape}
            np.lib.format.write_array_header_1_0(file, header)
            for part in parts:
                made.array(part, suffix).tofile(file)

    return write


def _together(made: Artifact) -> dict[str, Any]:
    """Return the facts of a whole plan; those of planners are of the first block."""
    facts = [receipt.facts for receipt in made.receipts]
    rows, used = (sum(fact[name] for fact in facts) for name in ("rows", "used"))
    first = next(receipt.facts for receipt in made.receipts if receipt.rows)
    return {
        "split": first["split"],
        "size": first["size"],
        "blocks": len(facts),
        "pairs_left_out": rows - used,
        "planner": first["planner"],
    }


def _vectors(inputs: Inputs, name: str) -> VectorStore:
    return VectorStore(name, Rows.of(inputs[f"vectors:{name}"]))


def _graph(inputs: Inputs, name: str) -> GraphStore:
    artifact = inputs[f"graph:{name}"]
    return GraphStore(name, Rows.of(artifact, "ids.npy"), Rows.of(artifact, "sims.npy"))
