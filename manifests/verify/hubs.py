"""Graphs corrected for hubs: the means that are taken off, and what edges say of them.

r(y) is the mean of the k largest cosines of a sample with the training rows of the other space,
its own near-duplicate group left out; lists fall by s - weight * r(y). CSLS (Conneau et al. 2018,
eq. 3) is 2 s - r(x) - r(y), NNN (Chowdhury et al. 2024, eq. 1) s - alpha r(y).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..codes import codes_of
from ..fingerprint import draw_uint64
from ..schema import NO_ID
from ..vectors import VectorStore
from .context import Context, drawn

_CLOSE = 1e-4
"""How far a mean or a corrected similarity may be off: float32 sums in another order."""
_PROBES = 128
_QUICK_PROBES = 32


def _correction(context: Context, graph: str) -> Mapping[str, Any] | None:
    return context.pairset.manifest["neighbors"].get(graph, {}).get("correction")


def _means(context: Context, graph: str, side: str) -> np.ndarray:
    """Return float32 [N], one column of means; four bytes a sample."""
    column = f"{side}_mean"
    tables = context.pairset.tables(f"neighbors/{graph}", [column])
    blocks = [table[column].to_numpy().astype(np.float32) for table in tables]
    return np.concatenate([np.zeros(0, np.float32), *blocks])


def penalties(context: Context, graph: str) -> np.ndarray | None:
    """Return float32 [N], what is taken off a cosine with each sample; None for a plain graph."""
    correction = _correction(context, graph)
    if correction is None:
        return None
    return np.float32(correction["weight"]) * _means(context, graph, "bank")


def corrected(values: np.ndarray, ids: np.ndarray, penalty: np.ndarray | None) -> np.ndarray:
    """Return what lists must fall by, float32 like `values`; ids out of range are left alone."""
    if penalty is None:
        return values
    known = (ids >= 0) & (ids < len(penalty))
    return np.where(known, values - penalty[np.where(known, ids, 0)], values)


def check_means(context: Context, table: str, graph: str) -> None:
    """Measure the means of drawn samples again, from the embeddings."""
    correction = _correction(context, graph)
    if correction is None:
        _check_absent(context, table)
        return
    entry = context.pairset.manifest["neighbors"][graph]
    query, bank = context.vectors(entry["query"]), context.vectors(entry["bank"])
    if query is None or bank is None:
        context.notes.skipped[f"means in {table}"] = "the embeddings are not readable"
        return
    probes = drawn(context.samples, _PROBES if context.deep else _QUICK_PROBES, f"means/{table}")
    sides = {"bank": (bank, query, "query")}
    if correction["by"] == "csls":
        sides["query"] = (query, bank, "bank")
    for side, (own, other, over) in sides.items():
        reference = _reference(context, other, correction)
        if len(reference) != correction[f"{over}_reference"]:
            text = f"{len(reference)} rows of {over}, said are {correction[f'{over}_reference']}"
            context.notes.add("hub-reference", table, None, text)
            continue
        found = _measured(context, own, other, reference, probes, int(correction["k"]))
        stored = _means(context, graph, side)[probes]
        for at in np.flatnonzero(~(np.abs(found - stored) <= _CLOSE)):
            text = f"{side}_mean {stored[at]:.5f}, the embeddings give {found[at]:.5f}"
            context.notes.add("hub-mean", table, int(probes[at]), text)
        context.notes.looked_at("hub means", len(probes))


def _check_absent(context: Context, table: str) -> None:
    for first, block in context.blocks(table, ["query_mean", "bank_mean"]):
        for name in block.column_names:
            there = block[name].is_valid().to_numpy()
            text = f"{name} in a graph that is not corrected"
            context.notes.rows("hub-mean", table, there, first, lambda _, text=text: text)


def _reference(context: Context, space: VectorStore, correction: Mapping[str, Any]) -> np.ndarray:
    """Return the rows that means are taken over: training rows with a vector, or those drawn."""
    names, codes = context.splits
    split = correction["split"]
    trained = (codes == (names.index(split) if split in names else -1)) & context.kept
    full = [start + np.flatnonzero(block.any(axis=1)) for start, block in space.blocks()]
    rows = np.concatenate([np.zeros(0, np.int64), *full])
    rows = rows[trained[rows]]
    most = int(correction["reference"])
    if len(rows) <= most:
        return rows
    draws = draw_uint64(int(correction["seed"]), rows, "hubs/reference")[:, 0]
    return np.sort(rows[np.lexsort((rows, draws))[:most]])


def _measured(
    context: Context,
    own: VectorStore,
    other: VectorStore,
    reference: np.ndarray,
    probes: np.ndarray,
    k: int,
) -> np.ndarray:
    """Return float64 [probes]; holds one block of the reference and the best so far."""
    vectors, group = own.rows(probes), context.group_id
    best = np.full((len(probes), k), -np.inf)
    for start in range(0, len(reference), 8192):
        ids = reference[start : start + 8192]
        scores = (vectors @ other.rows(ids).T).astype(np.float64)
        scores[group[probes][:, None] == group[ids]] = -np.inf
        best = -np.sort(-np.concatenate([best, scores], axis=1), axis=1)[:, :k]
    known = np.isfinite(best)
    total = np.where(known, best, 0).sum(axis=1)
    means = total / np.maximum(known.sum(axis=1), 1)
    return np.where(vectors.any(axis=1), means, 0)


def check_corrected_edges(context: Context) -> None:
    """Check corrected similarities of miners that rank by a corrected graph."""
    for graph, entry in context.pairset.manifest["neighbors"].items():
        correction = entry.get("correction")
        if correction is None:
            continue
        query, bank = (_means(context, graph, side) for side in ("query", "bank"))
        miners = dict.fromkeys(correction["miners"], 1)
        columns = ["anchor_id", "other_id", "miner", "similarity", "corrected_similarity"]
        for first, table in context.blocks("edges", columns):
            known = codes_of(table["miner"], miners) == 1
            known &= table["similarity"].is_valid().to_numpy()
            anchor = table["anchor_id"].to_numpy()
            other = table["other_id"].fill_null(NO_ID).to_numpy()
            known &= context.in_range(anchor) & context.in_range(other)
            rows = np.flatnonzero(known)
            cosine = table["similarity"].to_numpy()[rows].astype(np.float64)
            want = cosine - float(correction["weight"]) * bank[other[rows]]
            if correction["by"] == "csls":
                want = 2 * cosine - query[anchor[rows]] - bank[other[rows]]
            said = table["corrected_similarity"].to_numpy()[rows].astype(np.float64)
            wrong = np.zeros(len(known), bool)
            wrong[rows] = ~(np.abs(said - want) <= _CLOSE)
            context.notes.rows(
                "corrected-similarity",
                "edges",
                wrong,
                first,
                lambda row: "corrected_similarity is not what similarity and means give",
            )
            context.notes.looked_at("corrected similarities", len(rows))
