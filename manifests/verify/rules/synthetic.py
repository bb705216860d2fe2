"""The rule of `synthetic`: every asset is looked at, and passes the gates or breaks one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow.compute as pc

from ...assets import assets_between, quantile, section_of
from ...schema import NO_ID, Reason, Role
from ..context import Context
from ..edges import floats
from ..join import Edges, Names
from ..pairs import PairBlock
from .base import ROUNDING, is_refused, note

_COLUMNS = ["key", "anchor_id", "similarity", "nearest_id", "nearest_similarity"]


def check(
    context: Context, block: PairBlock, edges: Edges, mine: Edges, described: Mapping[str, Any]
) -> None:
    """Re-check a block of anchors (algorithms.md §2.4, §2.5)."""
    del edges
    settings = described["settings"]
    section = settings["assets"]
    low, high = int(block.anchor.min(initial=0)), int(block.anchor.max(initial=-1))
    table = assets_between(context.pairset, low, high, _COLUMNS)
    keys = table["key"].to_pylist()
    at = {key: row for row, key in enumerate(keys) if section_of(key) == section}
    known = np.array([at.get(key, -1) for key in mine.asset.tolist()], np.int64)
    note(context, mine, "unexplained", known < 0, f"no asset of {section}")
    listed = np.isin(table["anchor_id"].to_numpy(), block.anchor)
    wanted = {key for key, row in at.items() if listed[row]}
    if wanted - set(mine.asset.tolist()):
        missing = sorted(wanted - set(mine.asset.tolist()))[0]
        context.notes.add("left-out", "edges", None, f"{described['id']} never looked at {missing}")
    there = known >= 0
    place = np.where(there, known, 0)

    def of(column: str) -> np.ndarray:
        values = floats(table[column])
        return values[place] if len(values) else np.full(len(place), np.nan)

    similarity = of("similarity")
    off = there & ~np.isclose(similarity, mine.similarity, atol=1e-6, equal_nan=True)
    note(context, mine, "similarity", off, "not the similarity that `assets` holds")
    random = context.pairset.manifest["assets"][section]["random"]
    other = pc.fill_null(table["nearest_id"], NO_ID).to_numpy()
    some = (other[place] if len(other) else np.full(len(place), NO_ID)) != NO_ID
    nearest = of("nearest_similarity")
    unseen = np.isnan(similarity)
    gates = {
        Reason.NO_VECTOR: (unseen, unseen),
        Reason.MAX_SIMILARITY: _gate(similarity - settings["below"]),
        Reason.MIN_SIMILARITY: _gate(quantile(random, settings["above"]) - similarity),
        Reason.NEARER_OTHER: tuple(some & shut for shut in _gate(nearest - similarity)),
    }
    taken = mine.is_role(Role.POSITIVE)
    for reason, (surely, perhaps) in gates.items():
        note(context, mine, reason, taken & surely & there, f"taken through the gate {reason}")
        wrong = is_refused(mine, reason) & ~perhaps & there
        note(context, mine, "refusal", wrong, f"refused by {reason}, which it passes")
    _check_schedule(context, block, mine, settings)


def _gate(beyond: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return what a gate surely refuses, and what it may refuse within rounding."""
    return beyond > ROUNDING, beyond >= -ROUNDING


def _check_schedule(
    context: Context, block: PairBlock, mine: Edges, settings: Mapping[str, Any]
) -> None:
    """At most `count` an anchor; `valid_from` never falls with hardness and ends at `schedule`."""
    taken = mine.where(mine.is_role(Role.POSITIVE))
    rows = Names(context, block).row(taken.anchor)
    counts = np.bincount(rows, minlength=len(block.anchor))
    over = counts[rows] > settings["count"]
    note(context, taken, "asset-count", over, f"more than {settings['count']} of its anchor")
    until = settings.get("schedule") or 0.0
    note(context, taken, "valid-from", taken.valid_from > until + ROUNDING, f"beyond {until}")
    same = rows[1:] == rows[:-1]
    falling = same & (taken.valid_from[1:] < taken.valid_from[:-1])
    note(context, taken, "valid-from", np.r_[False, falling][: len(taken)], "falls with hardness")
