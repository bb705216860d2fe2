"""The file of questions and answers: JSON lines, and a line is never changed or removed.

A question is a line of status "open". An answer is a line of status "answered" (or of none: files
of answers need no questions). A line of status "withdrawn" takes back what its oracle had said of
the pair. `manifests.people.Answers` reads the same file: an open question is no answer to it.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from ..errors import ResourceError, UsageError
from ..pairset import QUESTIONS
from ..people import ANSWERED, ANSWERS, OPEN, WITHDRAWN, Answers, Pair, pair_of, records

Record = Mapping[str, Any]
"""One line: the fields of `FIELDS`; only the two keys must be there, and an answer in an answer."""
FIELDS: Mapping[str, str] = {
    "key_a": "Key of one of the two samples.",
    "key_b": "Key of the other.",
    "score": "Chance that the two show the same when the question was asked, 0..1.",
    "similarity": "Their cosine.",
    "round": "Round of asking, from 0; an answer has that of its question.",
    "status": "open (a question), answered (also where it is missing), or withdrawn: this oracle "
    "takes back what it said of the pair.",
    "answer": "yes (the same), no (different), unsure; null in other lines.",
    "oracle": "Who answered.",
    "ts": "When the line was written: UTC, ISO 8601.",
}
"""What each field of a line means."""


@dataclass(frozen=True)
class QuestionLog:
    """What a file of questions holds at one moment; holds its lines.

    Attributes:
        path: of the file.
        lines: its records, in order.
    """

    path: Path
    lines: tuple[Record, ...]

    @classmethod
    def read(cls, path: Path) -> QuestionLog:
        """Read a file; one that is not there is empty.

        Raises:
            DataError: a line cannot be read; the text names it.
            UsageError: it is Parquet, to which no line can be appended.
        """
        if path.suffix.lower() == ".parquet":
            raise UsageError(f"{path}: questions are JSON lines; name a file such as {QUESTIONS}.")
        if not path.exists():
            return cls(path, ())
        return cls(path, tuple(records(str(path), ("key_a", "key_b"))))

    @cached_property
    def answers(self) -> Answers:
        """What was answered and not taken back.

        Raises:
            DataError: an answer or a status is none of those that are known.
        """
        return Answers.of(str(self.path), list(self.lines))

    @cached_property
    def said(self) -> dict[Pair, set[str]]:
        """The answers to each pair that has any."""
        found: dict[Pair, set[str]] = {}
        given = self.answers
        for a, b, code in zip(given.left, given.right, given.said.tolist(), strict=True):
            found.setdefault(pair_of(a, b), set()).add(ANSWERS[code])
        return found

    @cached_property
    def open(self) -> list[Record]:
        """The questions without an answer, in the order in which they were asked."""
        said, seen = self.said, set()
        found = []
        for line in self.lines:
            pair = pair_of(line["key_a"], line["key_b"])
            if line.get("status") == OPEN and pair not in said and pair not in seen:
                seen.add(pair)
                found.append(line)
        return found

    @property
    def next_round(self) -> int:
        """One more than the latest round; 0 in an empty file."""
        return max((line.get("round") or 0 for line in self.lines), default=-1) + 1

    def conflicts(self) -> list[tuple[str, str]]:
        """Return the pairs to which both yes and no were said."""
        return [pair for pair, said in self.said.items() if {"yes", "no"} <= said]


def question(keys: Pair, score: float, similarity: float, round_: int, now: str = "") -> Record:
    """Return an open question: the line that asks about a pair.

    Args:
        keys: the two samples.
        score: chance that they show the same, 0..1.
        similarity: their cosine.
        round_: of asking, from 0.
        now: time of writing; the present one unless given.
    """
    return {
        **_pair(keys),
        "score": round(float(score), 6),
        "similarity": round(float(similarity), 6),
        "round": round_,
        "status": OPEN,
        "answer": None,
        "ts": now or _now(),
    }


def answer(keys: Pair, said: str, oracle: str, round_: int = 0, now: str = "") -> Record:
    """Return the line that answers a question; `said` is one of `people.ANSWERS`."""
    if said not in ANSWERS:
        raise ValueError(f"answer {said!r}; allowed are {', '.join(ANSWERS)}")
    made = {"round": round_, "status": ANSWERED, "answer": said, "oracle": oracle}
    return {**_pair(keys), **made, "ts": now or _now()}


def withdrawal(keys: Pair, oracle: str, round_: int = 0, now: str = "") -> Record:
    """Return the line that takes back what an oracle said of a pair."""
    made = {"round": round_, "status": WITHDRAWN, "answer": None, "oracle": oracle}
    return {**_pair(keys), **made, "ts": now or _now()}


def append(path: Path, lines: Sequence[Record]) -> None:
    """Append records to a file, all or none of them, in one write.

    A line that a killed program left without its end is ended first, so it spoils no other line.

    Raises:
        ResourceError: the disk is full; the file is as it was.
    """
    if not lines:
        return
    text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
    path.parent.mkdir(parents=True, exist_ok=True)
    with _locked(path) as file:
        size = os.fstat(file).st_size
        data = text.encode()
        if size and os.pread(file, 1, size - 1) != b"\n":
            data = b"\n" + data
        try:
            if os.write(file, data) != len(data):
                raise OSError(f"fewer than {len(data)} bytes were written")
            os.fsync(file)
        except OSError as error:
            os.ftruncate(file, size)
            raise ResourceError(
                f"{path}: nothing was noted ({error}). Free some space and answer again."
            ) from error


@contextmanager
def _locked(path: Path) -> Iterator[int]:
    """Open a file for appending, alone among all programs that do so through here."""
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield file
    finally:
        os.close(file)


def keys_of(lines: Iterable[Record]) -> list[str]:
    """Return the keys that lines name, each once, in order."""
    return list(dict.fromkeys(line[name] for line in lines for name in ("key_a", "key_b")))


def _pair(keys: Pair) -> dict[str, str]:
    return {"key_a": keys[0], "key_b": keys[1]}


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
