"""What people and oracles said, as files: selections {set, key, round} and answers to questions.

Both are append-only: a later round adds lines and changes none. Read from JSON lines (`.jsonl`)
or Parquet; `round` may be left out and is 0 then.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from . import listing, storage
from .errors import DataError

ANSWERS = ("yes", "no", "unsure")
YES, NO, UNSURE = range(3)


@dataclass(frozen=True)
class Selections:
    """Samples that people put into sets: one entry a line of the file.

    Attributes:
        sets: names of the sets, sorted.
        keys: key of the sample of each entry.
        of: int64 [entries], the set of each.
        rounds: int64 [entries].
    """

    sets: list[str]
    keys: list[str]
    of: np.ndarray
    rounds: np.ndarray

    @classmethod
    def read(cls, path: str, until: int | None = None) -> Selections:
        """Read a file, up to a round.

        Raises:
            DataError: it cannot be read, or a line lacks `set` or `key`; the text names the line.
        """
        rows = [row for row in _records(path, ("set", "key")) if _is_early(row, until)]
        sets = sorted({row["set"] for row in rows})
        number = {name: code for code, name in enumerate(sets)}
        of = np.array([number[row["set"]] for row in rows], np.int64)
        return cls(sets, [row["key"] for row in rows], of, _rounds(rows))

    def text(self) -> str:
        """Return the entries as JSON lines."""
        entries = zip(self.keys, self.of.tolist(), self.rounds.tolist(), strict=True)
        return _lines({"set": self.sets[s], "key": k, "round": r} for k, s, r in entries)


@dataclass(frozen=True)
class Answers:
    """Answers to "do these two show the same?".

    Attributes:
        left, right: keys of the two samples of each answer.
        said: int8 [answers], position in `ANSWERS`.
        rounds: int64 [answers].
        oracles: who answered, "" where the file does not say.
    """

    left: list[str]
    right: list[str]
    said: np.ndarray
    rounds: np.ndarray
    oracles: list[str]

    @classmethod
    def read(cls, path: str, until: int | None = None) -> Answers:
        """Read a file, up to a round.

        Raises:
            DataError: it cannot be read, a line lacks a key, or an answer is none of `ANSWERS`.
        """
        rows = []
        for number, row in enumerate(_records(path, ("key_a", "key_b", "answer")), start=1):
            if row["answer"] not in ANSWERS:
                raise DataError(
                    f"{path}, record {number}: answer {row['answer']!r}; allowed are "
                    f"{', '.join(ANSWERS)}."
                )
            if _is_early(row, until):
                rows.append(row)
        said = np.array([ANSWERS.index(row["answer"]) for row in rows], np.int8)
        left, right = ([row[name] for row in rows] for name in ("key_a", "key_b"))
        oracles = [str(row.get("oracle") or "") for row in rows]
        return cls(left, right, said, _rounds(rows), oracles)

    def text(self) -> str:
        """Return the answers as JSON lines."""
        said = [ANSWERS[code] for code in self.said]
        parts = (self.left, self.right, said, self.rounds.tolist(), self.oracles)
        names = ("key_a", "key_b", "answer", "round", "oracle")
        return _lines(dict(zip(names, row, strict=True)) for row in zip(*parts, strict=True))


def file_identity(path: str) -> str:
    """Return a name for a file's content: path, size and time of change, not its bytes."""
    return listing.content_digest([listing.describe(path)])


def known_ids(path: str, keys: Sequence[str], ids: np.ndarray) -> int:
    """Count the keys that no sample has.

    Args:
        path: of the file, for the message.
        keys: that it names.
        ids: int64 [keys], -1 where no sample has the key.

    Raises:
        DataError: more than half of them are unknown: it is the file of another corpus.
    """
    missing = np.flatnonzero(ids < 0)
    if 2 * len(missing) > len(keys):
        raise DataError(
            f"{path}: {len(missing)} of {len(keys)} keys are no keys of this corpus, such as "
            f"{keys[missing[0]]!r}. Keys are those of column `key` of samples."
        )
    return len(missing)


def _records(path: str, needed: Sequence[str]) -> Iterator[dict[str, Any]]:
    for number, row in enumerate(_rows(path), start=1):
        if not isinstance(row, dict):
            raise DataError(f"{path}, record {number}: {row!r} is not an object.")
        for name in needed:
            value = row.get(name)
            if not isinstance(value, str | int) or value == "":
                raise DataError(
                    f"{path}, record {number}: {name} is {value!r}; a text is needed. "
                    f"Each record has {', '.join(needed)}."
                )
            row[name] = str(value)
        moment = row.get("round")
        if not (moment is None or (isinstance(moment, int) and moment >= 0)):
            raise DataError(f"{path}, record {number}: round is {moment!r}; 0, 1, 2 are rounds.")
        yield row


def _rows(path: str) -> Iterator[Any]:
    try:
        data = storage.read_bytes(path)
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error}.") from error
    if path.lower().endswith(".parquet"):
        yield from pq.read_table(io.BytesIO(data)).to_pylist()
        return
    for number, line in enumerate(data.split(b"\n"), start=1):
        if line.strip():
            try:
                yield json.loads(line)
            except ValueError as error:
                raise DataError(f"{path}, line {number}: not JSON: {error}.") from error


def _is_early(row: dict[str, Any], until: int | None) -> bool:
    return until is None or (row.get("round") or 0) <= until


def _rounds(rows: Sequence[dict[str, Any]]) -> np.ndarray:
    return np.array([row.get("round") or 0 for row in rows], np.int64)


def _lines(rows: Iterator[dict[str, Any]]) -> str:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
