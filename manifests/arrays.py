"""Precomputed vectors beside a corpus, and which of their rows belongs to which sample.

A sample maps to rows of an array in one of three ways, chosen once for the whole array:

* `keys` is given       the rows whose key is the sample's key. For `of: caption` several rows in
                        a run may have one key: one a caption.
* `of: caption`, and the array has as many rows as the corpus has captions
                        row `caption_position`, one row a caption: captions in the order in which
                        ingest lists them (`captions` of a sample, samples in corpus order).
* otherwise             row `position`, one row an input: in corpus order, refused inputs counted,
                        because whoever made the array did not know what would be refused.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from . import listing, storage
from .artifact import Artifact
from .errors import DataError
from .fingerprint import key_hashes
from .vector_table import VectorTable, open_parquet_url, open_vectors

__all__ = ["ArrayAlignment", "ArraySource", "VectorTable", "corpus_counts", "open_vectors"]

_BLOCK = 65536
KEY_COLUMNS = ("key", "__key__", "id", "image_id")
"""Columns that may hold the keys of a keys file; the first that is there is taken."""


@dataclass(frozen=True)
class ArraySource:
    """Where precomputed vectors stand.

    Attributes:
        path: `.npy` or Parquet: a file, a folder, a `*` pattern or `{0..9}`; path or fsspec URL.
        of: what each row is a vector of: "image", "caption", or any other modality of a sample.
        keys: file that names each row's sample, in row order: `.txt` (one a line), `.npy` of
            strings, `.csv`, `.tsv` or `.parquet` with a column `key`; None for corpus order.
        column: the vector column of Parquet files, where there are several.
    """

    path: str
    of: str = "image"
    keys: str | None = None
    column: str | None = None

    def open(self) -> VectorTable:
        """Open the vectors; see `open_vectors`."""
        return open_vectors(self.path, self.column)

    def identity(self) -> dict[str, Any]:
        """Return JSON that changes when the settings or the files change."""
        sources = [self.path] if self.keys is None else [self.path, self.keys]
        content = [listing.content_digest(listing.matching(item)) for item in sources]
        return {
            "path": listing.absolute(self.path),
            "of": self.of,
            "keys": None if self.keys is None else listing.absolute(self.keys),
            "column": self.column,
            "content": content,
        }


@dataclass(frozen=True)
class ArrayAlignment:
    """Which rows of an array belong to which sample; see the module's text.

    Attributes:
        mode: "key", "caption" or "position".
        hashes: uint64 [runs, 2], sorted: the keys of runs of rows (mode "key").
        first: int64 [runs], the first row of each run.
        count: int64 [runs], the rows of each run.
    """

    mode: str
    hashes: np.ndarray
    first: np.ndarray
    count: np.ndarray

    @classmethod
    def of(cls, source: ArraySource, rows: int, inputs: int, captions: int) -> ArrayAlignment:
        """Choose the way in which an array's rows belong to samples.

        Args:
            source: the array.
            rows: rows of the array.
            inputs: inputs of the corpus, refused ones counted (see `corpus_counts`).
            captions: captions of all inputs.

        Raises:
            DataError: the counts do not fit, or the keys file does not.
        """
        if source.keys is not None:
            return cls("key", *_key_runs(source, rows))
        none = np.zeros(0, np.int64)
        empty = (np.zeros((0, 2), np.uint64), none, none)
        if source.of == "caption" and rows == captions:
            return cls("caption", *empty)
        if rows == inputs:
            return cls("position", *empty)
        by_caption = f" or {captions} captions" if source.of == "caption" else ""
        raise DataError(
            f"{source.path} has {rows} rows, but the corpus has {inputs} inputs{by_caption} "
            "(refused inputs counted). Rows without keys must stand in corpus order, one an input; "
            "otherwise name each row's sample in a file and set `keys` to its path "
            "(.txt with one key a line, .npy of strings, or a table with a column `key`)."
        )

    def rows_for(
        self,
        position: np.ndarray,
        caption_position: np.ndarray,
        captions: np.ndarray,
        keys: Sequence[str] = (),
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return the rows of samples.

        Args:
            position: int64 [n], ordinal among all inputs.
            caption_position: int64 [n], ordinal of the first caption among all captions.
            captions: int64 [n], how many captions each has.
            keys: the samples' keys; only read in mode "key".

        Returns:
            first row int64 [n] (-1 where a sample has none) and number of rows int64 [n].
        """
        if self.mode == "position":
            return np.asarray(position, np.int64), np.ones(len(position), np.int64)
        if self.mode == "caption":
            count = np.asarray(captions, np.int64)
            return np.where(count > 0, caption_position, -1), count
        return self._find(key_hashes(keys))

    def _find(self, wanted: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        first = np.full(len(wanted), -1, np.int64)
        count = np.zeros(len(wanted), np.int64)
        if not len(self.hashes):
            return first, count
        at = np.searchsorted(self.hashes[:, 0], wanted[:, 0])
        # Two keys may share the first 64 bits; the loop ends when no run of them is left.
        open_rows = np.flatnonzero(at < len(self.hashes))
        while len(open_rows):
            here = self.hashes[at[open_rows]]
            open_rows = open_rows[here[:, 0] == wanted[open_rows, 0]]
            same = self.hashes[at[open_rows], 1] == wanted[open_rows, 1]
            hit = open_rows[same]
            first[hit], count[hit] = self.first[at[hit]], self.count[at[hit]]
            open_rows = open_rows[~same]
            at[open_rows] += 1
            open_rows = open_rows[at[open_rows] < len(self.hashes)]
        return first, count


def corpus_counts(scan: Artifact) -> tuple[int, int]:
    """Return the inputs and the captions of a whole corpus, from the receipts of `scan`."""
    inputs = sum(int(receipt.facts["inputs"]) for receipt in scan.receipts)
    captions = sum(int(receipt.facts["captions"]) for receipt in scan.receipts)
    return inputs, captions


def _key_runs(source: ArraySource, rows: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    path = source.keys or ""
    hashes = np.concatenate([np.zeros((0, 2), np.uint64), *_hash_blocks(path)])
    if len(hashes) != rows:
        raise DataError(
            f"{path} names {len(hashes)} rows, but {source.path} has {rows}. "
            "There must be one key for each row, in the same order."
        )
    changes = np.flatnonzero((hashes[1:] != hashes[:-1]).any(axis=1)) + 1
    first = np.concatenate([np.zeros(min(rows, 1), np.int64), changes])
    count = np.diff(np.append(first, rows))
    order = np.lexsort((hashes[first, 1], hashes[first, 0]))
    first, count = first[order], count[order]
    names = hashes[first]
    again = np.flatnonzero((names[1:] == names[:-1]).all(axis=1))
    wrong = first[again + 1]
    if source.of != "caption":
        wrong = np.append(wrong, first[count > 1] + 1)
    if len(wrong):
        raise DataError(
            f"{path}: row {wrong.min()} names a sample that an earlier row has named. "
            "A key may stand once, or, for `of: caption`, in one run of rows: one a caption."
        )
    return names, first, count


def _hash_blocks(path: str) -> Iterator[np.ndarray]:
    for file in listing.matching(path, (".txt", ".npy", ".parquet", ".csv", ".tsv")):
        for block in _key_blocks(file.url):
            yield key_hashes(block)


def _key_blocks(url: str) -> Iterator[Sequence[str]]:
    name = url.lower()
    if name.endswith(".parquet"):
        yield from _parquet_keys(url)
    elif name.endswith(".npy"):
        yield from _npy_keys(url)
    elif name.endswith((".txt", ".csv", ".tsv")):
        yield from _text_keys(url)
    else:
        raise DataError(f"{url}: keys are read from .txt, .npy, .csv, .tsv and .parquet files.")


def _parquet_keys(url: str) -> Iterator[Sequence[str]]:
    file = open_parquet_url(url)
    column = _key_column(url, file.schema_arrow.names)
    for batch in file.iter_batches(_BLOCK, columns=[column]):
        yield [str(key) for key in batch.column(0).to_pylist()]


def _npy_keys(url: str) -> Iterator[Sequence[str]]:
    try:
        keys = np.load(io.BytesIO(storage.read_bytes(url)), allow_pickle=False)
    except ValueError as error:
        raise DataError(f"{url}: not a .npy file of strings ({error}).") from error
    if keys.ndim != 1 or keys.dtype.kind not in "US":
        raise DataError(
            f"{url}: shape {keys.shape}, type {keys.dtype}; keys are strings of shape [rows]. "
            "Save them with numpy.save(path, numpy.array(keys, dtype=str))."
        )
    for start in range(0, len(keys), _BLOCK):
        block = keys[start : start + _BLOCK]
        yield (np.char.decode(block, "utf-8") if keys.dtype.kind == "S" else block).tolist()


def _text_keys(url: str) -> Iterator[Sequence[str]]:
    try:
        text = storage.read_bytes(url).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{url}: keys must be UTF-8 text ({error}).") from error
    if url.lower().endswith(".txt"):
        lines = text.split("\n")
        yield [line.removesuffix("\r") for line in (lines[:-1] if lines[-1] == "" else lines)]
        return
    table = csv.reader(io.StringIO(text), delimiter="\t" if url.lower().endswith(".tsv") else ",")
    header = next(table, [])
    at = header.index(_key_column(url, header))
    yield [row[at] for row in table if len(row) > at]


def _key_column(url: str, names: Sequence[str]) -> str:
    found = next((name for name in KEY_COLUMNS if name in names), None)
    if found is None and len(names) == 1:
        found = names[0]
    if found is None:
        raise DataError(
            f"{url}: no column holds keys; it has {', '.join(names)}. Call it {KEY_COLUMNS[0]!r}."
        )
    return found
