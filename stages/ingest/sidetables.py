"""Tables in the root of an image folder, whose rows say something about images by name."""

from __future__ import annotations

import re
from dataclasses import dataclass

from ...manifests.errors import ConfigError
from ..registry import suggestion
from .base import Fields, RawSample
from .fields import Picker, choose, decode_text, guess, scalar_text
from .imagelist import NAME_COLUMNS, ImageList
from .tablefile import SUFFIXES, Record, Table, open_table

PARENT = "parent"
"""`fields.label` of corpora whose folders are classes."""

_NAMES = re.compile(r"(captions|splits?|labels)\.[a-z]+|.*\.token(\.txt)?", re.IGNORECASE)


@dataclass(frozen=True)
class SideTable:
    """A table beside images.

    Attributes:
        name: its path below the root.
        table: the opened file.
        image: the column that names the image.
        picker: what its other columns hold.
    """

    name: str
    table: Table
    image: str
    picker: Picker

    def name_of(self, record: Record) -> str | None:
        """Return the image that a record names, or None."""
        return scalar_text((record.values or {}).get(self.image)).strip() or None


def side_tables(images: ImageList, fields: Fields) -> list[SideTable]:
    """Open the tables of a folder: those named as `folder` says, and those that `fields` names.

    Raises:
        ConfigError: `fields` names a table or column that is not there.
        DataError: a table cannot be read.
    """
    asked = {path.partition(":")[0] for path in _paths(fields) if ":" in path}
    names = [
        name
        for name in images.others
        if name in asked
        or ("/" not in name and name.lower().endswith(SUFFIXES) and _NAMES.fullmatch(name))
    ]
    tables = []
    for name in sorted(names):
        side = open_side_table(images.others[name].url, name, fields)
        if side.image:
            tables.append(side)
    _check(fields, tables)
    return tables


def open_side_table(url: str, name: str, fields: Fields) -> SideTable:
    """Open one table; `image` is "" where no column names images."""
    table = open_table(url)
    image = fields.image if fields.image in table.columns else None
    image = image or guess("image", table.columns, NAME_COLUMNS) or ""
    columns = [column for column in table.columns if column != image]
    return SideTable(
        name, table, image, choose(_own(fields, name, columns), columns, name, table.typed)
    )


def add_text(sample: RawSample, data: bytes, field: str) -> None:
    """Add the lines of a text file to a sample's captions."""
    lines = decode_text(data).splitlines()
    more = Picker(caption=(field,)).sample({field: lines}, "", "")
    sample.captions = [*sample.captions, *more.captions]
    if more.code is not None:
        sample.code, sample.message = more.code, more.message


def _own(fields: Fields, name: str, columns: list[str]) -> Fields:
    """Return the part of `fields` that one table can answer."""

    def own(path: str | None) -> str | None:
        table, colon, column = (path or "").partition(":")
        if colon:
            return column if table == name else None
        known = path is not None and (path in columns or path.split(".")[0] in columns)
        return path if known else None

    captions = [fields.caption] if isinstance(fields.caption, str) else fields.caption or []
    asked = [column for path in captions if (column := own(path)) is not None]
    attributes = {key: column for key, path in fields.attributes.items() if (column := own(path))}
    return Fields(
        caption=asked or None,
        label=own(fields.label),
        labels=own(fields.labels),
        split=own(fields.split),
        uid=own(fields.uid),
        attributes=attributes,
    )


def _paths(fields: Fields) -> list[str]:
    captions = [fields.caption] if isinstance(fields.caption, str) else fields.caption or []
    single = (fields.label, fields.labels, fields.split, fields.uid)
    return [*captions, *(path for path in single if path), *fields.attributes.values()]


def _check(fields: Fields, tables: list[SideTable]) -> None:
    columns = {side.name: side.table.columns for side in tables}
    known = [f"{name}:{column}" for name, names in columns.items() for column in names]
    for path in _paths(fields):
        table, colon, column = path.partition(":")
        found = (
            columns.get(table, []) if colon else [n for names in columns.values() for n in names]
        )
        column = column if colon else path
        if path == PARENT or column in found or column.split(".")[0] in found:
            continue
        raise ConfigError(
            f"corpus.fields: no table of this folder has {path!r}.{suggestion(path, known)} "
            f"Allowed: {', '.join([PARENT, *known])}."
        )
