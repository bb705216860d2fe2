"""Samples: the rows of `scan` that census kept, in order of sample_id, in parts of one size."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from ...manifests.artifact import Artifact, Output
from ...manifests.pairset import own_shard
from ...manifests.schema import ATTRIBUTE_PREFIX, samples_schema
from ...manifests.tables import ROW_GROUP_ROWS, open_parquet
from ..base import Inputs, Stage, Task, Worker
from .attributes import attribute_column

_LATER = ("group_id", "cluster_id")
_COPIED = ("key", "sha256", "ext", "width", "height", "captions", "labels", "uid", "split")


def schema(attributes: Mapping[str, str]) -> pa.Schema:
    """Return the schema: `samples_schema` without what later stages add, and two positions.

    `position` is the ordinal among all inputs, refused ones counted; `caption_position` that of
    the first caption among all captions.
    """
    fields = [field for field in samples_schema(dict(attributes)) if field.name not in _LATER]
    positions = [pa.field(n, pa.int64(), nullable=False) for n in ("position", "caption_position")]
    return pa.schema([*fields, *positions])


class Samples(Stage):
    """Writes the table of samples."""

    version = 1

    def plan(self, inputs: Inputs) -> list[Task]:
        """Plan parts of `part_rows` samples; the same for any number of workers."""
        census = inputs["census"]
        size = int(census.receipts[0].facts["part_rows"])
        return [
            Task(f"part-{number:05d}", {"start": start, "stop": min(start + size, census.rows)})
            for number, start in enumerate(range(0, census.rows, size))
        ]

    def open(self, inputs: Inputs) -> Worker:
        """Return the function that writes one part."""
        scan, census = inputs["scan"], inputs["census"]
        facts = census.receipts[0].facts
        kinds: dict[str, str] = dict(facts["attribute_kinds"])
        layout = schema(facts["attributes"])
        counts = {"inputs": facts["inputs"], "input_captions": facts["input_captions"]}

        def work(task: Task) -> Output:
            start, stop = int(task.spec["start"]), int(task.spec["stop"])
            rows = _census_rows(census, start, stop)
            table = _build(scan, rows, start, kinds, layout)
            captions = int(np.sum([len(texts) for texts in table["captions"].to_pylist()]))
            return Output.of(table, captions=captions, **counts)

        return work


def _census_rows(census: Artifact, start: int, stop: int) -> dict[str, np.ndarray]:
    part = census.parts[0]
    first, last = start // ROW_GROUP_ROWS, -(-stop // ROW_GROUP_ROWS)
    with open_parquet(census.file(part)) as file:
        table = file.read_row_groups(list(range(first, last)))
    shift = first * ROW_GROUP_ROWS
    chosen = table.slice(start - shift, stop - start)
    return {name: chosen[name].to_numpy() for name in chosen.column_names}


def _build(
    scan: Artifact,
    rows: Mapping[str, np.ndarray],
    start: int,
    kinds: Mapping[str, str],
    layout: pa.Schema,
) -> pa.Table:
    runs = np.split(np.arange(len(rows["scan_part"])), _changes(rows["scan_part"]))
    found = pa.concat_tables(
        _scan_rows(scan, int(rows["scan_part"][run[0]]), rows["scan_row"][run]) for run in runs
    )
    columns: dict[str, Any] = {name: found[name] for name in _COPIED}
    for whole, one in (("captions", "caption"), ("labels", "label")):
        columns[one] = pa.array(
            [texts[0] if texts else None for texts in found[whole].to_pylist()], pa.string()
        )
    columns["sample_id"] = np.arange(start, start + found.num_rows)
    for name in ("shard", "offset", "size"):
        columns[name] = found[name]
    told = [json.loads(text) for text in found["attributes"].to_pylist()]
    for name, kind in kinds.items():
        values = [item.get(name) for item in told]
        columns[ATTRIBUTE_PREFIX + name] = attribute_column(values, kind)
    for name in ("position", "caption_position"):
        columns[name] = rows[name]
    return pa.table({name: columns[name] for name in layout.names}, layout)


def _changes(values: np.ndarray) -> np.ndarray:
    return np.flatnonzero(np.diff(values)) + 1


def _scan_rows(scan: Artifact, number: int, rows: np.ndarray) -> pa.Table:
    """Return rows of one part of `scan`; only the row groups that hold them are read."""
    part = scan.parts[number]
    first, last = int(rows[0]) // ROW_GROUP_ROWS, int(rows[-1]) // ROW_GROUP_ROWS + 1
    with open_parquet(scan.file(part)) as file:
        table = file.read_row_groups(list(range(first, last)))
    table = table.take(pa.array(rows - first * ROW_GROUP_ROWS))
    shards = [
        own_shard(part) if offset >= 0 and not shard else shard
        for shard, offset in zip(
            table["shard"].to_pylist(), table["offset"].to_pylist(), strict=True
        )
    ]
    column = table.schema.get_field_index("shard")
    return table.set_column(column, table.schema.field(column), pa.array(shards, pa.string()))
