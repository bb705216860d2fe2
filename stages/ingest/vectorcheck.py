"""Whether every sample has a usable precomputed vector: there, finite, and not all zero."""

from __future__ import annotations

import numpy as np

from ...manifests.arrays import ArrayAlignment, ArraySource, VectorTable, corpus_counts
from ...manifests.artifact import Artifact
from ...manifests.schema import RejectCode
from ...manifests.vectors import starts_of

_BLOCK = 8192
_CODES = ("", *RejectCode)


def check_vectors(
    scan: Artifact, source: ArraySource, codes: np.ndarray, captions: np.ndarray
) -> None:
    """Refuse samples whose vectors are missing, not finite or all zero; `codes` changes in place.

    A sample without captions needs no caption vector.

    Args:
        scan: rows of the corpus.
        source: the vectors.
        codes: uint8 [inputs], position in ("", *RejectCode); 0 is a sample.
        captions: int32 [inputs].

    Raises:
        DataError: the array does not fit the corpus.
    """
    vectors = source.open()
    alignment = ArrayAlignment.of(source, len(vectors), *corpus_counts(scan))
    starts = starts_of([receipt.rows for receipt in scan.receipts])
    before = np.concatenate([np.zeros(1, np.int64), np.cumsum(captions, dtype=np.int64)])
    for number, part in enumerate(scan.parts):
        position = starts[number] + np.flatnonzero(codes[starts[number] : starts[number + 1]] == 0)
        if source.of == "caption":
            position = position[captions[position] > 0]
        keys: list[str] = []
        if alignment.mode == "key":
            column = scan.table(part, ["key"])["key"].take(position - starts[number])
            keys = column.to_pylist()
        first, count = alignment.rows_for(position, before[position], captions[position], keys)
        codes[position[count == 0]] = _CODES.index(RejectCode.MISSING_VECTOR)
        there = count > 0
        _check_rows(vectors, position[there], first[there], count[there], codes)


def _check_rows(
    vectors: VectorTable,
    position: np.ndarray,
    first: np.ndarray,
    count: np.ndarray,
    codes: np.ndarray,
) -> None:
    owner = np.repeat(position, count)
    offsets = np.arange(len(owner)) - np.repeat(np.cumsum(count) - count, count)
    rows = np.repeat(first, count) + offsets
    for start in range(0, len(rows), _BLOCK):
        block = vectors.take(rows[start : start + _BLOCK])
        owners = owner[start : start + _BLOCK]
        codes[owners[~block.any(axis=1)]] = _CODES.index(RejectCode.ZERO_VECTOR)
        codes[owners[~np.isfinite(block).all(axis=1)]] = _CODES.index(RejectCode.NAN_VECTOR)
