"""Decisions as rows of `edges`, and rows of earlier `edges` as lists a miner can look at."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from ...manifests.artifact import Artifact
from ...manifests.codes import codes_of
from ...manifests.errors import CurateError
from ...manifests.schema import EDGES, NO_ID, REASONS, Action, Reason, Role
from .base import TAKEN, Block, Decisions, EdgeLists, Miner, refuse

MASKING = (str(Action.ELIMINATE), str(Action.ATTRACT))
"""Actions of false negatives that are never contrasted."""
_ACTIONS: tuple[str | None, ...] = (None, *(str(action) for action in Action))
_READ = ("anchor_id", "other_id", "role", "similarity", "weight", "action")


@dataclasses.dataclass(frozen=True)
class Origin:
    """What rows of `edges` say of where they come from.

    Attributes:
        id: of the miner in this run.
        role: of what it takes.
        space: the graph, or "".
        round: of mining.
    """

    id: str
    role: Role
    space: str = ""
    round: int = 0


def read_edges(
    earlier: Sequence[Artifact], part: str, anchors: np.ndarray
) -> Mapping[Role, EdgeLists]:
    """Return the taken edges of earlier miners by role, in the order of the miners.

    False negatives with an action that does not mask (soften, review) are left out.

    Args:
        earlier: artifacts of miners; their parts are those of `samples`.
        part: name of the part.
        anchors: int64 [A], the anchors of the part, ascending: every edge is of one of them.
    """
    tables = [artifact.table(part, _READ) for artifact in earlier]
    table = pa.concat_tables(tables) if tables else pa.table({})
    if table.num_rows:
        # Captions and generated pictures are no samples: nobody looks for them among ids.
        table = table.filter(table["other_id"].is_valid())
    if not table.num_rows:
        return dict.fromkeys(Role, EdgeLists.none(len(anchors)))
    roles = {str(role): code for code, role in enumerate(Role)}
    role = codes_of(table["role"], roles)
    action = codes_of(table["action"], dict.fromkeys(MASKING, 1))
    masking = (role != roles[Role.FALSE_NEGATIVE]) | (action == 1)
    return {
        name: _lists(table, np.flatnonzero((role == roles[name]) & masking), anchors)
        for name in Role
        if name is not Role.REFUSED
    }


def _lists(table: pa.Table, rows: np.ndarray, anchors: np.ndarray) -> EdgeLists:
    local = np.searchsorted(anchors, table["anchor_id"].to_numpy()[rows])
    order = np.argsort(local, kind="stable")
    local, rows = local[order], rows[order]
    counts = np.bincount(local, minlength=len(anchors))
    place = np.arange(len(local)) - np.repeat(np.cumsum(counts) - counts, counts)
    shape = (len(anchors), int(counts.max(initial=0)))
    ids = np.full(shape, NO_ID, np.int64)
    similarities = np.full(shape, np.nan, np.float32)
    weights = np.zeros(shape, np.float32)
    ids[local, place] = table["other_id"].to_numpy()[rows]
    similarities[local, place] = table["similarity"].to_numpy()[rows]
    weights[local, place] = table["weight"].to_numpy()[rows]
    return EdgeLists(ids, similarities, weights)


def gated(miner: Miner, block: Block, decisions: Decisions) -> Decisions:
    """Check the shape of what a miner returned, and refuse what no miner may take.

    Never taken: the anchor itself (unless the miner makes views), its near-duplicates, samples of
    another split, samples that a selector dropped; as negatives, also positives and false
    negatives of the anchor.

    Raises:
        CurateError: shapes or ids that cannot be; the miner is at fault.
    """
    _check_shapes(miner, block, decisions)
    reasons = decisions.reasons.copy()
    ids = np.where(reasons == TAKEN, decisions.ids, NO_ID)
    there, anchors = ids != NO_ID, block.anchors[:, None]
    own = ids == anchors
    if not miner.allows_self:
        refuse(reasons, own, Reason.SELF)
    for column, reason in (("group_id", Reason.DUPLICATE), ("split", Reason.SPLIT)):
        same = block.samples.take(column, ids) == block.samples.take(column, anchors)
        wrong = same & ~own if reason is Reason.DUPLICATE else ~same
        refuse(reasons, wrong & there, reason)
    refuse(reasons, ~block.samples.is_kept(ids), Reason.NOT_SELECTED)
    if miner.role is Role.NEGATIVE:
        _refuse_listed(reasons, ids, block.positives, Reason.POSITIVE)
        _refuse_listed(reasons, ids, block.false_negatives, Reason.FALSE_NEGATIVE)
    return dataclasses.replace(decisions, reasons=reasons)


def _refuse_listed(reasons: np.ndarray, ids: np.ndarray, lists: EdgeLists, reason: Reason) -> None:
    rows, places = np.nonzero(ids != NO_ID)
    hit = (lists.ids[rows] == ids[rows, places][:, None]).any(axis=1)
    listed = np.zeros(ids.shape, bool)
    listed[rows[hit], places[hit]] = True
    refuse(reasons, listed, reason)


def _check_shapes(miner: Miner, block: Block, decisions: Decisions) -> None:
    shape = decisions.ids.shape
    arrays = (
        *("reasons", "similarities", "ranks", "weights", "corrected", "valid_from", "texts"),
        *("actions", "assets"),
    )
    for name in arrays:
        value = getattr(decisions, name)
        if value is not None and value.shape != shape:
            raise CurateError(
                f"{type(miner).__name__}.mine returned {name} of shape {value.shape} beside ids of "
                f"shape {shape}; both must be [anchors, candidates]."
            )
    if len(shape) != 2 or shape[0] != len(block.anchors):
        raise CurateError(
            f"{type(miner).__name__}.mine returned ids of shape {shape} for "
            f"{len(block.anchors)} anchors; one row an anchor is expected."
        )
    for made in (decisions.texts, decisions.assets):
        if made is not None and bool((made.astype(bool) & (decisions.ids != NO_ID)).any()):
            raise CurateError(
                f"{type(miner).__name__}.mine gave ids beside texts or assets; those have none."
            )
    low = int(decisions.ids.min(initial=NO_ID))
    high = int(decisions.ids.max(initial=NO_ID))
    if low < NO_ID or high >= block.samples.count:
        raise CurateError(
            f"{type(miner).__name__}.mine returned ids from {low} to {high}; ids are "
            f"-1 (none) to {block.samples.count - 1}."
        )


def edge_table(origin: Origin, block: Block, decisions: Decisions) -> pa.Table:
    """Turn decisions into rows of `edges`, sorted by anchor, then by order in the list.

    A false negative that attracts also gets a row as a positive, behind the others of its anchor.
    """
    rows, places = np.nonzero(decisions.there)
    taken = decisions.reasons[rows, places] == TAKEN
    twin = np.zeros(len(rows), bool)
    acts = _actions(decisions)
    again = np.flatnonzero(taken & (acts[rows, places] == _ACTIONS.index(Action.ATTRACT)))
    if len(again):
        order = np.argsort(np.concatenate([rows, rows[again]]), kind="stable")
        twin = np.concatenate([twin, np.ones(len(again), bool)])[order]
        places = np.concatenate([places, places[again]])[order]
        taken = np.concatenate([taken, taken[again]])[order]
        rows = np.concatenate([rows, rows[again]])[order]
    columns = _numbers(block, decisions, rows, places)
    columns |= _names(origin, np.where(taken & ~twin, acts[rows, places], 0), taken, twin)
    columns["reason"] = _choose([str(r) for r in REASONS], decisions.reasons[rows, places])
    for name, made in (("text", decisions.texts), ("asset", decisions.assets)):
        found = [None] * len(rows) if made is None else made[rows, places]
        columns[name] = pa.array(found, pa.string())
    return pa.table([columns[name] for name in EDGES.names], schema=EDGES)


def _actions(decisions: Decisions) -> np.ndarray:
    """Return int8 [A, K]: the place in `_ACTIONS` of what becomes of each candidate if taken."""
    if decisions.actions is None:
        return np.full(decisions.ids.shape, _ACTIONS.index(decisions.action), np.int8)
    out = np.zeros(decisions.ids.shape, np.int8)
    for code, action in enumerate(_ACTIONS[1:], 1):
        out[decisions.actions == action] = code
    return out


def _numbers(
    block: Block, decisions: Decisions, rows: np.ndarray, places: np.ndarray
) -> dict[str, pa.Array]:
    def at(values: np.ndarray | None, fill: float) -> np.ndarray:
        if values is None:
            return np.full(len(rows), fill, np.float32)
        return values[rows, places].astype(np.float32)

    least = decisions.positive_similarity
    positive = np.full(len(rows), np.nan, np.float32) if least is None else least[rows]
    return {
        "anchor_id": pa.array(block.anchors[rows]),
        "other_id": _id_or_null(decisions.ids[rows, places]),
        "rank": pa.array(decisions.ranks[rows, places].astype(np.int32)),
        "similarity": _or_null(at(decisions.similarities, np.nan)),
        "corrected_similarity": _or_null(at(decisions.corrected, np.nan)),
        "positive_similarity": _or_null(positive.astype(np.float32)),
        "weight": pa.array(at(decisions.weights, 1)),
        "valid_from": pa.array(at(decisions.valid_from, 0)),
    }


def _id_or_null(ids: np.ndarray) -> pa.Array:
    return pa.array(ids, mask=ids == NO_ID)


def _or_null(values: np.ndarray) -> pa.Array:
    return pa.array(values, from_pandas=True)


def _names(
    origin: Origin, acts: np.ndarray, taken: np.ndarray, twin: np.ndarray
) -> dict[str, pa.Array]:
    roles = [str(Role.REFUSED), str(origin.role), str(Role.POSITIVE)]
    size = len(taken)
    return {
        "role": _choose(roles, np.where(twin, 2, taken)),
        "miner": _constant(origin.id, size),
        "space": _constant(origin.space, size),
        "action": _choose(_ACTIONS, acts),
        "round": pa.array(np.full(size, origin.round, np.int32)),
    }


def _constant(text: str, size: int) -> pa.Array:
    return _choose([text], np.zeros(size, np.int8))


def _choose(values: Sequence[Any], codes: np.ndarray) -> pa.Array:
    return pa.array(values, pa.string()).take(pa.array(codes.astype(np.int8)))


def refused_counts(decisions: Decisions) -> dict[str, int]:
    """Count refused candidates by reason."""
    codes = decisions.reasons[decisions.there]
    counts = np.bincount(codes, minlength=len(REASONS))
    return {str(r): int(n) for r, n in zip(REASONS, counts, strict=True) if r and n}
