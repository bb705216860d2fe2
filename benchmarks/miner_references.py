"""What benchmarks/miners.py holds some miners against: plain loops over anchors, and DuckDB SQL.

Each finds the same edges as the miner with the settings named in `SETTINGS`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa

from curate.stages.mining.base import Block

GRAPH, CAPTIONS = "image>image", "caption>caption"
THRESHOLD, HIGH = 0.8, 0.9
QUANTILES = (0.5, 0.9, 1.0)

Pairs = set[tuple[int, int]]

SETTINGS: Mapping[str, Mapping[str, Any]] = {
    "knn": {"k": 5},
    "knn mutual": {"k": 5, "mutual": True},
    "knn hub_cap": {"k": 5, "hub_cap": 5},
    "label by labels": {"by": "labels"},
    "topk_threshold": {"threshold": THRESHOLD},
    "topk_threshold and": {"threshold": THRESHOLD, "symmetrise": "and"},
    "hard": {"ranks": (5, 64), "max_ratio": 0.95, "count": 4},
    "hard exclude_label": {"ranks": (5, 64), "max_ratio": 0.95, "exclude_label": True},
    "quantile": {"ranks": (5, 64), "quantiles": QUANTILES},
    "zones": {"low": THRESHOLD, "high": HIGH},
    "attribute": {"equal": ["location"]},
    "sequence": {"window_s": 5.0, "reach": 8},
    "sequence reach 32": {"window_s": 5.0, "reach": 32},
    "consensus": {"k": 16, "count": 5},
    "consensus z": {"k": 16, "count": 5, "normalise": "z"},
}
"""Settings of runs by miner and variant; every other registered miner runs with its defaults."""


def _list(block: Block, anchor: int, graph: str = GRAPH) -> tuple[list[int], list[float]]:
    ids, sims = block.graphs[graph].rows(np.array([anchor]))
    return ids[0].tolist(), sims[0].tolist()


def loop_knn(block: Block) -> Pairs:
    """Mutual five nearest."""
    out = set()
    for anchor in block.anchors.tolist():
        for other in _list(block, anchor)[0][:5]:
            if anchor in _list(block, other)[0][:5]:
                out.add((anchor, other))
    return out


def loop_hard(block: Block) -> Pairs:
    """Four hardest within ranks 5 to 64 below 95 % of the least positive."""
    out = set()
    for i, anchor in enumerate(block.anchors.tolist()):
        ids, sims = _list(block, anchor)
        never = {*block.positives.ids[i].tolist(), *block.false_negatives.ids[i].tolist()}
        least = min(s for j, s in zip(ids, sims, strict=True) if j in block.positives.ids[i])
        passing = [
            j
            for rank, (j, s) in enumerate(zip(ids, sims, strict=True))
            if rank >= 5 and j not in never and s <= least - (1 - 0.95) * max(least, 0.1)
        ]
        out |= {(anchor, j) for j in passing[:4]}
    return out


def loop_topk(block: Block) -> Pairs:
    """The ten nearest above a threshold that are no positives."""
    out = set()
    for i, anchor in enumerate(block.anchors.tolist()):
        ids, sims = (part[:10] for part in _list(block, anchor))
        known = set(block.positives.ids[i].tolist())
        pairs = zip(ids, sims, strict=True)
        out |= {(anchor, j) for j, s in pairs if s >= THRESHOLD and j not in known}
    return out


def loop_guide(block: Block) -> Pairs:
    """Of the 32 nearest, those nearer than the least similar positive."""
    out = set()
    for i, anchor in enumerate(block.anchors.tolist()):
        ids, sims = _list(block, anchor)
        known = set(block.positives.ids[i].tolist())
        least = min(s for j, s in zip(ids, sims, strict=True) if j in known)
        pairs = zip(ids[:32], sims[:32], strict=True)
        out |= {(anchor, j) for j, s in pairs if s > least and j not in known}
    return out


def loop_quantile(block: Block) -> Pairs:
    """The allowed candidates of ranks 5 to 64 at three quantiles."""
    out = set()
    for i, anchor in enumerate(block.anchors.tolist()):
        ids, _ = _list(block, anchor)
        never = {*block.positives.ids[i].tolist(), *block.false_negatives.ids[i].tolist()}
        allowed = [j for j in ids[5:64] if j not in never]
        for quantile in QUANTILES:
            out.add((anchor, allowed[round((1 - quantile) * (len(allowed) - 1))]))
    return out


def loop_consensus(block: Block) -> Pairs:
    """The five of largest least rank share in two lists."""
    out = set()
    for anchor in block.anchors.tolist():
        lists = [_list(block, anchor, graph)[0] for graph in (GRAPH, CAPTIONS)]
        places = [{j: rank for rank, j in enumerate(row)} for row in lists]
        score = {}
        for j in {j for row in lists for j in row[:16]}:
            shares = (1 - at[j] / len(at) if j in at else 0.0 for at in places)
            score[j] = np.float32(min(shares))
        best = sorted(score, key=lambda j: (-score[j], j))
        out |= {(anchor, j) for j in best[:5]}
    return out


LOOPS: Mapping[str, Callable[[Block], Pairs]] = {
    "knn mutual": loop_knn,
    "hard": loop_hard,
    "topk_threshold": loop_topk,
    "zones": loop_topk,
    "guide": loop_guide,
    "quantile": loop_quantile,
    "consensus": loop_consensus,
}
_TOPK = """select a, b from g where rank < 10 and s >= 0.8 and a < $n
    and not exists (select 1 from p where p.a = g.a and p.b = g.b)"""
SQL: Mapping[str, str] = {
    "knn mutual": """select g.a, g.b from g join g r on r.a = g.b and r.b = g.a
        where g.rank < 5 and r.rank < 5 and g.a < $n""",
    "knn hub_cap": """with ranked as (select a, b,
          row_number() over (partition by b order by s desc, a) as place from g where rank < 5)
        select a, b from ranked where place <= 5 and a < $n""",
    "hard": """with least as (
          select p.a, min(g.s)::double as s from p join g using (a, b) group by 1)
        select g.a, g.b from g join least l using (a)
        where g.a < $n and rank >= 5 and g.s <= l.s - (1 - 0.95::double) * greatest(l.s, 0.1)
          and not exists (select 1 from p where p.a = g.a and p.b = g.b)
          and not exists (select 1 from f where f.a = g.a and f.b = g.b)
        qualify row_number() over (partition by g.a order by rank) <= 4""",
    "topk_threshold": _TOPK,
    "zones": _TOPK,
    "guide": """with least as (select p.a, min(g.s) as s from p join g using (a, b) group by 1)
        select g.a, g.b from g join least l using (a) where g.a < $n and rank < 32 and g.s > l.s
          and not exists (select 1 from p where p.a = g.a and p.b = g.b)""",
    "consensus": """with both_lists as (
          select a, b, max(case when c = 0 then 1 - rank / $k end) as x,
            max(case when c = 1 then 1 - rank / $k end) as y, min(rank) as nearest
          from (select a, b, rank, 0 as c from g where a < $n
                union all select a, b, rank, 1 as c from h where a < $n) group by 1, 2)
        select a, b from both_lists where nearest < 16
        qualify row_number() over (partition by a
          order by least(coalesce(x, 0), coalesce(y, 0))::float desc, b) <= 5""",
}


def database(block: Block, count: int) -> duckdb.DuckDBPyConnection:
    """Load the graphs (g, h) and the lists of a block (p, f) in long form, outside the timing."""
    db = duckdb.connect(config={"threads": 1})
    tables = {}
    for name, graph, rows in (("g", GRAPH, count), ("h", CAPTIONS, len(block.anchors))):
        ids, sims = block.graphs[graph].rows(np.arange(rows))
        k = ids.shape[1]
        tables[name] = {
            "a": np.repeat(np.arange(rows), k),
            "b": ids.reshape(-1),
            "rank": np.tile(np.arange(k), rows),
            "s": sims.reshape(-1),
        }
    for name, lists in (("p", block.positives.ids), ("f", block.false_negatives.ids)):
        row, place = np.nonzero(lists >= 0)
        tables[name] = {"a": block.anchors[row], "b": lists[row, place]}
    for name, columns in tables.items():
        db.register(f"_{name}", pa.table(columns))
        db.execute(f"create table {name} as select * from _{name}")
    return db
