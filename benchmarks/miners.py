"""Anchors a second of CPU time of every registered miner, beside plain loops and DuckDB SQL.

    OMP_NUM_THREADS=1 python benchmarks/miners.py [--samples 65536] [--k 64] [--dim 128] [--json]
        [--only NAME ...]

The graphs are random but shaped like real ones (falling similarities, different neighbours in two
spaces), and stand in .npy files like the artifacts. Miners are found through the registry, so a
new one is timed without a change here; one that needs more than this corpus has says what. Loop
and SQL must find the same edges; they are timed on fewer anchors where they are slow.

Quick: --samples 8192 --k 32 --dim 32
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from miner_references import CAPTIONS, GRAPH, LOOPS, SETTINGS, SQL, Pairs, database

from curate.manifests.vectors import GraphStore, Rows, VectorStore, starts_of
from curate.pipeline.config import MINERS
from curate.stages import registry
from curate.stages.mining.base import (
    TAKEN,
    Block,
    Clusters,
    EdgeLists,
    LabelSets,
    Miner,
    RowIndex,
)
from curate.stages.mining.columns import Columns
from curate.stages.mining.prepare import StoredRows

PART = 8192
CLASSES = 1000
FRAMES = 256
"""Frames of one camera."""
LOOPED = 2048


@dataclass(frozen=True)
class Corpus:
    """Ready graphs with all that miners look up, and the folder of their files."""

    folder: Path
    graphs: Mapping[str, GraphStore]
    vectors: Mapping[str, VectorStore]
    columns: Columns
    clusters: Mapping[str, Clusters]

    @property
    def count(self) -> int:
        """Number of samples."""
        return self.columns.count


@dataclass(frozen=True)
class Clustered:
    """One set of clusters of one level: the labels, and a random accept rank."""

    name: str
    codes: np.ndarray
    ranks: np.ndarray
    columns: Columns

    @property
    def ranked(self) -> int:
        """All samples."""
        return len(self.codes)

    def take(self, ids: np.ndarray, level: int = 0) -> np.ndarray:
        """Return clusters."""
        return np.where(ids == -1, -1, self.codes[ids].astype(np.int64))

    def confidence(self, ids: np.ndarray, level: int = 0) -> np.ndarray:
        """Return 1."""
        return np.ones(np.shape(ids), np.float32)

    def accept_rank(self, ids: np.ndarray, level: int = 0) -> np.ndarray:
        """Return accept ranks."""
        return np.where(ids == -1, -1, self.ranks[ids])

    def members(self, level: int = 0) -> RowIndex:
        """Return the index of the labels."""
        return self.columns.rows_with("label", "split", "group_id")


def make_corpus(folder: Path, count: int, k: int, dim: int) -> Corpus:
    """Write random graphs and random vectors; `count` is a multiple of `PART`."""
    rng = np.random.default_rng(0)
    sizes = [PART] * (count // PART)
    names: dict[str, list[Path]] = {}
    for part, start in enumerate(range(0, count, PART)):
        for space in ("image", "caption"):
            for name, array in _part(rng, start, count, k, dim).items():
                path = folder / f"{space}-{name}-{part}.npy"
                np.save(path, array)
                names.setdefault(f"{space}-{name}", []).append(path)
    rows = {name: Rows(tuple(paths), starts_of(sizes)) for name, paths in names.items()}
    columns = _columns(rng, count)
    ids = columns.coded["label"]
    return Corpus(
        folder,
        {
            f"{space}>{space}": GraphStore(
                f"{space}>{space}", rows[f"{space}-ids"], rows[f"{space}-sims"]
            )
            for space in ("image", "caption")
        },
        {space: VectorStore(space, rows[f"{space}-vectors"]) for space in ("image", "caption")},
        columns,
        {"image": Clustered("image", ids, rng.permutation(count), columns)},
    )


def _columns(rng: np.random.Generator, count: int) -> Columns:
    """Return labels, and attributes of cameras that take a frame a second, in bursts."""
    label = rng.integers(0, CLASSES, count).astype(np.int32)
    camera = np.arange(count, dtype=np.int32) // FRAMES
    coded = {
        "label": label,
        "split": np.zeros(count, np.int32),
        "group_id": np.arange(count, dtype=np.int32),
        "attr_location": camera,
    }
    numbered = {
        "attr_time": np.arange(count) % FRAMES * 2.0 + 1.6e9,
        "attr_lat": np.sin(camera) * 60,
        "attr_lon": np.cos(camera * 7.0) * 170,
    }
    sets = LabelSets(np.arange(count + 1), label, CLASSES)
    return Columns(count, coded, {"labels": sets}, numbered)


def _part(
    rng: np.random.Generator, start: int, count: int, k: int, dim: int
) -> dict[str, np.ndarray]:
    anchors = np.arange(start, start + PART)
    # Different steps within a neighbourhood of 4k ids: different neighbours, none is self.
    steps = np.argsort(rng.random((PART, 4 * k)), axis=1)[:, :k] + 1
    sims = np.sort(rng.uniform(0.3, 0.95, (PART, k)).astype(np.float32))[:, ::-1]
    vectors = rng.normal(size=(PART, dim)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return {
        "ids": (anchors[:, None] + np.where(steps % 2, steps, -steps)) % count,
        "sims": np.ascontiguousarray(sims),
        "vectors": vectors.astype(np.float16),
    }


def block_of(corpus: Corpus, anchors: np.ndarray) -> Block:
    """Return a block whose anchors have five positives and up to eight false negatives."""
    ids, sims = corpus.graphs[GRAPH].rows(anchors)
    positives = ids[:, :5]
    false = np.where(sims[:, 5:13] > 0.9, ids[:, 5:13], -1)
    ones = np.ones(positives.shape, np.float32)
    return Block(
        anchors=anchors,
        samples=corpus.columns,
        graphs=corpus.graphs,
        vectors=corpus.vectors,
        positives=EdgeLists(positives, ones, ones),
        clusters=corpus.clusters,
        false_negatives=EdgeLists(false, sims[:, 5:13], sims[:, 5:13]),
        negatives=EdgeLists.none(len(anchors)),
        thresholds={name: {"eliminate": 0.8, "attract": 0.9} for name in (GRAPH, CAPTIONS)},
    )


def every_miner(only: list[str]) -> Iterator[tuple[str, type[Miner], Mapping[str, Any]]]:
    """Yield (name, class, settings) of every registered miner and of every variant in SETTINGS."""
    for section, package in MINERS.items():
        for name in registry.names(package):
            variants = [key for key in SETTINGS if key.split(" ")[0] == name]
            # Two sections may know one name; settings are of the first.
            here = variants if section == _first_section(name) else []
            for key in here if name in here else [name, *here]:
                if not only or name in only:
                    shown = key if section == _first_section(name) else f"{key} ({section})"
                    settings = SETTINGS.get(key, {}) if key in here else {}
                    yield shown, registry.load(name, package, Miner), settings


def _first_section(name: str) -> str:
    return next(s for s, package in MINERS.items() if name in registry.names(package))


def prepared(corpus: Corpus, miner: Miner) -> tuple[Mapping[str, StoredRows], float]:
    """Write what the miner wants beforehand to files; return it, and seconds."""
    begun, made = time.process_time(), {}
    for number, (name, stage) in enumerate(miner.preparations.items()):
        rows = stage.computed(corpus.graphs, corpus.vectors, corpus.count)
        files: list[list[Path]] = [[] for _ in stage.suffixes]
        for start in range(0, corpus.count, PART):
            for at, array in enumerate(rows.rows(np.arange(start, start + PART))):
                files[at].append(corpus.folder / f"prepared-{number}-{at}-{start}.npy")
                np.save(files[at][-1], array)
        starts = starts_of([PART] * (corpus.count // PART))
        made[name] = StoredRows(tuple(Rows(tuple(paths), starts) for paths in files))
    return made, time.process_time() - begun


def taken(miner: Miner, block: Block) -> Pairs:
    """Return what a miner takes."""
    found = miner.mine(block)
    row, place = np.nonzero((found.ids >= 0) & (found.reasons == TAKEN))
    return set(zip(block.anchors[row].tolist(), found.ids[row, place].tolist(), strict=True))


def rate(work: Callable[[], object], anchors: int, repeat: int = 3) -> float:
    """Return anchors a second, the best of some runs after a warm one."""
    work()
    return anchors / min(_seconds(work) for _ in range(repeat))


def _seconds(work: Callable[[], object]) -> float:
    """Return seconds of this process's core: on a shared machine the clock counts others too."""
    begun = time.process_time()
    work()
    return time.process_time() - begun


