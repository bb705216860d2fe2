"""Which anchors a gallery shows: some at random, some that are likely to show what is wrong."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

import numpy as np

from ..pairset import Pairset
from .rows import rows_with
from .similarity import Interesting

SAME_CAPTION = 0.6
"""Jaccard similarity of words from which two captions are nearly the same."""
_WORD = re.compile(r"\w+", re.UNICODE)
_COLUMNS = ("sample_id", "labels", "captions")


@dataclass(frozen=True)
class Chosen:
    """An anchor of the gallery and why it was chosen."""

    anchor: int
    why: str


def choose(
    pairset: Pairset,
    interesting: Interesting,
    drawn: list[int],
    count: int,
    labels_tell: bool = True,
) -> list[Chosen]:
    """Choose `count` anchors: a third at random; the others turn about from four lists.

    The lists: a negative that is suspicious, the most similar negatives, masked false negatives,
    and refused candidates (each reason in turn). The same pairset gives the same anchors.
    `labels_tell` is False where all samples have one label.
    """
    suspicious = suspicious_anchors(pairset, interesting.hardest, labels_tell)
    lists = [
        [Chosen(a, "a negative that may be false") for a in suspicious],
        [Chosen(a, "among the most similar negatives") for a, _ in interesting.hardest],
        [Chosen(a, "false negatives were masked") for a in interesting.masked],
        list(_in_turn(_refused(reason, ids) for reason, ids in interesting.refused.items())),
    ]
    pool = [Chosen(anchor, "drawn at random") for anchor in drawn]
    chosen = {item.anchor: item for item in pool[: (count + 2) // 3]}
    # Anchors beyond the third are drawn only where the four lists hold too few.
    for item in [*_in_turn(lists), *pool]:
        if len(chosen) >= count:
            break
        chosen.setdefault(item.anchor, item)
    return list(_in_turn(_by_why(chosen.values())))


def _refused(reason: str, anchors: list[int]) -> list[Chosen]:
    return [Chosen(anchor, f"a candidate was refused: {reason}") for anchor in anchors]


def _in_turn(lists: Iterable[list[Chosen]]) -> Iterable[Chosen]:
    for row in zip_longest(*lists):
        yield from (item for item in row if item is not None)


def _by_why(chosen: Iterable[Chosen]) -> list[list[Chosen]]:
    kinds: dict[str, list[Chosen]] = {}
    for item in chosen:
        kinds.setdefault(item.why.split(":")[0], []).append(item)
    return list(kinds.values())


def suspicious_anchors(
    pairset: Pairset, negatives: list[tuple[int, int]], labels_tell: bool
) -> list[int]:
    """Return the anchors of those (anchor, negative) whose labels or captions say the same."""
    ids = np.array(sorted({row for pair in negatives for row in pair}), np.int64)
    if not len(ids):
        return []
    rows = rows_with(pairset, "samples", "sample_id", ids, _COLUMNS).to_pylist()
    samples = {row["sample_id"]: row for row in rows}
    found = [a for a, b in negatives if resemblance(samples[a], samples[b], labels_tell)]
    return list(dict.fromkeys(found))


def resemblance(anchor: Mapping[str, Any], other: Mapping[str, Any], labels_tell: bool) -> str:
    """Say in words why two samples may be of one kind, or "".

    Their first labels are equal, as in the estimate of the false-negative rate; or two of their
    captions share most words (Jaccard >= 0.6 of at least four words).
    """
    if labels_tell and anchor["labels"] and anchor["labels"][:1] == other["labels"][:1]:
        return "same label"
    mine = [_words(text) for text in anchor["captions"]]
    theirs = [_words(text) for text in other["captions"]]
    for a in mine:
        for b in theirs:
            both = a | b
            if len(both) >= 4 and len(a & b) >= SAME_CAPTION * len(both):
                return "nearly the same caption"
    return ""


def shares_label(anchor: Mapping[str, Any], other: Mapping[str, Any]) -> bool | None:
    """Say whether two samples have a label in common; None where one has no label."""
    mine, theirs = set(anchor["labels"]), set(other["labels"])
    return bool(mine & theirs) if mine and theirs else None


def _words(text: str) -> frozenset[str]:
    return frozenset(_WORD.findall(text.lower()))
