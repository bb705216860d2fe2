"""Types of attributes: what each part saw, what the corpus makes of it, and the columns.

A part notes one kind for each attribute:

    float      numbers
    time       ISO 8601 (2023-06-13, 2023-06-13T03:11:46Z) or EXIF (2023:06:13 03:11:46) texts
    epoch      numbers that are seconds since 1970, when the attribute's name says time or date
    epoch_ms   the same in milliseconds
    string     anything else, or a mixture

The corpus's type is string, float or time; times without a zone are UTC.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pyarrow as pa

FLOAT, TIME, EPOCH, EPOCH_MS, STRING = "float", "time", "epoch", "epoch_ms", "string"

_TIME = re.compile(
    r"\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d([.,]\d{1,9})?)?\s?(Z|[+-]\d\d:?\d\d)?)?"
    r"|\d{4}:\d\d:\d\d \d\d:\d\d:\d\d"
)
_TIME_NAME = re.compile(r"(^|[^a-z])(time|timestamp|date|datetime|ts)($|[^a-z])")
_EPOCH = (1e8, 1e10)
_EPOCH_MS = (1e11, 1e13)


class KindMeter:
    """Notes the kind of each attribute while samples stream by."""

    def __init__(self) -> None:
        self._kinds: dict[str, str] = {}

    def add(self, attributes: Mapping[str, Any]) -> None:
        """Look at the attributes of one sample."""
        for name, value in attributes.items():
            if value is None:
                continue
            kind = _kind(name, value)
            known = self._kinds.get(name)
            self._kinds[name] = kind if known is None else merge_kinds((known, kind))

    @property
    def kinds(self) -> dict[str, str]:
        """Name -> kind, of the attributes that some sample has."""
        return dict(sorted(self._kinds.items()))


def merge_kinds(kinds: Iterable[str]) -> str:
    """Return the one kind that holds values of all these kinds."""
    found = set(kinds)
    if len(found) == 1:
        return found.pop()
    return FLOAT if found <= {FLOAT, EPOCH, EPOCH_MS} else STRING


def type_of(kind: str) -> str:
    """Return the column type of a kind: "string", "float" or "time"."""
    return TIME if kind in (TIME, EPOCH, EPOCH_MS) else kind


def attribute_column(values: Sequence[Any], kind: str) -> pa.Array:
    """Return values of one attribute as a column of its type.

    Args:
        values: str, int, float, bool or None.
        kind: the corpus's kind of the attribute.
    """
    if kind == FLOAT:
        return pa.array([None if v is None else float(v) for v in values], pa.float64())
    if kind == STRING:
        return pa.array([None if v is None else _text(v) for v in values], pa.string())
    scale = {EPOCH: 1_000_000, EPOCH_MS: 1_000}.get(kind)
    if scale is not None:
        micros = [None if v is None else round(v * scale) for v in values]
    else:
        micros = [None if v is None else _micros(parse_time(v)) for v in values]
    return pa.array(micros, pa.int64()).cast(pa.timestamp("us", tz="UTC"))


def parse_time(text: str) -> datetime.datetime | None:
    """Return the moment that a text names, or None where it names none."""
    if not _TIME.fullmatch(text):
        return None
    if text[4] == ":":
        text = text[:10].replace(":", "-") + text[10:]
    text = text.replace(",", ".").replace(" +", "+").replace(" -", "-").replace(" Z", "Z")
    try:
        moment = datetime.datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=datetime.UTC)


def _micros(moment: datetime.datetime | None) -> int | None:
    if moment is None:
        return None
    start = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
    return (moment - start) // datetime.timedelta(microseconds=1)


def _kind(name: str, value: Any) -> str:
    if isinstance(value, bool):
        return STRING
    if isinstance(value, str):
        return TIME if parse_time(value) is not None else STRING
    if _TIME_NAME.search(name.lower()):
        if _EPOCH[0] <= value < _EPOCH[1]:
            return EPOCH
        if _EPOCH_MS[0] <= value < _EPOCH_MS[1]:
            return EPOCH_MS
    return FLOAT


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)
