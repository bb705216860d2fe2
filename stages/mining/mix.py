"""Runs one mixer over all anchors: from artifacts to blocks, from recipes to column `synthetic`."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from pydantic import Field

from ...manifests.artifact import Output
from ...manifests.errors import CurateError
from ...manifests.schema import MIXES, NO_ID
from ..base import Inputs, Resources, Stage, Task, Worker, task_per_part
from .base_mixer import Mixer, Mixes
from .columns import BYTES_A_SAMPLE
from .stage import open_blocks, seed_of


class Mix(Stage):
    """One mixer, one table of recipes a part of `samples`: a row an anchor, column `synthetic`.

    Inputs: samples, groups; graph:<graph>, vectors:<space> that the mixer names; edges:<id> of all
    miners, in their order.

    Facts of a part: recipes (places that are filled), anchors_with_recipes, and what the mixer
    reports.
    """

    mixer: Mixer
    id: str = Field(min_length=1)
    """Name of the mixer in this run."""
    seed: int = Field(default=0, ge=0)

    def plan(self, inputs: Inputs) -> list[Task]:
        """One task a part of `samples`."""
        return task_per_part(inputs["samples"])

    def resources(self, inputs: Inputs) -> Resources:
        """One core; some bytes a sample for the columns."""
        return Resources(memory_bytes=(700 << 20) + BYTES_A_SAMPLE * inputs["samples"].rows)

    def open(self, inputs: Inputs) -> Worker:
        """Load the columns; graphs and vectors stay on the disk."""
        block_of = open_blocks(inputs, self.mixer, seed_of(self.seed, self.id), {})

        def mix_part(task: Task) -> Output:
            block = block_of(task.part)
            mixes = self.mixer.mix(block)
            _check(self.mixer, mixes, len(block.anchors), block.samples.count)
            filled = mixes.a_ids != NO_ID
            facts = {
                "recipes": int(filled.sum()),
                "anchors_with_recipes": int(filled.any(axis=1).sum()),
                **mixes.facts,
            }
            return Output.of(mix_table(self.mixer.method, mixes), **facts)

        return mix_part


def mix_table(method: str, mixes: Mixes) -> pa.Table:
    """Return recipes as a table with the one column `synthetic`."""
    rows, width = mixes.a_ids.shape
    values = {
        "method": pa.array([method]).take(pa.array(np.zeros(rows * width, np.int8))),
        "type": mixes.types,
        "a_id": mixes.a_ids,
        "b_id": mixes.b_ids,
        "coef": mixes.coefs,
        "seed": mixes.seeds,
    }
    kind = MIXES.value_type
    arrays = [
        pa.array(np.ascontiguousarray(values[item.name]).reshape(-1), item.type)
        if isinstance(values[item.name], np.ndarray)
        else values[item.name]
        for item in kind
    ]
    flat = pa.StructArray.from_arrays(arrays, fields=list(kind))
    offsets = pa.array(np.arange(rows + 1, dtype=np.int32) * np.int32(width))
    return pa.table({"synthetic": pa.ListArray.from_arrays(offsets, flat, type=MIXES)})


def _check(mixer: Mixer, mixes: Mixes, anchors: int, samples: int) -> None:
    shape = (anchors, mixer.count)
    for name in ("types", "a_ids", "b_ids", "coefs", "seeds"):
        found = getattr(mixes, name)
        if found.shape != shape:
            raise CurateError(
                f"{type(mixer).__name__}.mix returned {name} of shape {found.shape}; "
                f"{shape} is expected."
            )
    for name in ("a_ids", "b_ids"):
        ids = getattr(mixes, name)
        if ids.min(initial=NO_ID) < NO_ID or ids.max(initial=NO_ID) >= samples:
            raise CurateError(f"{type(mixer).__name__}.mix returned {name} that are no samples.")
