"""What people and oracles said, as files: selections {set, key, round} and answers to questions.

Both are append-only: a later round adds lines and changes none. Read from JSON lines (`.jsonl`)
or Parquet; `round` may be left out and is 0 then. A file of answers may hold the questions too
(see `manifests.questions.log`): `status` says what a line is, "answered" where there is none.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from . import listing, storage
from .errors import DataError

ANSWERS = ("yes", "no", "unsure")
YES, NO, UNSURE = range(3)
OPEN, ANSWERED, WITHDRAWN = STATUSES = ("open", "answered", "withdrawn")
"""What a line of answers is: a question, an answer, or an oracle who takes its answer back."""

Pair = tuple[str, str]
"""Keys of two samples."""


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
        rows = [row for row in records(path, ("set", "key")) if _is_early(row, until)]
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
        """Read a file, up to a round; open questions and answers that were taken back are left out.

        Raises:
            DataError: it cannot be read, a line lacks a key, or an answer is none of `ANSWERS`.
        """
        return cls.of(path, list(records(path, ("key_a", "key_b"))), until)

    @classmethod
    def of(cls, path: str, lines: Sequence[Mapping[str, Any]], until: int | None = None) -> Answers:
        """Take the answers out of the records of a file; see `read`.

        Raises:
            DataError: an answer or a status is none of those that are known.
        """
        standing: dict[int, Mapping[str, Any]] = {}
        of: dict[tuple[Pair, str], list[int]] = {}
        for number, row in enumerate(lines, start=1):
            status = _status(path, number, row)
            if status == OPEN or not _is_early(row, until):
                continue
            who = (pair_of(row["key_a"], row["key_b"]), _oracle(row))
            if status == WITHDRAWN:
                for earlier in of.pop(who, ()):
                    del standing[earlier]
            else:
                standing[number] = row
                of.setdefault(who, []).append(number)
        rows = list(standing.values())
        said = np.array([ANSWERS.index(row["answer"]) for row in rows], np.int8)
        left, right = ([row[name] for row in rows] for name in ("key_a", "key_b"))
        oracles = [_oracle(row) for row in rows]
        return cls(left, right, said, _rounds(rows), oracles)

    def text(self) -> str:
        """Return the answers as JSON lines."""
        said = [ANSWERS[code] for code in self.said]
        parts = (self.left, self.right, said, self.rounds.tolist(), self.oracles)
        names = ("key_a", "key_b", "answer", "round", "oracle")
        return _lines(dict(zip(names, row, strict=True)) for row in zip(*parts, strict=True))


def pair_of(a: str, b: str) -> Pair:
    """Return two keys in the one order that a pair has, whichever way it was asked."""
    return (a, b) if a <= b else (b, a)


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


def records(path: str, needed: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Read the records of a file; those fields that are needed are texts then.

    Raises:
        DataError: it cannot be read, or a record lacks a field; the text names it.
    """
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


def _status(path: str, number: int, row: Mapping[str, Any]) -> str:
    status = row.get("status") or ANSWERED
    if status not in STATUSES:
        allowed = ", ".join(STATUSES)
        raise DataError(f"{path}, record {number}: status {status!r}; allowed are {allowed}.")
    if status == ANSWERED and row.get("answer") not in ANSWERS:
        raise DataError(
            f"{path}, record {number}: answer {row.get('answer')!r}; allowed are "
            f"{', '.join(ANSWERS)}."
        )
    return status


def _oracle(row: Mapping[str, Any]) -> str:
    return str(row.get("oracle") or "")


def _is_early(row: Mapping[str, Any], until: int | None) -> bool:
    return until is None or (row.get("round") or 0) <= until


def _rounds(rows: Sequence[Mapping[str, Any]]) -> np.ndarray:
    return np.array([row.get("round") or 0 for row in rows], np.int64)


def _lines(rows: Iterator[dict[str, Any]]) -> str:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
