"""`plans`: what batches hold, from the arrays and the tables alone; no planner's code is used."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from ..codes import encode
from ..schema import NO_ID, list_matrix
from .context import Context
from .planned import check_negatives

_BATCHES = 256
"""Batches that are looked at together."""

Plan = Mapping[str, Any]


def check_plans(context: Context) -> None:
    """Check every plan of batches that the manifest lists."""
    for entry in context.pairset.manifest.get("plans", ()):
        name = f"plans/{entry['name']}"
        if name in context.broken:
            context.notes.skipped[name] = f"{entry['path']} is not as it was listed"
            continue
        batches = context.pairset.plan(entry["name"])
        if _has_its_shape(context, name, entry, batches) and _check_members(
            context, name, entry, batches
        ):
            check_negatives(context, name, entry, batches)
            own = _RULES.get(entry["planner"])
            if own:
                own(context, name, entry, batches)
        context.notes.looked_at("planned batches", len(batches))


def _has_its_shape(context: Context, name: str, entry: Plan, batches: np.ndarray) -> bool:
    shape = (entry["batches"], entry["size"])
    if batches.dtype == np.int64 and batches.shape == shape and entry["batches"] > 0:
        return True
    message = f"int64 {list(shape)} is listed, {batches.dtype} {list(batches.shape)} is there"
    context.notes.add("plan-shape", name, None, message)
    return False


def _check_members(context: Context, name: str, entry: Plan, batches: np.ndarray) -> bool:
    """Check ids, split and how often a pair is used; say whether the ids can be looked up."""
    notes, pairs = context.notes, int(context.pairset.counts["pairs"])
    in_split = np.zeros(pairs, bool)
    for first, table in context.blocks("pairs", ["split"]):
        mine = encode(table["split"], lambda split: int(split == entry["split"]))
        in_split[first : first + table.num_rows] = mine
    uses = np.zeros(pairs, np.int64)
    sound = True
    for first in range(0, len(batches), _BATCHES):
        block = np.asarray(batches[first : first + _BATCHES])
        outside = (block < 0) | (block >= pairs)
        text = "an id that no pair has, or an empty place"
        notes.rows("plan-ids", name, outside, first, lambda _, text=text: text)
        if outside.any():
            sound = False
            continue
        text = f"a pair of another split than {entry['split']!r}"
        notes.rows("plan-split", name, ~in_split[block], first, lambda _, text=text: text)
        uses += np.bincount(block.reshape(-1), minlength=pairs)
        if not entry["repeats"]:
            ordered = np.sort(block, axis=1)
            twice = ordered[:, 1:] == ordered[:, :-1]
            notes.rows("plan-repeat", name, twice, first, lambda _: "a pair stands twice")
    if not sound:
        return False
    if not entry["repeats"] and uses.max(initial=0) > 1:
        message = f"pair {int(uses.argmax())} is used {int(uses.max())} times in an epoch"
        notes.add("plan-multiplicity", name, None, message)
    left = int(in_split.sum()) - int((uses > 0).sum())
    if left != entry["pairs_left_out"]:
        message = f"{left} pairs of the split are in no batch, {entry['pairs_left_out']} listed"
        notes.add("plan-left-out", name, None, message)
    return True


def _anchors(context: Context) -> np.ndarray:
    blocks = [t["anchor_id"].to_numpy() for t in context.pairset.tables("pairs", ["anchor_id"])]
    return np.concatenate([np.zeros(0, np.int64), *blocks])


def _check_pk(context: Context, name: str, entry: Plan, batches: np.ndarray) -> None:
    """Each batch has exactly K rows of each of its classes, and classes come equally often."""
    column, k = entry["settings"]["by"], int(entry["settings"]["samples"])
    codes = _classes(context, column)
    uses = np.zeros(int(codes.max(initial=-1)) + 2, np.int64)
    for first in range(0, len(batches), _BATCHES):
        found = np.sort(codes[batches[first : first + _BATCHES]], axis=1)
        wrong = found[:, :1] < 0
        runs = found.reshape(len(found), -1, k) if found.shape[1] % k == 0 else None
        if runs is None:
            context.notes.add("plan-pk", name, first, f"{found.shape[1]} is no multiple of {k}")
            return
        even = (runs == runs[:, :, :1]).all(axis=(1, 2))
        differ = (runs[:, 1:, 0] != runs[:, :-1, 0]).all(axis=1)
        text = f"a class of {column!r} does not stand in it exactly {k} times, or a row has none"
        wrong = wrong[:, 0] | ~even | ~differ
        context.notes.rows("plan-pk", name, wrong, first, lambda _, text=text: text)
        uses += np.bincount(runs[:, :, 0].reshape(-1) + 1, minlength=len(uses))
    there = np.zeros(len(uses), bool)
    there[codes[_of_split(context, entry["split"])] + 1] = True
    used = uses[1:][there[1:]]
    if entry["blocks"] == 1 and len(used) and used.max() - used.min() > 1:
        message = f"classes are used {int(used.min())} to {int(used.max())} times"
        context.notes.add("plan-balance", name, None, message)


def _of_split(context: Context, split: str) -> np.ndarray:
    parts = [
        encode(table["split"], lambda found: int(found == split)).astype(bool)
        for table in context.pairset.tables("pairs", ["split"])
    ]
    return np.concatenate([np.zeros(0, bool), *parts])


def _classes(context: Context, column: str) -> np.ndarray:
    """Return the class of each pair, int64 [pairs]; -1 for none."""
    if column in ("cluster_id", "group_id"):
        ids = [t[column].to_numpy() for t in context.pairset.tables("pairs", [column])]
        return np.concatenate([np.zeros(0, np.int64), *ids])
    known: dict[Any, int] = {None: NO_ID}
    parts = [
        encode(t[column], lambda text: known.setdefault(text, len(known) - 1))
        for t in context.pairset.tables("samples", [column])
    ]
    return np.concatenate([np.zeros(0, np.int64), *parts])[_anchors(context)]


def _check_b3(context: Context, name: str, entry: Plan, batches: np.ndarray) -> None:
    """No row shares a group with one of its first p neighbours, but as often as declared."""
    settings = entry["settings"]
    p, k, graph = int(settings["skip"]), int(settings["group"]), settings["graph"]
    table = f"neighbors/{graph}"
    if entry["size"] % k:
        context.notes.add("plan-group", name, None, f"{entry['size']} is no multiple of {k}")
        return
    if entry["blocks"] > 1 or table in context.broken or not p:
        return
    group = np.full(context.samples, NO_ID, np.int64)
    group[_anchors(context)[batches.reshape(-1)]] = np.arange(batches.size) // k
    met = 0
    for first, block in context.blocks(table, ["neighbor_ids"]):
        met += _met(group, first, block, p)
    if met > 2 * entry["facts"]["forced"] * k:
        message = f"{met} of the first {p} neighbours share a group with their row"
        context.notes.add("plan-barred", name, None, message)


def _met(group: np.ndarray, first: int, block: pa.Table, p: int) -> int:
    near = list_matrix(block["neighbor_ids"])[:, :p]
    mine = group[first : first + len(near), None]
    return int(((near != NO_ID) & (mine != NO_ID) & (group[near] == mine)).sum())


def _check_joint(context: Context, name: str, entry: Plan, batches: np.ndarray) -> None:
    """The batches are the share 1 - f of whole super-batches."""
    wanted = entry["size"] / (1 - entry["settings"]["filter_ratio"])
    found = entry["facts"]["super_batch"]
    rows = len(batches) * found
    total = int(_of_split(context, entry["split"]).sum())
    if abs(found - wanted) > 1e-6 * wanted or rows > total:
        message = f"{len(batches)} batches from super-batches of {found} and {total} pairs"
        context.notes.add("plan-share", name, None, message)


_RULES: Mapping[str, Callable[[Context, str, Plan, np.ndarray], None]] = {
    "b3": _check_b3,
    "jest": _check_joint,
    "learnability": _check_joint,
    "pk": _check_pk,
}
