"""Texts of a column as numbers: each different text is looked at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa


def encode(column: pa.ChunkedArray, code: Callable[[str | None], int]) -> np.ndarray:
    """Return an int64 code for each text of a column.

    Args:
        column: texts.
        code: is asked once for each different text, in the order in which they are met; for None
            only where the column has nulls.
    """
    coded: Any = column.combine_chunks().dictionary_encode()
    values = [*coded.dictionary.to_pylist(), *([None] if coded.null_count else [])]
    table = np.array([code(value) for value in values], np.int64)
    return table[coded.indices.fill_null(len(values) - 1).to_numpy(zero_copy_only=False)]


def codes_of(column: pa.ChunkedArray, known: Mapping[Any, int]) -> np.ndarray:
    """Return the known codes of a column of texts, int64; -1 for texts that have none."""
    return encode(column, lambda text: known.get(text, -1))


def combinations(
    table: pa.Table, columns: Sequence[str]
) -> tuple[list[tuple[str, ...]], np.ndarray]:
    """Return the different rows of some columns of texts, and for each row which one it is.

    Returns:
        names in the order of their codes, and int64 [rows].
    """
    words: list[list[str]] = []
    codes = np.zeros(table.num_rows, np.int64)
    for column in columns:
        known: dict[str | None, int] = {}
        here = encode(table[column], lambda text, known=known: known.setdefault(text, len(known)))
        words.append([str(text) for text in known])
        codes = codes * max(len(known), 1) + here
    used, codes = np.unique(codes, return_inverse=True)
    return [_split(int(code), words) for code in used], codes.reshape(-1)


def _split(code: int, words: Sequence[Sequence[str]]) -> tuple[str, ...]:
    name: list[str] = []
    for known in reversed(words):
        code, at = divmod(code, len(known))
        name.append(known[at])
    return tuple(reversed(name))
