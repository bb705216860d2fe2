"""Columns, types, empty values, numbers of rows and lengths of lists of every table."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from .. import schema
from ..tables import open_parquet
from .context import Context


def check_schemas(context: Context) -> None:
    """Check every table; what has other columns than promised is not read any further."""
    for table in context.pairset.manifest["tables"]:
        if table in context.broken:
            continue
        expected = schema.table_schema(table, context.pairset.manifest)
        if expected is None:
            context.notes.add("table", table, None, "pairset/1 knows no such table")
        elif not _columns_fit(context, table, expected) or not _rows_fit(context, table, expected):
            context.broken.add(table)


def _columns_fit(context: Context, table: str, expected: pa.Schema) -> bool:
    fits = True
    for entry in context.pairset.manifest["tables"][table]:
        with open_parquet(context.pairset.root / entry["path"]) as file:
            found, rows = file.schema_arrow, file.metadata.num_rows
        if rows != entry["rows"]:
            message = f"{entry['path']} has {rows} rows, listed with {entry['rows']}"
            context.notes.add("count", table, None, message)
            fits = False
        wanted = [(field.name, field.type) for field in expected]
        if [(field.name, field.type) for field in found] != wanted:
            message = f"{entry['path']}: {_difference(found, expected)}"
            context.notes.add("columns", table, None, message)
            fits = False
    return fits


def _difference(found: pa.Schema, expected: pa.Schema) -> str:
    for field in expected:
        if field.name not in found.names:
            return f"column {field.name} is missing"
        if found.field(field.name).type != field.type:
            return f"column {field.name} is {found.field(field.name).type}, not {field.type}"
    extra = [name for name in found.names if name not in expected.names]
    return f"unknown columns {', '.join(extra)}" if extra else "columns in another order"


def _rows_fit(context: Context, table: str, expected: pa.Schema) -> bool:
    lengths = schema.list_lengths(table, context.pairset.manifest)
    required = [field.name for field in expected if not field.nullable]
    fits = True
    for first, block in context.blocks(table, required):
        context.notes.looked_at(f"{table} rows", block.num_rows)
        for name in required:
            fits &= _column_is_full(context, table, first, name, block[name])
        for name, length in lengths.items():
            fits &= _lists_fit(context, table, first, name, block[name], length)
    return fits


def _column_is_full(
    context: Context, table: str, first: int, name: str, column: pa.ChunkedArray
) -> bool:
    empty = column.is_null().to_numpy()
    context.notes.rows("null", table, empty, first, lambda _: f"{name} is null")
    return not empty.any()


def _lists_fit(
    context: Context, table: str, first: int, name: str, column: pa.ChunkedArray, length: int
) -> bool:
    parts = [np.diff(chunk.offsets.to_numpy()) for chunk in column.chunks]
    lengths = np.concatenate([np.zeros(0, np.int64), *parts])
    context.notes.rows(
        "list-length",
        table,
        lengths != length,
        first,
        lambda row: f"{name} has {lengths[row]} entries, every row has {length}",
    )
    return bool((lengths == length).all())
