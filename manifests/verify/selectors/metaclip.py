"""The rule of `metaclip`: who holds which entry, the chance that follows, and that coins were fair.

Entries are found by MetaCLIP's own search, " entry " in the spaced text, one sample at a time.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from ... import storage
from ...selection import Drop
from ..context import Context
from .base import Verdicts

_MARKS = ",.;:?!`"
_TOLERANCE = 1e-5
_SIGMAS = 6


def check(context: Context, described: Mapping[str, Any], verdicts: Verdicts) -> None:
    """MetaCLIP (Xu et al. 2024, Algorithm 1); holds one count an entry."""
    settings, judged = described["settings"], verdicts.judged
    try:
        entries = _entries(settings)
    except OSError:
        entries = set[str]()
    if settings["entries"] is None or entries:
        counts: Counter[str] = Counter()
        for sample, found in _matches(context, settings, entries):
            if judged[sample]:
                counts.update(found)
        if settings["entries"] is None:
            counts = Counter({e: n for e, n in counts.items() if n >= settings["min_count"]})
        expected = np.full(len(judged), np.nan)
        for sample, found in _matches(context, settings, entries):
            missed = [1 - min(1.0, settings["t"] / counts[e]) for e in found if counts[e]]
            if missed and judged[sample]:
                expected[sample] = 1 - np.prod(missed)
        differ = np.isnan(expected) != np.isnan(verdicts.scores)
        differ |= np.abs(np.nan_to_num(expected) - np.nan_to_num(verdicts.scores)) > _TOLERANCE
        text = "the chance is not that of the entries that the captions hold"
        verdicts.note(context, described, "selection-score", judged & differ, text)
    _check_coins(context, described, verdicts)


def _check_coins(context: Context, described: Mapping[str, Any], verdicts: Verdicts) -> None:
    chance, kept = verdicts.scores.astype(np.float64), verdicts.kept
    there = ~np.isnan(chance)
    wrong = verdicts.is_drop(Drop.NO_ENTRY) & there
    verdicts.note(context, described, "entry", wrong, "dropped without an entry, but has a chance")
    sure = there & verdicts.judged & (chance >= 1) & ~kept
    verdicts.note(context, described, "coin", sure, "its chance is 1, and it was dropped")
    verdicts.note(context, described, "coin", kept & ~there, "kept without an entry")
    spread = float(np.sqrt((chance[there] * (1 - chance[there])).sum()))
    off = abs(int(kept[there].sum()) - float(chance[there].sum()))
    if off > _SIGMAS * spread + 1:
        message = f"{kept.sum()} are kept, {chance[there].sum():.0f} were to be expected"
        context.notes.add("coin", "selection", None, message)


def _entries(settings: Mapping[str, Any]) -> set[str]:
    """Return the entries of the file as spaced texts; none where the corpus's words are meant."""
    if settings["entries"] is None:
        return set()
    lines = storage.read_bytes(settings["entries"]).decode("utf-8-sig").splitlines()
    return {text for line in lines if (text := _spaced(line, settings))}


def _spaced(text: str, settings: Mapping[str, Any]) -> str:
    lower = text.lower() if settings["ignore_case"] else text
    return " ".join(re.sub(f"([{_MARKS}])", r" \1 ", lower).split())


def _matches(
    context: Context, settings: Mapping[str, Any], entries: set[str]
) -> Iterator[tuple[int, set[str]]]:
    """Yield (sample, entries that its captions hold)."""
    longest = max((len(entry.split()) for entry in entries), default=1)
    for first, table in context.blocks("samples", ["captions"]):
        for place, captions in enumerate(table["captions"].to_pylist()):
            found: set[str] = set()
            for caption in captions:
                words = _spaced(caption, settings).split()
                for size in range(1, longest + 1):
                    runs = (" ".join(words[i : i + size]) for i in range(len(words) - size + 1))
                    found.update(runs)
            held = found & entries if entries else {w for w in found if w not in _MARKS}
            yield first + place, held
