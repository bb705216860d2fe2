"""The rule of `filters`: every limit again, from the rows of `samples`, in plain Python."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from ...selection import DROP_CODE, Drop
from ..context import Context
from .base import Verdicts

_COLUMNS = ["width", "height", "caption", "captions"]


def check(context: Context, described: Mapping[str, Any], verdicts: Verdicts) -> None:
    """ALIGN (Jia et al. 2021, §3); holds 8 bytes a sample for the captions."""
    settings = described["settings"]
    shared = _shared(context) if settings["max_shared"] is not None else None
    for first, table in context.blocks("samples", _COLUMNS):
        rows = table.to_pylist()
        expected = np.array([DROP_CODE[_failed(row, settings)] for row in rows], np.int8)
        ids = np.arange(first, first + len(rows))
        if shared is not None:
            many = (expected == 0) & (shared[ids] > settings["max_shared"])
            expected[many] = DROP_CODE[Drop.SHARED_CAPTION]
        wrong = verdicts.judged[ids] & (verdicts.drops[ids] != expected)
        text = "the first filter that fails is another one"
        verdicts.note(context, described, "filter", wrong, text, ids)


def _failed(row: Mapping[str, Any], settings: Mapping[str, Any]) -> Drop:
    """Return the first filter that fails; None among the settings is no limit."""
    text = (row["caption"] or "").strip()
    words, limit = len(text.split()), _Limits(settings)
    sides = [side for side in (row["width"], row["height"]) if side is not None]
    sized = len(sides) == 2
    short, long = (min(sides), max(sides)) if sized else (np.inf, 0)
    asked = ("min_words", "max_words", "min_characters", "max_shared")
    tests = (
        (Drop.SHORT_SIDE, limit.below("min_side", short)),
        (Drop.ASPECT, sized and limit.above("max_aspect", long / short)),
        (Drop.NO_CAPTION, not text and any(settings[name] is not None for name in asked)),
        (Drop.FEW_WORDS, limit.below("min_words", words)),
        (Drop.MANY_WORDS, limit.above("max_words", words)),
        (Drop.FEW_CHARACTERS, limit.below("min_characters", len(text))),
        (Drop.MANY_CAPTIONS, limit.above("max_captions", len(row["captions"]))),
    )
    return next((drop for drop, fails in tests if fails), Drop.KEPT)


class _Limits:
    """Settings as limits."""

    def __init__(self, settings: Mapping[str, Any]) -> None:
        self._settings = settings

    def below(self, name: str, value: float) -> bool:
        limit = self._settings[name]
        return limit is not None and value < limit

    def above(self, name: str, value: float) -> bool:
        limit = self._settings[name]
        return limit is not None and value > limit


def _shared(context: Context) -> np.ndarray:
    """Return int64 [N]: how many samples have a sample's first caption."""
    names = []
    for _, table in context.blocks("samples", ["caption"]):
        texts = ((text or "").strip().encode() for text in table["caption"].to_pylist())
        digests = b"".join(hashlib.blake2b(text, digest_size=8).digest() for text in texts)
        names.append(np.frombuffer(digests, "<u8"))
    whole = np.concatenate([np.zeros(0, np.uint64), *names])
    ranked = np.sort(whole)
    return np.searchsorted(ranked, whole, side="right") - np.searchsorted(ranked, whole)
