"""Why each id stands in a row: every place of `pairs` has its edge, and every edge its effect."""

from __future__ import annotations

import numpy as np

from ..schema import NO_ID, Role
from .context import Context
from .join import Edges, Names
from .pairs import ROLES, PairBlock

_SCORE_TOLERANCE = 1e-6


def check_explained(context: Context, block: PairBlock, edges: Edges) -> None:
    """Hold a block of `pairs` against the edges of its anchors."""
    names = Names(context, block)
    rows = names.row(edges.anchor)
    never = np.concatenate([block.lists["positive"]["ids"], block.false_negatives], axis=1)
    for role, taken in zip(ROLES, (edges.is_positive, edges.is_role(Role.NEGATIVE)), strict=True):
        _check_places(context, block, names, edges.where(taken), role)
        if role == "negative":
            # A negative that turned out to be a positive or masked has no place in its row.
            taken = taken & ~(never[rows] == edges.other[:, None]).any(axis=1)
        _check_room(context, block, names, edges.where(taken), role)
    masked = edges.is_masked
    _check_masked(context, block, edges.where(masked), rows[masked])
    known = masked | edges.is_positive
    _check_listed(context, block, names, edges.where(known), rows[known])


def _check_places(
    context: Context, block: PairBlock, names: Names, edges: Edges, role: str
) -> None:
    """Every filled place has an edge of its miner, with its score."""
    part = block.lists[role]
    places = np.nonzero(part["ids"] != NO_ID)
    wanted = names.edge(places[0], part["ids"][places], part["kinds"][places])
    known = names.edge(names.row(edges.anchor), edges.other, edges.miner)
    order = np.argsort(known, kind="stable")
    at, found = _find(known[order], wanted)
    missing = np.zeros(part["ids"].shape, bool)
    missing[places[0][~found], places[1][~found]] = True
    block.note(
        context,
        "unexplained",
        missing,
        part["ids"],
        f"a {role} without an edge of its miner",
    )
    similarity = np.nan_to_num(edges.similarity)[order][at[found]]
    score = part["scores"][places][found]
    off = np.abs(similarity - score) > _SCORE_TOLERANCE
    wrong = np.zeros(part["ids"].shape, bool)
    wrong[places[0][found][off], places[1][found][off]] = True
    block.note(
        context, "score", wrong, part["ids"], f"the {role} score is not the edge's similarity"
    )


def _find(ranked: np.ndarray, wanted: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    if not len(ranked):
        return np.zeros(len(wanted), np.int64), np.zeros(len(wanted), bool)
    at = np.minimum(np.searchsorted(ranked, wanted), len(ranked) - 1)
    return at, ranked[at] == wanted


def _check_room(context: Context, block: PairBlock, names: Names, edges: Edges, role: str) -> None:
    """A taken edge is only left out of its row where the row is full."""
    ids = block.lists[role]["ids"]
    rows = names.row(edges.anchor)
    inside = (ids[rows] == edges.other[:, None]).any(axis=1)
    room = (ids == NO_ID).any(axis=1)[rows]
    wrong = ~inside & room & (edges.other != NO_ID)
    _note(context, edges, "left-out", wrong, f"a taken {role} is not in a row that has room")


def _note(context: Context, edges: Edges, check: str, wrong: np.ndarray, text: str) -> None:
    context.notes.rows(
        check,
        "edges",
        wrong,
        edges.row,
        lambda at: f"anchor {edges.anchor[at]}, other {edges.other[at]}: {text}",
    )


def _check_masked(context: Context, block: PairBlock, edges: Edges, rows: np.ndarray) -> None:
    """A false negative that is masked is no negative, and is listed where there is room."""
    negatives = block.lists["negative"]["ids"]
    contrasted = (negatives[rows] == edges.other[:, None]).any(axis=1)
    context.notes.rows(
        "false-negative-contrasted",
        "pairs",
        contrasted,
        rows + block.first,
        lambda at: (
            f"anchor {edges.anchor[at]}, id {edges.other[at]}: a negative, though edges row "
            f"{edges.row[at]} says it is a false negative"
        ),
    )
    listed = block.false_negatives
    inside = (listed[rows] == edges.other[:, None]).any(axis=1)
    room = (listed == NO_ID).any(axis=1)[rows]
    _note(
        context, edges, "left-out", ~inside & room, "a false negative is not in false_negative_ids"
    )


def _check_listed(
    context: Context, block: PairBlock, names: Names, edges: Edges, rows: np.ndarray
) -> None:
    """Each of false_negative_ids has its edge: a false negative, or a positive without a place."""
    listed = block.false_negatives
    known = np.sort(names.pair(rows, edges.other))
    places = np.nonzero(listed != NO_ID)
    _, found = _find(known, names.pair(places[0], listed[places]))
    missing = np.zeros(listed.shape, bool)
    missing[places[0][~found], places[1][~found]] = True
    block.note(context, "unexplained", missing, listed, "a false negative without an edge")
