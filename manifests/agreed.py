"""Why attributes, people or oracles made a pair, in words: for miners that look at no graph."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Mapping
from typing import Any

from .human import human_seconds
from .schema import ATTRIBUTE_PREFIX

Row = Mapping[str, Any]


def said_of(edge: Row, settings: Row, anchor: Row, other: Row) -> str | None:
    """Return a sentence about a taken edge; None where another part of `explain` has one.

    Args:
        edge: a row of `edges`.
        settings: the miner's, with `miner`, its name.
        anchor: the anchor's row of `samples`.
        other: the other's.
    """
    words = _WORDS.get((settings["miner"], edge["role"]))
    if words is None:
        return None
    if edge["anchor_id"] == edge["other_id"]:
        return f"{edge['role']}: another view of itself, weight {edge['weight']:.4g}"
    return f"{edge['role']}: {words(edge, settings, anchor, other)}"


def _value(sample: Row, name: str) -> Any:
    column = name.partition("/")[0]
    known = column in ("label", "uid") or column.startswith(ATTRIBUTE_PREFIX)
    return sample.get(column if known else ATTRIBUTE_PREFIX + column)


def _apart(settings: Row, anchor: Row, other: Row, name: str) -> str:
    first, then = _value(anchor, name), _value(other, name)
    if isinstance(first, datetime.datetime) and isinstance(then, datetime.datetime):
        gap = (then - first).total_seconds()
        return f"{human_seconds(abs(gap))} {'later' if gap >= 0 else 'earlier'}"
    if first is None or then is None:
        return f"{name} is not known"
    return f"{name} {then:g}, the anchor's is {first:g}"


def _same(anchor: Row, name: str | None) -> str:
    return f"{name} {_value(anchor, name)!r}" if name else "the one camera"


def _place(edge: Row, settings: Row, anchor: Row, other: Row) -> str:
    where = f"of the same {_same(anchor, settings['location'])}"
    if settings["coordinates"]:
        where = f"taken within {settings['metres']:g} m"
    time = settings["time"]
    return f"{where}, {_apart(settings, anchor, other, time)}" if time else where


def _sequence(edge: Row, settings: Row, anchor: Row, other: Row) -> str:
    gap = _apart(settings, anchor, other, settings["time"])
    return f"{_same(anchor, settings['location'])}, {gap}, within {settings['window_s']:g} s"


def _context(edge: Row, settings: Row, anchor: Row, other: Row) -> str:
    where = _same(anchor, settings["location"])
    return f"{where}, its context has probability {edge['weight']:.4g} at t = {settings['t']:g}"


def _attribute(edge: Row, settings: Row, anchor: Row, other: Row) -> str:
    parts = [f"the same {_same(other, name)}" for name in settings["equal"]]
    if settings["near"]:
        gap = _apart(settings, anchor, other, settings["near"])
        parts.append(f"{gap}, within {settings['within']:g}")
    weight = f", weight {edge['weight']:.4g}" if settings["gamma"] else ""
    return " and ".join(parts) + weight


def _human(edge: Row, settings: Row, anchor: Row, other: Row) -> str:
    if edge["weight"] != 1:
        return f"people selected it; the anchor is unlabelled, weight {edge['weight']:.4g}"
    return "people put both into one set"


_WORDS: dict[tuple[str, str], Callable[[Row, Row, Row, Row], str]] = {
    ("place", "positive"): _place,
    ("sequence", "positive"): _sequence,
    ("context", "positive"): _context,
    ("attribute", "positive"): _attribute,
    ("human", "positive"): _human,
    ("oracle", "positive"): lambda e, s, a, o: "answers of yes join it to the anchor",
    ("oracle", "negative"): lambda e, s, a, o: "the answer for this pair was no",
}
