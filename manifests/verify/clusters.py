"""Clusters: the published tables, the columns made of them, and what is accepted when."""

from __future__ import annotations

import numpy as np

from ..schema import ACCEPT_RANK, NO_ID
from .context import Context, matrix

_BLOCK = 8192


def clusters_at(context: Context, name: str, level: int, column: str = "cluster_ids") -> np.ndarray:
    """Return one column of `clusters/<name>` at a level: [N], 8 bytes a sample, remembered.

    Args:
        context: of the verification.
        name: of the set.
        level: 0 is the finest.
        column: "cluster_ids", "confidences" or "accept_ranks".
    """
    key = f"clusters/{name}/{level}/{column}"
    if key not in context.held:
        levels = len(context.pairset.manifest["clusters"][name]["levels"])
        blocks = context.blocks(f"clusters/{name}", [column])
        parts = [matrix(table, column, levels)[:, level].copy() for _, table in blocks]
        context.held[key] = np.concatenate(parts) if parts else np.zeros(0, np.int64)
    return context.held[key]


def check_clusters(context: Context) -> None:
    """Check every set of clusters, then the columns of `samples` and `pairs` made of one."""
    for name in context.pairset.manifest.get("clusters", {}):
        if f"clusters/{name}" in context.broken:
            context.notes.skipped[f"clusters {name}"] = "its table cannot be read as it stands"
        else:
            _check_set(context, name)
    _check_columns(context)
    _check_schedules(context)


def _check_set(context: Context, name: str) -> None:
    described = context.pairset.manifest["clusters"][name]
    table = f"clusters/{name}"
    for first, block in context.blocks(table, ["sample_id"]):
        found = block["sample_id"].to_numpy()
        wrong = found != np.arange(first, first + len(found))
        _note(context, table, "dense-ids", wrong, "sample_id is not the row number", first)
    below: np.ndarray | None = None
    for level, said in enumerate(described["levels"]):
        ids = clusters_at(context, name, level)
        _check_level(context, name, level, said)
        if below is not None:
            _check_nesting(context, name, level, below, ids)
        below = ids
    without = int((clusters_at(context, name, 0) == NO_ID).sum())
    if without != described["without_cluster"]:
        text = f"the manifest says {described['without_cluster']} without a cluster, not {without}"
        context.notes.add("cluster-count", table, None, text)
    if described["space"] is not None:
        _check_vectors(context, name, described["space"])


def _check_level(context: Context, name: str, level: int, said: dict[str, float]) -> None:
    table = f"clusters/{name}"
    ids = clusters_at(context, name, level)
    sure = clusters_at(context, name, level, "confidences")
    ranks = clusters_at(context, name, level, "accept_ranks")
    outside = (ids < NO_ID) | (ids >= said["clusters"])
    _note(context, table, "cluster-range", outside, f"level {level} has {said['clusters']}")
    none = ids == NO_ID
    wrong = np.where(none, (sure != 0) | (ranks != NO_ID), ~((sure > 0) & (sure <= 1)))
    _note(context, table, "confidence", wrong, "confidence in (0, 1], or none of the three")
    known = np.flatnonzero(~none)
    # Falling confidence, ties by id: the place of each in that order is its rank.
    expected = np.full(len(ids), NO_ID, np.int64)
    expected[known[np.lexsort((known, -sure[known]))]] = np.arange(len(known))
    _note(context, table, "accept-rank", ranks != expected, "not its place by confidence")
    if outside.any():
        return
    sizes = np.bincount(ids[known], minlength=int(said["clusters"]))
    found = {
        "empty": int((sizes == 0).sum()),
        "min": int(sizes.min(initial=len(ids))),
        "median": float(np.median(sizes)),
        "max": int(sizes.max(initial=0)),
    }
    if any(said[key] != value for key, value in found.items()):
        text = f"level {level}: the manifest says {said}, the table has {found}"
        context.notes.add("cluster-sizes", table, None, text)


