"""Templates of captions, found again from the published captions, word by word."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterable

import numpy as np

from ..context import Context

_RARE, _COMMON = 3, 2
_WORD = re.compile(r"[^\W_]+")


def of_templates(context: Context, limit: int) -> np.ndarray:
    """Say which samples have captions of templates with more than `limit` samples only, bool [N].

    A word with a digit, or that at most three samples use, is a gap, and so are several beside
    each other; a template with gaps has at least two other words, and no more gaps than those.
    Held: 8 bytes a sample.
    """
    name = f"templates over {limit}"
    if name not in context.held:
        context.held[name] = _flags(context, limit)
    return context.held[name].astype(bool)


def _captions(context: Context) -> Iterable[list[list[str]]]:
    for table in context.pairset.tables("samples", ["captions"]):
        for captions in table["captions"].to_pylist():
            yield [_WORD.findall(text.lower()) for text in captions]


def _flags(context: Context, limit: int) -> np.ndarray:
    uses: Counter[str] = Counter()
    for captions in _captions(context):
        uses.update({word for words in captions for word in words})
    common = {word for word, count in uses.items() if count > _RARE}
    found = [{_template(words, common) for words in captions} for captions in _captions(context)]
    counts = Counter(name for names in found for name in names if name)
    shared = {name for name, count in counts.items() if count > limit}
    return np.array([bool(names) and names <= shared for names in found], np.int64)


def _template(words: list[str], common: set[str]) -> int:
    """Return what names the template of a caption; 0 for none."""
    parts: list[str] = []
    for word in words:
        gap = word not in common or any(sign.isnumeric() for sign in word)
        if not (gap and parts and parts[-1] == "_"):
            parts.append("_" if gap else word)
    gaps = parts.count("_")
    if gaps and len(parts) - gaps < max(_COMMON, gaps):
        return 0
    return int.from_bytes(hashlib.sha256(" ".join(parts).encode()).digest()[:7], "big") + 1
