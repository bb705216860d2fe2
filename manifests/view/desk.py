"""Where questions are answered: open ones in order, answers noted, the latest one undone."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..people import ANSWERS, Pair, pair_of
from ..questions.implied import Closure
from ..questions.log import QuestionLog, Record, answer, append, withdrawal


class Desk:
    """A file of questions and who answers them; threads may share it. Holds the file's lines.

    The file is read again whenever it has changed, so a program may write to it meanwhile.
    """

    def __init__(self, path: Path, oracle: str) -> None:
        self.path, self.oracle = path, oracle
        self._lock = threading.RLock()
        self._stamp: tuple[int, int] | None = None
        self._log = QuestionLog(path, ())
        self._closure: Closure[str] = Closure()
        self._given: list[Pair] = []

    def check(self) -> None:
        """Read the file once, so that a broken one is told before anybody answers.

        Raises:
            DataError: the file cannot be read, or a line is none of a file of questions.
            UsageError: it is Parquet.
        """
        self._read()

    def waiting(self, count: int) -> list[Record]:
        """Return the first open questions that answers do not imply."""
        log, closure = self._read()
        parted = closure.parted()
        free: list[Record] = []
        for line in log.open:
            one, two = closure.root(line["key_a"]), closure.root(line["key_b"])
            if one != two and frozenset((one, two)) not in parted:
                free.append(line)
                if len(free) == count:
                    break
        return free

    def facts(self) -> dict[str, Any]:
        """Count: open, waiting (open and not implied), yes, no, unsure, conflicts; and the file."""
        log, closure = self._read()
        said = Counter(word for words in log.said.values() for word in words)
        torn = closure.contradicted()
        return {
            "file": str(self.path),
            "oracle": self.oracle,
            "open": len(log.open),
            "waiting": len(self.waiting(len(log.open))),
            "answers": {word: said[word] for word in ANSWERS},
            "conflicts": len(torn),
            "conflicting": [list(pair) for pair in torn[:10]],
            "can_undo": bool(self._given),
        }

    def answer(self, pair: Pair, said: str) -> None:
        """Note an answer; one that this oracle gave to the pair before is taken back.

        Raises:
            ValueError: it is none of `people.ANSWERS`.
            ResourceError: the disk is full; nothing was noted.
        """
        with self._lock:
            log, _ = self._read()
            line = answer(pair, said, self.oracle, self._round(log, pair))
            append(self.path, [*self._withdrawn(log, pair), line])
            self._given.append(pair)

    def undo(self) -> Pair | None:
        """Take the latest answer of this session back; return its pair, or None."""
        with self._lock:
            if not self._given:
                return None
            pair = self._given.pop()
            log, _ = self._read()
            append(self.path, self._withdrawn(log, pair))
            return pair

    def alone(self, work: Callable[[], Any]) -> Any:
        """Do something while nobody answers."""
        with self._lock:
            return work()

    def _withdrawn(self, log: QuestionLog, pair: Pair) -> list[Record]:
        given = log.answers
        names = zip(given.left, given.right, given.oracles, strict=True)
        asked = (pair_of(*pair), self.oracle)
        if all((pair_of(a, b), who) != asked for a, b, who in names):
            return []
        return [withdrawal(pair, self.oracle, self._round(log, pair))]

    def _round(self, log: QuestionLog, pair: Pair) -> int:
        """Return the round in which a pair was asked about; the present one where it was not."""
        wanted = pair_of(*pair)
        for line in log.lines:
            if pair_of(line["key_a"], line["key_b"]) == wanted:
                return int(line.get("round") or 0)
        return max(log.next_round - 1, 0)

    def _read(self) -> tuple[QuestionLog, Closure[str]]:
        with self._lock:
            stamp = None
            if self.path.exists():
                status = self.path.stat()
                stamp = (status.st_size, status.st_mtime_ns)
            if stamp != self._stamp or stamp is None:
                log = QuestionLog.read(self.path)
                closure: Closure[str] = Closure(
                    (a, b, word) for (a, b), words in log.said.items() for word in sorted(words)
                )
                self._stamp, self._log, self._closure = stamp, log, closure
            return self._log, self._closure