def measure(corpus: Corpus, only: list[str]) -> Iterator[dict[str, object]]:
    """Time every miner; check loop and SQL against it."""
    block = block_of(corpus, np.arange(PART))
    few = block_of(corpus, np.arange(LOOPED))
    db = database(block, corpus.count)
    for name, kind, settings in every_miner(only):
        try:
            miner = kind(**settings)
            made, seconds = prepared(corpus, miner)
            whole = dataclasses.replace(block, prepared=made)
            start = dataclasses.replace(few, prepared=made)
            row: dict[str, object] = {
                "miner": name,
                "ours": rate(lambda m=miner, b=whole: m.mine(b), PART),
            }
        except (ValueError, KeyError, TypeError, IndexError) as error:
            # This corpus lacks what it needs: a column, captions, a setting without a default.
            yield {"miner": name, "note": f"{type(error).__name__}: {str(error)[:60]!r}"}
            continue
        if made:
            row["prepared"] = corpus.count / seconds
        yield row | _compared(name, (miner, whole, start), db)


def _compared(name: str, work: tuple[Miner, Block, Block], db: Any) -> dict[str, object]:
    """Time loop and SQL, where there are any, and say whether they find the same edges."""
    miner, block, few = work
    row: dict[str, object] = {}
    agree = []
    expected = taken(miner, block) if name in LOOPS or name in SQL else set()
    if name in LOOPS:
        loop = LOOPS[name]
        row["loop"] = rate(lambda: loop(few), LOOPED, repeat=1)
        agree.append(loop(few) == {pair for pair in expected if pair[0] < LOOPED})
    if name in SQL:
        k = f"{float(block.graphs[GRAPH].k)}::double"
        query = SQL[name].replace("$n", str(PART)).replace("$k", k)
        row["duckdb"] = rate(lambda: db.sql(query).to_arrow_table(), PART)
        agree.append(set(db.execute(query).fetchall()) == expected)
    return row | ({"agree": all(agree)} if agree else {})


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--samples", type=int, default=65536)
    parser.add_argument("--k", type=int, default=64)
    parser.add_argument("--dim", type=int, default=128)
    parser.add_argument("--only", nargs="*", default=[], help="names of miners; all by default")
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    count = asked.samples // PART * PART
    with tempfile.TemporaryDirectory() as folder:
        corpus = make_corpus(Path(folder), count, asked.k, asked.dim)
        if asked.json:
            print(json.dumps(list(measure(corpus, asked.only)), indent=1))
            return
        print(
            f"anchors a second of CPU time, one core, N = {count}, k = {asked.k}, d = {asked.dim}"
        )
        columns = ("ours", "loop", "duckdb", "prepared")
        print(f"{'miner':<34}" + "".join(f"{c:>12}" for c in columns) + "  same edges")
        for row in measure(corpus, asked.only):
            numbers = (row.get(name) for name in columns)
            cells = "".join(
                f"{n:>12,.0f}" if isinstance(n, float) else f"{'':>12}" for n in numbers
            )
            print(f"{row['miner']!s:<34}{cells}  {row.get('agree', row.get('note', ''))}")


if __name__ == "__main__":
    main()
