"""The published tables: parts joined to files of about a million rows, ids added, nothing else."""

from __future__ import annotations

import abc
import json
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa
from pydantic import Field

from ...manifests.artifact import Artifact, Output
from ...manifests.schema import (
    ACCEPT_RANK,
    ATTRIBUTE_PREFIX,
    CLUSTERS,
    EDGES,
    FLOATS,
    FORMAT,
    IDS,
    NEIGHBORS,
    NO_ID,
    PAIR_EXTRAS,
    SAMPLES,
    padded_list,
    pairs_schema,
)
from ...manifests.tables import open_parquet, write_parquet_stream
from ..base import Inputs, Stage, Task, Worker
from .table import cluster_ids


class Final(Stage):
    """Joins consecutive parts of one input into files; a subclass names the input and its rows."""

    rows_per_file: int = Field(default=1_000_000, ge=1)

    @abc.abstractmethod
    def source(self, inputs: Inputs) -> Artifact:
        """Return the artifact whose parts are joined."""

    def rows(self, source: Artifact) -> list[int]:
        """Return the rows that each part gives."""
        return [receipt.rows for receipt in source.receipts]

    @abc.abstractmethod
    def layout(self, inputs: Inputs) -> pa.Schema:
        """Return the schema of the published table."""

    @abc.abstractmethod
    def table(self, inputs: Inputs, part: str, first: int) -> pa.Table:
        """Return the rows of one part; `first` is the number of its first row."""

    def metadata(self, inputs: Inputs) -> Mapping[str, str]:
        """Return key-value metadata of every file."""
        del inputs
        return {"pairset.format": FORMAT, "pairset.table": self.name}

    @property
    @abc.abstractmethod
    def name(self) -> str:
        """Name of the table in the manifest."""

    def plan(self, inputs: Inputs) -> list[Task]:
        """One task a file: consecutive parts that together have at most `rows_per_file` rows."""
        source = self.source(inputs)
        files: list[tuple[list[str], int]] = []
        first = held = 0
        for part, rows in zip(source.parts, self.rows(source), strict=True):
            if not files or held + rows > self.rows_per_file:
                files.append(([], first))
                held = 0
            files[-1][0].append(part)
            first, held = first + rows, held + rows
        return [
            Task(f"part-{number:05d}", {"parts": parts, "first": start})
            for number, (parts, start) in enumerate(files)
        ]

    def open(self, inputs: Inputs) -> Worker:
        """Nothing is loaded; a file is written part by part."""
        source, schema, metadata = self.source(inputs), self.layout(inputs), self.metadata(inputs)
        rows_of = dict(zip(source.parts, self.rows(source), strict=True))

        def join(task: Task) -> Output:
            parts: list[str] = task.spec["parts"]

            def tables() -> Iterator[pa.Table]:
                first = task.spec["first"]
                for part in parts:
                    yield self.table(inputs, part, first)
                    first += rows_of[part]

            def write(path: Path) -> None:
                write_parquet_stream(tables(), schema, path, metadata)

            return Output(sum(rows_of[part] for part in parts), {"parquet": write})

        return join


class FinalSamples(Final):
    """`samples`: groups are added, and clusters if one set of them is published.

    Inputs: samples, groups; clusters for `cluster_id`, and ranks besides for `accept_rank`.
    """

    level: int = Field(default=0, ge=0)
    """Level of the clusters; 0 is the finest."""

    @property
    def name(self) -> str:
        """Name of the table."""
        return "samples"

    def source(self, inputs: Inputs) -> Artifact:
        """The samples."""
        return inputs["samples"]

    def layout(self, inputs: Inputs) -> pa.Schema:
        """SAMPLES, the accept rank if it is asked for, and the attributes of the corpus."""
        samples = inputs["samples"]
        with open_parquet(samples.file(samples.parts[0])) as file:
            found = file.schema_arrow
        ranks = [pa.field(ACCEPT_RANK, pa.int64(), nullable=False)] if "ranks" in inputs else []
        attributes = (item for item in found if item.name.startswith(ATTRIBUTE_PREFIX))
        return pa.schema([*SAMPLES, *ranks, *attributes])

    def table(self, inputs: Inputs, part: str, first: int) -> pa.Table:
        """The rows of a part with `group_id` and `cluster_id`, null where there is no cluster."""
        table, groups = inputs["samples"].table(part), inputs["groups"]
        ids = groups.array(groups.parts[0])[first : first + table.num_rows]
        table = table.append_column("group_id", pa.array(np.asarray(ids, np.int64)))
        clusters = cluster_ids(inputs.get("clusters"), part, self.level, table.num_rows)
        table = table.append_column("cluster_id", pa.array(clusters, mask=clusters == NO_ID))
        if "ranks" in inputs:
            whole = inputs["ranks"].array(inputs["ranks"].parts[0], f"rank-{self.level}.npy")
            ranks = whole[first : first + table.num_rows]
            table = table.append_column(ACCEPT_RANK, pa.array(np.asarray(ranks, np.int64)))
        schema = self.layout(inputs)
        return table.select(schema.names).cast(schema)


