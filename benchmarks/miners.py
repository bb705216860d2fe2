"""Anchors a second of every miner on one core, beside a plain loop over rows and DuckDB SQL.

    OMP_NUM_THREADS=1 python benchmarks/miners.py [--samples 65536] [--k 64] [--json]

The graph is random but shaped like a real one (falling similarities, in-cluster neighbours), and
stands in .npy files like the artifact. Loop and SQL must find the same edges; they are timed on
fewer anchors where they are slow.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa

from curate.manifests.vectors import GraphStore, Rows, VectorStore, starts_of
from curate.stages.mining.base import TAKEN, Block, EdgeLists, LabelSets, Miner
from curate.stages.mining.columns import Columns
from curate.stages.mining.false_negatives.topk_threshold import TopkThreshold
from curate.stages.mining.negatives.hard import Hard
from curate.stages.mining.negatives.random import Random
from curate.stages.mining.positives.knn import Knn
from curate.stages.mining.positives.label import Label
from curate.stages.mining.positives.self_aug import SelfAug

GRAPH = "image>image"
PART = 8192
DIM = 512
CLASSES = 1000
LOOPED = 2048
THRESHOLD = 0.8


@dataclass(frozen=True)
class Corpus:
    """A ready graph with all that miners look up."""

    graph: GraphStore
    vectors: VectorStore
    columns: Columns

    @property
    def count(self) -> int:
        """Number of samples."""
        return self.columns.count


def make_corpus(folder: Path, count: int, k: int) -> Corpus:
    """Write a random graph and random vectors; `count` is a multiple of `PART`."""
    rng = np.random.default_rng(0)
    sizes = [PART] * (count // PART)
    names: dict[str, list[Path]] = {"ids": [], "sims": [], "image": []}
    for part, start in enumerate(range(0, count, PART)):
        anchors = np.arange(start, start + PART)
        # Different steps within a neighbourhood of 4k ids: different neighbours, none is self.
        steps = np.argsort(rng.random((PART, 4 * k)), axis=1)[:, :k] + 1
        sims = np.sort(rng.uniform(0.3, 0.95, (PART, k)).astype(np.float32))[:, ::-1]
        image = rng.normal(size=(PART, DIM)).astype(np.float32)
        image /= np.linalg.norm(image, axis=1, keepdims=True)
        arrays = {
            "ids": (anchors[:, None] + np.where(steps % 2, steps, -steps)) % count,
            "sims": np.ascontiguousarray(sims),
            "image": image.astype(np.float16),
        }
        for name, array in arrays.items():
            path = folder / f"{name}-{part}.npy"
            np.save(path, array)
            names[name].append(path)
    rows = {name: Rows(tuple(paths), starts_of(sizes)) for name, paths in names.items()}
    label = rng.integers(0, CLASSES, count).astype(np.int32)
    coded = {
        "label": label,
        "split": np.zeros(count, np.int32),
        "group_id": np.arange(count, dtype=np.int32),
    }
    sets = LabelSets(np.arange(count + 1), label, CLASSES)
    return Corpus(
        GraphStore(GRAPH, rows["ids"], rows["sims"]),
        VectorStore("image", rows["image"]),
        Columns(count, coded, {"labels": sets}),
    )


def block_of(corpus: Corpus, anchors: np.ndarray) -> Block:
    """Return a block whose anchors have five positives and up to eight false negatives."""
    ids, sims = corpus.graph.rows(anchors)
    positives = ids[:, :5]
    false = np.where(sims[:, 5:13] > 0.9, ids[:, 5:13], -1)
    ones = np.ones(positives.shape, np.float32)
    return Block(
        anchors=anchors,
        samples=corpus.columns,
        graphs={GRAPH: corpus.graph},
        vectors={"image": corpus.vectors},
        positives=EdgeLists(positives, ones, ones),
        false_negatives=EdgeLists(false, sims[:, 5:13], sims[:, 5:13]),
        negatives=EdgeLists.none(len(anchors)),
    )


Pairs = set[tuple[int, int]]


def taken(miner: Miner, block: Block) -> Pairs:
    """Return what a miner takes."""
    found = miner.mine(block)
    row, place = np.nonzero((found.ids >= 0) & (found.reasons == TAKEN))
    return set(zip(block.anchors[row].tolist(), found.ids[row, place].tolist(), strict=True))


def loop_knn(corpus: Corpus, block: Block) -> Pairs:
    """Mutual five nearest, anchor by anchor."""
    out = set()
    for anchor in block.anchors.tolist():
        near = corpus.graph.rows(np.array([anchor]))[0][0, :5].tolist()
        for other in near:
            if anchor in corpus.graph.rows(np.array([other]))[0][0, :5]:
                out.add((anchor, other))
    return out


def loop_hard(corpus: Corpus, block: Block) -> Pairs:
    """Four hardest within ranks 5 to 64 below 95 % of the least positive."""
    out = set()
    for i, anchor in enumerate(block.anchors.tolist()):
        ids, sims = (part[0].tolist() for part in corpus.graph.rows(np.array([anchor])))
        never = {*block.positives.ids[i].tolist(), *block.false_negatives.ids[i].tolist()}
        least = min(s for j, s in zip(ids, sims, strict=True) if j in block.positives.ids[i])
        passing = [
            j
            for rank, (j, s) in enumerate(zip(ids, sims, strict=True))
            if rank >= 5 and j not in never and s <= least - (1 - 0.95) * max(least, 0.1)
        ]
        out |= {(anchor, j) for j in passing[:4]}
    return out


def loop_topk(corpus: Corpus, block: Block) -> Pairs:
    """The ten nearest above a threshold that are no positives."""
    out = set()
    for i, anchor in enumerate(block.anchors.tolist()):
        ids, sims = (part[0, :10].tolist() for part in corpus.graph.rows(np.array([anchor])))
        known = set(block.positives.ids[i].tolist())
        pairs = zip(ids, sims, strict=True)
        out |= {(anchor, j) for j, s in pairs if s >= THRESHOLD and j not in known}
    return out


SQL = {
    "knn mutual": """select g.a, g.b from g join g r on r.a = g.b and r.b = g.a
        where g.rank < 5 and r.rank < 5 and g.a < $n""",
    "hard": """with least as (
          select p.a, min(g.s)::double as s from p join g using (a, b) group by 1)
        select g.a, g.b from g join least l using (a)
        where g.a < $n and rank >= 5 and g.s <= l.s - (1 - 0.95::double) * greatest(l.s, 0.1)
          and not exists (select 1 from p where p.a = g.a and p.b = g.b)
          and not exists (select 1 from f where f.a = g.a and f.b = g.b)
        qualify row_number() over (partition by g.a order by rank) <= 4""",
    "topk_threshold": """select a, b from g where rank < 10 and s >= 0.8 and a < $n
        and not exists (select 1 from p where p.a = g.a and p.b = g.b)""",
}
LOOPS: dict[str, Callable[[Corpus, Block], Pairs]] = {
    "knn mutual": loop_knn,
    "hard": loop_hard,
    "topk_threshold": loop_topk,
}
MINERS: dict[str, Miner] = {
    "self_aug": SelfAug(),
    "knn": Knn(k=5),
    "knn mutual": Knn(k=5, mutual=True),
    "label": Label(count=4),
    "label by labels": Label(count=4, by="labels"),
    "topk_threshold": TopkThreshold(k=10, threshold=THRESHOLD),
    "topk_threshold and": TopkThreshold(k=10, threshold=THRESHOLD, symmetrise="and"),
    "hard": Hard(ranks=(5, 64), max_ratio=0.95, count=4),
    "hard exclude_label": Hard(ranks=(5, 64), max_ratio=0.95, count=4, exclude_label=True),
    "random": Random(count=4),
}


def database(corpus: Corpus, block: Block) -> duckdb.DuckDBPyConnection:
    """Load the graph and the lists of a block in long form, outside the timing."""
    db = duckdb.connect(config={"threads": 1})
    ids, sims = corpus.graph.rows(np.arange(corpus.count))
    k = ids.shape[1]
    tables = {
        "g": {
            "a": np.repeat(np.arange(corpus.count), k),
            "b": ids.reshape(-1),
            "rank": np.tile(np.arange(k), corpus.count),
            "s": sims.reshape(-1),
        }
    }
    for name, lists in (("p", block.positives.ids), ("f", block.false_negatives.ids)):
        row, place = np.nonzero(lists >= 0)
        tables[name] = {"a": block.anchors[row], "b": lists[row, place]}
    for name, columns in tables.items():
        db.register(f"_{name}", pa.table(columns))
        db.execute(f"create table {name} as select * from _{name}")
    return db


def rate(work: Callable[[], object], anchors: int, repeat: int = 3) -> float:
    """Return anchors a second, the best of some runs after a warm one."""
    work()
    best = min(_seconds(work) for _ in range(repeat))
    return anchors / best


def _seconds(work: Callable[[], object]) -> float:
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def measure(corpus: Corpus) -> list[dict[str, object]]:
    """Time every miner; check loop and SQL against it."""
    block = block_of(corpus, np.arange(PART))
    few = block_of(corpus, np.arange(LOOPED))
    db = database(corpus, block)
    return [_measure_one(corpus, name, (block, few), db) for name in MINERS]


def _measure_one(
    corpus: Corpus, name: str, blocks: tuple[Block, Block], db: duckdb.DuckDBPyConnection
) -> dict[str, object]:
    (block, few), miner = blocks, MINERS[name]
    row: dict[str, object] = {"miner": name, "ours": rate(lambda: miner.mine(block), PART)}
    if name in LOOPS:
        loop, query = LOOPS[name], SQL[name].replace("$n", str(PART))
        row["loop"] = rate(lambda: loop(corpus, few), LOOPED, repeat=1)
        row["duckdb"] = rate(lambda: db.sql(query).to_arrow_table(), PART)
        expected = taken(miner, block)
        same_sql = set(db.execute(query).fetchall()) == expected
        same_loop = loop(corpus, few) == {pair for pair in expected if pair[0] < LOOPED}
        row["agree"] = same_sql and same_loop
    return row


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--samples", type=int, default=65536)
    parser.add_argument("--k", type=int, default=64)
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        corpus = make_corpus(Path(folder), asked.samples // PART * PART, asked.k)
        rows = measure(corpus)
    if asked.json:
        print(json.dumps(rows, indent=1))
        return
    print(f"anchors a second, one core, N = {asked.samples}, k = {asked.k}, d = {DIM}")
    print(f"{'miner':<22}{'ours':>12}{'loop':>12}{'duckdb':>12}  same edges")
    for row in rows:
        numbers = (row.get(name) for name in ("ours", "loop", "duckdb"))
        cells = "".join(f"{n:>12,.0f}" if isinstance(n, float) else f"{'':>12}" for n in numbers)
        print(f"{row['miner']!s:<22}{cells}  {row.get('agree', '')}")


if __name__ == "__main__":
    main()
