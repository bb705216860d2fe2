"""From one record of a corpus (a row, a JSON object) to captions, labels, attributes and split.

Where `fields` says nothing, the first of these names that the record has is taken (case does not
matter):

    captions   captions, caption, text, txt, title
    label      label, class, category          labels   labels
    split      split                           uid      uid
    key        key, id, __key__, image_id      (only in tables that name no image file)

Attributes are never guessed. Texts are trimmed, control characters removed, empty ones left out;
NaN and infinity are None.
"""

from __future__ import annotations

import datetime
import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ...manifests.errors import ConfigError
from ...manifests.refused import Refused
from ...manifests.schema import RejectCode
from ..registry import suggestion
from .base import Fields, RawSample
from .names import readable

GUESSES: dict[str, tuple[str, ...]] = {
    "caption": ("captions", "caption", "text", "txt", "title"),
    "label": ("label", "class", "category"),
    "labels": ("labels",),
    "split": ("split",),
    "uid": ("uid",),
    "key": ("key", "id", "__key__", "image_id"),
}

_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_NUMBER = re.compile(r"[+-]?(0|[1-9]\d*)(\.\d*)?([eE][+-]?\d+)?")
_EXACT = 1 << 53
"""Above this, a float no longer tells whole numbers apart, so ids stay text."""


@dataclass(frozen=True)
class Picker:
    """Which field paths of a record hold what; see `choose`.

    Attributes:
        caption, label, labels, split, uid: paths to look at; `caption` in order, all are taken.
        attributes: name -> path.
        typed: False for tables of plain text, where "12.5" means a number.
    """

    caption: tuple[str, ...] = ()
    label: str | None = None
    labels: str | None = None
    split: str | None = None
    uid: str | None = None
    attributes: Mapping[str, str] = field(default_factory=dict)
    typed: bool = True

    def sample(self, record: Mapping[str, Any], key: str, where: str) -> RawSample:
        """Return a sample with all that its record says; refused when a text is not Unicode."""
        problems: list[Refused] = []
        captions = [
            text
            for path in self.caption
            for text in _texts(value_at(record, path), problems, not self.typed)
        ]
        labels = [text for text in (self._text(record, self.label, problems),) if text]
        for text in _texts(value_at(record, self.labels), problems, not self.typed):
            if text not in labels:
                labels.append(text)
        sample = RawSample(
            key,
            where,
            captions=captions,
            labels=labels,
            attributes={
                name: _attribute(value_at(record, path), self.typed, problems)
                for name, path in self.attributes.items()
            },
            split=self._text(record, self.split, problems),
            uid=self._text(record, self.uid, problems) or None,
        )
        if problems:
            sample.code, sample.message = problems[0].code, problems[0].message
        return sample

    @staticmethod
    def _text(record: Mapping[str, Any], path: str | None, problems: list[Refused]) -> str:
        value = value_at(record, path)
        if isinstance(value, list):
            value = value[0] if value else None
        return _clean(scalar_text(value), problems)


def choose(fields: Fields, columns: Sequence[str], where: str, typed: bool = True) -> Picker:
    """Return where a table with these columns keeps what; asked names win over guesses.

    Raises:
        ConfigError: `fields` names a column that is not there.
    """
    asked = [*_listed(fields.caption), *fields.attributes.values()]
    asked += [path for path in (fields.label, fields.labels, fields.split, fields.uid) if path]
    for path in asked:
        check_column(path, columns, where)
    return Picker(
        caption=tuple(_listed(fields.caption)) or tuple(_one(guess("caption", columns))),
        label=fields.label or guess("label", columns),
        labels=fields.labels or guess("labels", columns),
        split=fields.split or guess("split", columns),
        uid=fields.uid or guess("uid", columns),
        attributes=fields.attributes,
        typed=typed,
    )


def check_column(path: str, columns: Sequence[str], where: str) -> None:
    """Refuse a field path whose first step is no column of a table.

    Raises:
        ConfigError: names the nearest column and all that are there.
    """
    if path in columns or path.split(".")[0] in columns:
        return
    known = list(columns)
    raise ConfigError(
        f"corpus.fields: {where} has no column {path!r}.{suggestion(path, known)} "
        f"It has: {', '.join(known)}."
    )


def guess(what: str, columns: Sequence[str], names: Sequence[str] = ()) -> str | None:
    """Return the column that probably holds `what`, or None."""
    by_lower = {column.lower(): column for column in reversed(columns)}
    return next((by_lower[n] for n in (names or GUESSES[what]) if n in by_lower), None)


def value_at(record: Any, path: str | None) -> Any:
    """Return the value at a path with dots into nested objects, or None."""
    if path is None or not isinstance(record, Mapping):
        return None
    if path in record:
        return record[path]
    for at, sign in enumerate(path):
        if sign == "." and path[:at] in record:
            found = value_at(record[path[:at]], path[at + 1 :])
            if found is not None:
                return found
    return None


def paths_of(record: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    """Yield the paths of all values of a record, nested objects included."""
    for name, value in record.items():
        if isinstance(value, Mapping):
            yield from paths_of(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}"


def scalar_text(value: Any) -> str:
    """Return a key, label or split as text: 3.0 is "3", true is "true", NaN and None are ""."""
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer() and abs(value) < _EXACT:
        return str(int(value))
    if isinstance(value, bytes):
        return value.decode("utf-8", "surrogateescape")
    if isinstance(value, datetime.date):
        return value.isoformat()
    if isinstance(value, dict | list):
        return json.dumps(value, sort_keys=True, default=str)
    return str(value)


def decode_text(data: bytes) -> str:
    """Decode a text file; bytes that are not UTF-8 are kept as surrogates, which `Picker` refuses.

    A byte order mark is left out.
    """
    return data.removeprefix(b"\xef\xbb\xbf").decode("utf-8", "surrogateescape")


def _clean(text: str, problems: list[Refused]) -> str:
    text = _CONTROL.sub("", text).strip()
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:
            text = readable(text)
            problems.append(Refused(RejectCode.BAD_TEXT, f"a text is not UTF-8: {text[:80]!r}"))
    return text


def _texts(value: Any, problems: list[Refused], plain: bool) -> Iterator[str]:
    if isinstance(value, str) and plain and value.startswith("["):
        value = _json_list(value)
    items = value if isinstance(value, list | tuple) else [value]
    for item in items:
        text = _clean(scalar_text(item), problems)
        if text:
            yield text


def _json_list(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _attribute(value: Any, typed: bool, problems: list[Refused]) -> Any:
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        text = _clean(value, problems)
        return text or None if typed else _number(text)
    if isinstance(value, int):
        return value if abs(value) <= _EXACT else str(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return _clean(scalar_text(value), problems) or None


def _number(text: str) -> Any:
    if not text or text.lower() in ("nan", "null", "none", "na", "inf", "-inf"):
        return None
    if not _NUMBER.fullmatch(text):
        return text
    number = float(text)
    if not math.isfinite(number):
        return None
    if re.fullmatch(r"[+-]?\d+", text):
        return int(text) if abs(number) <= _EXACT else text
    return number


def _listed(value: str | list[str] | None) -> list[str]:
    return [] if value is None else [value] if isinstance(value, str) else list(value)


def _one(value: str | None) -> list[str]:
    return [] if value is None else [value]