def _check_nesting(
    context: Context, name: str, level: int, below: np.ndarray, above: np.ndarray
) -> None:
    """All samples of a cluster lie in one cluster of the next level."""
    there = np.flatnonzero((below != NO_ID) & (above != NO_ID))
    parent = np.full(int(below.max(initial=-1)) + 2, NO_ID)
    parent[below[there]] = above[there]
    text = f"its cluster of level {level - 1} lies in another one of level {level}"
    wrong = parent[below] != above
    wrong[below == NO_ID] = above[below == NO_ID] != NO_ID
    _note(context, f"clusters/{name}", "nesting", wrong, text)


def _check_vectors(context: Context, name: str, space: str) -> None:
    """A sample is in no cluster exactly if it has no vector."""
    vectors = context.vectors(space)
    if vectors is None:
        context.notes.skipped[f"vectors of clusters {name}"] = "no readable embeddings"
        return
    ids = clusters_at(context, name, 0)
    wrong = np.zeros(len(ids), bool)
    for first, rows in vectors.blocks(_BLOCK):
        at = slice(first, first + len(rows))
        wrong[at] = rows.any(axis=1) != (ids[at] != NO_ID)
    _note(context, f"clusters/{name}", "no-vector", wrong, "a cluster exactly where a vector is")


def _check_columns(context: Context) -> None:
    """`cluster_id` of samples and pairs, and `accept_rank`, are those of the published level."""
    said = context.pairset.manifest.get("cluster_id")
    total = context.samples
    ids = np.full(total, NO_ID, np.int64)
    ranks = ids
    if said is not None:
        if f"clusters/{said['clusters']}" in context.broken:
            return
        ids = clusters_at(context, said["clusters"], said["level"])
        ranks = clusters_at(context, said["clusters"], said["level"], "accept_ranks")
    columns = ["cluster_id"]
    if context.pairset.manifest.get("mask_schedules"):
        columns.append(ACCEPT_RANK)
    for first, block in context.blocks("samples", columns):
        at = slice(first, first + block.num_rows)
        found = block["cluster_id"].fill_null(NO_ID).to_numpy()
        _note(context, "samples", "cluster-copy", found != ids[at], "not its cluster", first)
        if ACCEPT_RANK in columns:
            found = block[ACCEPT_RANK].to_numpy()
            text = "not its accept rank"
            _note(context, "samples", "accept-rank", found != ranks[at], text, first)
    if "pairs" in context.broken:
        return
    for first, block in context.blocks("pairs", ["anchor_id", "cluster_id"]):
        anchor = block["anchor_id"].to_numpy()
        inside = context.in_range(anchor)
        wrong = inside & (block["cluster_id"].to_numpy() != ids[np.where(inside, anchor, 0)])
        _note(context, "pairs", "cluster-copy", wrong, "not the cluster of the anchor", first)


def _check_schedules(context: Context) -> None:
    """Exactly floor(r(p) * ranked) samples are accepted at any progress, none lost later."""
    for entry in context.pairset.manifest.get("mask_schedules", ()):
        blocks = context.blocks("samples", [entry["accept"]])
        ranks = np.concatenate([np.zeros(0, np.int64), *(b[0].to_numpy() for _, b in blocks)])
        before = np.zeros(len(ranks), bool)
        for progress in (0.0, 0.1, 0.25, 0.5, 0.75, 0.9, 1.0):
            share = entry["from"] + (entry["to"] - entry["from"]) * progress
            limit = int(np.floor(share * entry["ranked"]))
            accepted = (ranks >= 0) & (ranks < limit)
            if int(accepted.sum()) != limit or (before & ~accepted).any():
                text = f"at progress {progress:g}, {int(accepted.sum())} are accepted, not {limit}"
                context.notes.add("acceptance", "samples", None, text)
            before = accepted


def _note(
    context: Context, table: str, check: str, wrong: np.ndarray, text: str, first: int = 0
) -> None:
    context.notes.rows(check, table, wrong, first, lambda row: f"sample {first + row}: {text}")
