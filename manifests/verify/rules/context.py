"""The rule of `context`: weights are the probabilities of the softmax over contexts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ...schema import Reason, Role
from ..context import Context, drawn
from ..join import Edges, Names
from ..pairs import PairBlock
from .base import attribute, is_refused, note, place_of

_LOOKED_AT = 4
"""Anchors of a block for which the whole softmax is computed again."""
_RELATIVE = 1e-3


def check(
    context: Context, block: PairBlock, edges: Edges, mine: Edges, described: Mapping[str, Any]
) -> None:
    """Context positives (Pantazis et al. 2021)."""
    del edges
    settings = described["settings"]
    inside = context.in_range(mine.anchor) & context.in_range(mine.other)
    mine = mine.where(inside)
    place, time = place_of(context, settings), attribute(context, settings["time"])
    taken = mine.is_role(Role.POSITIVE)
    apart = taken & ~(place[mine.anchor] == place[mine.other])
    note(context, mine, "place", apart, "another location")
    own = mine.anchor == mine.other
    if not settings["include_self"]:
        note(context, mine, "self", taken & own, "the anchor, though include_self is false")
    wrong = is_refused(mine, Reason.IMPROBABLE)
    wrong &= mine.weight > settings["min_probability"] * (1 + _RELATIVE)
    note(context, mine, "refusal", wrong, "refused as improbable, which it is not")
    total = np.zeros(len(block.anchor))
    np.add.at(total, Names(context, block).row(mine.anchor[taken]), mine.weight[taken])
    over = total[Names(context, block).row(mine.anchor)] > 1 + _RELATIVE
    note(context, mine, "weight-sum", taken & over, "probabilities of an anchor are more than 1")
    for row in drawn(len(block.anchor), _LOOKED_AT, f"context/{block.first}"):
        anchor = int(block.anchor[row])
        here = mine.where(taken & (mine.anchor == anchor))
        if len(here) and not np.isnan(time[anchor]):
            _check_anchor(context, here, settings, anchor)


def _check_anchor(context: Context, here: Edges, settings: Mapping[str, Any], anchor: int) -> None:
    """Hold the weights of one anchor against the softmax over its window."""
    place, time = place_of(context, settings), attribute(context, settings["time"])
    _, split = context.splits
    same = (place == place[anchor]) & (split == split[anchor]) & ~np.isnan(time)
    line = np.flatnonzero(same)
    line = line[np.lexsort((line, time[line]))]
    pieces = -(-len(line) // settings["window"])
    cuts = [-(-len(line) * piece // pieces) for piece in range(pieces + 1)]
    at = int(np.flatnonzero(line == anchor)[0])
    piece = max(number for number in range(pieces) if cuts[number] <= at)
    mates = line[cuts[piece] : cuts[piece + 1]]
    mates = mates[(context.group_id[mates] != context.group_id[anchor]) | (mates == anchor)]
    vectors = _contexts(time, np.append(mates, anchor))
    terms = np.exp(-np.linalg.norm(vectors[:-1] - vectors[-1], axis=1) / settings["t"])
    if settings["mode"] == "context_embedding":
        space = settings["space"]
        cosine = context.dots(f"{space}>{space}", np.full(len(mates), anchor), mates)
        if cosine is None:
            return
        terms *= np.exp(cosine.astype(np.float64) / 0.5)
    found = dict(zip(mates.tolist(), terms.tolist(), strict=True))
    expected = np.array([found.get(int(other), np.nan) for other in here.other])
    scale = terms.sum()
    if settings["mode"] == "context_embedding":
        # Normalised over a pool: only ratios to the most probable one can be told.
        top = int(np.argmax(here.weight))
        scale = expected[top] / here.weight[top]
    wrong = ~(np.abs(here.weight - expected / scale) <= _RELATIVE * here.weight + 1e-12)
    note(context, here, "probability", wrong, "the weight is not the probability of its context")


def _contexts(time: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Year scaled to [0, 1], and day, hour, minute, second on circles moved to [0, 1]."""
    known = time[~np.isnan(time)]
    low, high = (_parts(np.array([value]))[0][0] for value in (known.min(), known.max()))
    year, day, hour, minute, second = _parts(time[rows])
    columns = [(year - low) / max(high - low, 1)]
    for x in (day / 366, hour / 23, minute / 59, second / 59):
        columns += [(np.sin(np.pi * (2 * x - 1)) + 1) / 2, (np.cos(np.pi * (2 * x - 1)) + 1) / 2]
    return np.stack(columns, axis=1)


def _parts(seconds: np.ndarray) -> tuple[np.ndarray, ...]:
    moment = np.floor(seconds).astype(np.int64).astype("datetime64[s]")
    year = moment.astype("datetime64[Y]").astype(int) + 1970
    text = np.datetime_as_string(moment, unit="s")
    month, day = (np.array([int(t[a:b]) for t in text]) for a, b in ((5, 7), (8, 10)))
    clock = [np.array([int(t[a:b]) for t in text]) for a, b in ((11, 13), (14, 16), (17, 19))]
    days = np.array([31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31])
    before = np.array([days[: m - 1].sum() for m in month])
    return year, before + day - 1, *clock