class FinalPairs(Final):
    """`pairs`: dense `pair_id` is added. Inputs: assemble."""

    @property
    def name(self) -> str:
        """Name of the table."""
        return "pairs"

    def source(self, inputs: Inputs) -> Artifact:
        """The assembled rows."""
        return inputs["assemble"]

    def layout(self, inputs: Inputs) -> pa.Schema:
        """PAIRS, and the extras that the assembly counted."""
        receipts = inputs["assemble"].receipts
        return pairs_schema(receipts[0].facts if receipts else {})

    def metadata(self, inputs: Inputs) -> Mapping[str, str]:
        """List lengths and the names behind the kinds, beside format and table."""
        facts = inputs["assemble"].receipts[0].facts
        names = dict.fromkeys(["P", "K", "F", *(extra.present for extra in PAIR_EXTRAS)])
        lengths = {f"pairset.{name}": str(facts[name]) for name in names if name in facts}
        return {**super().metadata(inputs), **lengths, "pairset.kinds": json.dumps(facts["kinds"])}

    def table(self, inputs: Inputs, part: str, first: int) -> pa.Table:
        """The rows of a part with their numbers."""
        table = inputs["assemble"].table(part, suffix="pairs.parquet")
        ids = pa.array(np.arange(first, first + table.num_rows))
        schema = self.layout(inputs)
        return table.append_column("pair_id", ids).select(schema.names).cast(schema)


class FinalEdges(Final):
    """`edges`, as they are. Inputs: assemble."""

    @property
    def name(self) -> str:
        """Name of the table."""
        return "edges"

    def source(self, inputs: Inputs) -> Artifact:
        """The assembled parts."""
        return inputs["assemble"]

    def rows(self, source: Artifact) -> list[int]:
        """The edges of each part, which its receipt counts among the facts."""
        return [receipt.facts["edges"] for receipt in source.receipts]

    def layout(self, inputs: Inputs) -> pa.Schema:
        """EDGES."""
        del inputs
        return EDGES

    def table(self, inputs: Inputs, part: str, first: int) -> pa.Table:
        """The edges of a part."""
        del first
        return inputs["assemble"].table(part, suffix="edges.parquet")


class FinalNeighbors(Final):
    """`neighbors/<graph>`. Inputs: samples, graph; hubs for a corrected graph."""

    version = 2
    graph: str

    @property
    def name(self) -> str:
        """Name of the table, with the graph."""
        return f"neighbors/{self.graph}"

    def source(self, inputs: Inputs) -> Artifact:
        """The graph."""
        return inputs["graph"]

    def layout(self, inputs: Inputs) -> pa.Schema:
        """NEIGHBORS."""
        del inputs
        return NEIGHBORS

    def table(self, inputs: Inputs, part: str, first: int) -> pa.Table:
        """The lists of a part; similarity 0 where there is no neighbour."""
        graph = inputs["graph"]
        ids = np.asarray(graph.array(part, "ids.npy"))
        found = np.where(ids >= 0, graph.array(part, "sims.npy"), np.float32(0))
        columns = [
            pa.array(np.arange(first, first + len(ids))),
            padded_list(ids, IDS),
            padded_list(found, FLOATS),
        ]
        hubs = inputs.get("hubs")
        for side in ("query.npy", "bank.npy"):
            nothing = pa.nulls(len(ids), pa.float32())
            columns.append(nothing if hubs is None else pa.array(hubs.array(part, side)))
        return pa.table(columns, schema=NEIGHBORS)


class FinalClusters(Final):
    """`clusters/<name>`. Inputs: clusters, ranks."""

    cluster_set: str

    @property
    def name(self) -> str:
        """Name of the table, with the set."""
        return f"clusters/{self.cluster_set}"

    def source(self, inputs: Inputs) -> Artifact:
        """The assignments."""
        return inputs["clusters"]

    def layout(self, inputs: Inputs) -> pa.Schema:
        """CLUSTERS."""
        del inputs
        return CLUSTERS

    def table(self, inputs: Inputs, part: str, first: int) -> pa.Table:
        """The clusters, confidences and accept ranks of a part, a place a level."""
        clusters, ranks = inputs["clusters"], inputs["ranks"]
        ids = np.asarray(clusters.array(part, "ids.npy"))
        rows, name = slice(first, first + len(ids)), ranks.parts[0]
        ranked = [ranks.array(name, f"rank-{i}.npy")[rows] for i in range(ids.shape[1])]
        columns = [
            pa.array(np.arange(first, first + len(ids))),
            padded_list(ids.astype(np.int64), IDS),
            padded_list(np.asarray(clusters.array(part, "confidence.npy")), FLOATS),
            padded_list(np.stack(ranked, axis=1), IDS),
        ]
        return pa.table(columns, schema=CLUSTERS)
