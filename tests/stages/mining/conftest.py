"""Small corpora as committed artifacts, with a graph that brute force made."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from curate.manifests.artifact import Artifact, Draft, Output
from curate.manifests.schema import SAMPLES
from curate.stages.base import Stage
from curate.stages.mining.stage import Mine

GRAPH = "image>image"


def commit(path: Path, outputs: list[Output]) -> Artifact:
    draft = Draft(path)
    path.mkdir(parents=True, exist_ok=True)
    receipts = [draft.write(f"part-{i:05d}", output) for i, output in enumerate(outputs)]
    return draft.commit(path.name, receipts, {})


def run_stage(stage: Stage, inputs: dict[str, Artifact], path: Path) -> Artifact:
    path.mkdir(parents=True, exist_ok=True)
    worker, draft = stage.open(inputs), Draft(path)
    receipts = [draft.write(task.part, worker(task)) for task in stage.plan(inputs)]
    return draft.commit(path.name, receipts, {})


def unit(rows: np.ndarray) -> np.ndarray:
    norm = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.where(norm > 0, rows / np.maximum(norm, 1e-30), 0).astype(np.float16)


@dataclass
class World:
    """A corpus: vectors by space, labels, splits, groups; and what was made of it."""

    root: Path
    vectors: dict[str, np.ndarray]
    labels: list[list[str]]
    splits: list[str]
    groups: np.ndarray
    part_rows: int
    k: int
    made: dict[str, Artifact] = field(default_factory=dict)
    attributes: dict[str, pa.Array] = field(default_factory=dict)
    captions: list[list[str]] | None = None

    def __len__(self) -> int:
        return len(self.labels)

    def cosines(self, graph: str = GRAPH) -> np.ndarray:
        query, bank = graph.split(">")
        a, b = (self.vectors[name].astype(np.float32) for name in (query, bank))
        return (a[:, None, :] * b[None, :, :]).sum(-1, dtype=np.float32)

    def allowed(self, graph: str = GRAPH) -> np.ndarray:
        query, bank = (self.vectors[name].any(axis=1) for name in graph.split(">"))
        split = np.array(self.splits)
        same = (split[:, None] == split) & (self.groups[:, None] != self.groups)
        return same & query[:, None] & bank

    def neighbors(self, graph: str = GRAPH) -> tuple[np.ndarray, np.ndarray]:
        cosines, allowed = self.cosines(graph), self.allowed(graph)
        ids = np.full((len(self), self.k), -1, np.int64)
        found = np.zeros((len(self), self.k), np.float32)
        for i in range(len(self)):
            others = [j for j in range(len(self)) if allowed[i, j]]
            others.sort(key=lambda j, i=i: (-cosines[i, j], j))
            others = others[: self.k]
            ids[i, : len(others)] = others
            found[i, : len(others)] = cosines[i, others]
        return ids, found

    def pieces(self) -> list[slice]:
        return [slice(s, s + self.part_rows) for s in range(0, len(self), self.part_rows)]

    def build(self, graphs: tuple[str, ...] = (GRAPH,)) -> World:
        self.made["samples"] = commit(
            self.root / "samples", [self._samples(p) for p in self.pieces()]
        )
        self.made["groups"] = commit(
            self.root / "groups", [Output(len(self), {"npy": self.groups})]
        )
        for name, rows in self.vectors.items():
            parts = [Output(len(rows[p]), {"npy": rows[p]}) for p in self.pieces()]
            self.made[f"vectors:{name}"] = commit(self.root / f"v-{name}", parts)
        for graph in graphs:
            ids, found = self.neighbors(graph)
            parts = [
                Output(len(ids[p]), {"ids.npy": ids[p], "sims.npy": found[p]})
                for p in self.pieces()
            ]
            folder = self.root / graph.replace(">", "-")
            self.made[f"graph:{graph}"] = commit(folder, parts)
        return self

    def _samples(self, piece: slice) -> Output:
        ids = np.arange(len(self))[piece]
        labels = [list(item) for item in self.labels[piece]]
        columns = {
            "sample_id": ids,
            "key": [f"k{i}" for i in ids],
            "shard": [""] * len(ids),
            "offset": np.zeros(len(ids), np.int64),
            "size": np.zeros(len(ids), np.int64),
            "ext": [""] * len(ids),
            "captions": [[] for _ in ids] if self.captions is None else self.captions[piece],
            "label": [item[0] if item else None for item in labels],
            "labels": labels,
            "split": self.splits[piece],
        }
        fields = [f for f in SAMPLES if f.name not in ("group_id", "cluster_id")]
        arrays = [
            pa.array(columns.get(f.name, [None] * len(ids)), f.type, from_pandas=True)
            for f in fields
        ]
        table = pa.table(arrays, schema=pa.schema(fields))
        order = pa.array(ids, pa.int64())
        table = table.append_column("position", order).append_column("caption_position", order)
        for name, values in self.attributes.items():
            column = values.slice(piece.start, len(ids))
            table = table.append_column(f"attr_{name}", column)
        return Output.of(table)

    def mine(self, miner, name: str = "m", *needs: str, seed: int = 0) -> list[dict]:
        """Run a miner; return its edges."""
        found = self.run(Mine(miner=miner, id=name, seed=seed), f"edges:{name}", *needs)
        return pa.concat_tables(found.tables()).to_pylist()

    def run(self, stage: Stage, name: str, *needs: str, **renamed: str) -> Artifact:
        inputs = {need: self.made[need] for need in ("samples", "groups", *needs)}
        inputs |= {need: self.made[source] for need, source in renamed.items()}
        self.made[name] = run_stage(stage, inputs, self.root / name.replace(":", "-"))
        return self.made[name]

    def sql(self) -> duckdb.DuckDBPyConnection:
        """Open tables samples, graph (long form) and vectors (long form) for an outside opinion."""
        db = duckdb.connect()
        split, group = pa.array(self.splits), pa.array(self.groups)
        labels = pa.array([list(x) for x in self.labels], pa.list_(pa.string()))
        samples = pa.table(
            {"id": np.arange(len(self)), "split": split, "group_id": group, "labels": labels}
            | self.attributes
        )
        ids, found = self.neighbors()
        row, place = np.nonzero(ids >= 0)
        graph = pa.table({"a": row, "b": ids[row, place], "rank": place, "s": found[row, place]})
        cosines = self.cosines()
        n = len(self)
        every = pa.table(
            {
                "a": np.repeat(np.arange(n), n),
                "b": np.tile(np.arange(n), n),
                "s": cosines.reshape(-1),
            }
        )
        for name, table in (("samples", samples), ("graph", graph), ("cosines", every)):
            db.register(f"_{name}", table)
            db.execute(f"create table {name} as select * from _{name}")
        return db


@pytest.fixture
def make_world(tmp_path):
    made = 0

    def make(n=120, dim=8, k=20, part_rows=32, seed=0, classes=6, **changes) -> World:
        nonlocal made
        made += 1
        rng = np.random.default_rng(seed)
        centres = rng.normal(size=(classes, dim))
        kind = rng.integers(0, classes, n)
        image = unit(centres[kind] + 0.7 * rng.normal(size=(n, dim)))
        caption = unit(centres[kind] + 0.4 * rng.normal(size=(n, dim)))
        labels = [[f"c{c}"] for c in kind]
        for i in range(0, n, 11):
            labels[i] = []
        for i in range(3, n, 7):
            labels[i] = [*labels[i], "extra"]
        splits = ["test" if i % 5 == 0 else "train" for i in range(n)]
        groups = np.arange(n)
        for i in range(2, n, 13):
            # Copies of an earlier sample of the same split, so that self is not the first of ties.
            image[i], groups[i] = image[i - 1], groups[i - 1]
            splits[i] = splits[i - 1]
        image[7:8] = 0
        settings = {
            "vectors": {"image": image, "caption": caption},
            "labels": labels,
            "splits": splits,
            "groups": groups,
            **changes,
        }
        return World(root=tmp_path / f"w{made}", part_rows=part_rows, k=k, **settings)

    return make


@pytest.fixture
def make_cameras(make_world):
    """Make a world with attributes: camera (text), time, lat, lon, height; some are missing."""

    def make(n=120, seed=0, cameras=6, spread_s=60, **changes) -> World:
        rng = np.random.default_rng(seed)
        camera = [f"cam{i}" if i < cameras else None for i in rng.integers(0, cameras + 1, n)]
        camera[4] = "alone"
        seconds = rng.integers(0, spread_s, n) + 1_700_000_000
        seconds[n // 6 : n // 4] = seconds[n // 6]
        for i in range(2, n, 13):
            # Near-duplicates of this world come from one camera at one time.
            camera[i], seconds[i] = camera[i - 1], seconds[i - 1]
        micros = pa.array(seconds * 1_000_000).cast(pa.timestamp("us", tz="UTC"))
        gone = pa.array(np.arange(n) % 17 == 3)
        attributes = {
            "camera": pa.array(camera, pa.string()),
            "time": pc.if_else(gone, pa.scalar(None, micros.type), micros),
            "height": pa.array(np.where(np.arange(n) % 13 == 5, np.nan, rng.integers(0, 30, n))),
        }
        attributes["height"] = pc.if_else(
            pc.is_nan(attributes["height"]), pa.scalar(None, pa.float64()), attributes["height"]
        )
        taxon = ["animal/bird/owl", "animal/bird/tit", "animal/cat", "plant", "plant/tree/oak"]
        attributes["taxon"] = pa.array([taxon[i] for i in rng.integers(0, 5, n)])
        return make_world(
            n=n, seed=seed, attributes=attributes | changes.pop("more", {}), **changes
        )

    return make
