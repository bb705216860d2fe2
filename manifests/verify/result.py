"""What a verification found: findings that name the row, and how much was looked at."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

MAX_NAMED = 20
"""Findings of one check in one table that are named; the rest is only counted."""


@dataclass(frozen=True)
class Finding:
    """One thing that is not as the format promises.

    Attributes:
        check: name of the check ("similarity", "self-negative").
        table: the table, space or file in which it was found.
        row: row number within the table, None where it concerns the whole.
        message: what was seen and what was expected.
    """

    check: str
    table: str
    row: int | None
    message: str

    def __str__(self) -> str:
        where = self.table if self.row is None else f"{self.table} row {self.row}"
        return f"{where}: {self.check}: {self.message}"


@dataclass(frozen=True)
class VerifyResult:
    """All that a verification has to say.

    Attributes:
        root: the pairset.
        findings: what failed; at most MAX_NAMED of each check in each table.
        failed: how often each check failed in all: "check in table" -> count.
        checked: how many rows, files or images each check looked at.
        skipped: checks that could not run, and why.
    """

    root: str
    findings: tuple[Finding, ...]
    failed: dict[str, int]
    checked: dict[str, int]
    skipped: dict[str, str]

    @property
    def ok(self) -> bool:
        """Whether every check ran and none failed."""
        return not self.findings and not self.skipped

    def to_json(self) -> dict[str, Any]:
        """Return the result as JSON."""
        return {
            "root": self.root,
            "ok": self.ok,
            "findings": [asdict(finding) for finding in self.findings],
            "failed": self.failed,
            "checked": self.checked,
            "skipped": self.skipped,
        }


@dataclass
class Notes:
    """Collects findings while checks run; memory is bounded by MAX_NAMED a check and table."""

    findings: list[Finding] = field(default_factory=list)
    failed: Counter[str] = field(default_factory=Counter)
    checked: Counter[str] = field(default_factory=Counter)
    skipped: dict[str, str] = field(default_factory=dict)

    def add(self, check: str, table: str, row: int | None, message: str) -> None:
        """Note one finding."""
        name = f"{check} in {table}"
        if self.failed[name] < MAX_NAMED:
            self.findings.append(Finding(check, table, row, message))
        self.failed[name] += 1

    def rows(
        self,
        check: str,
        table: str,
        wrong: np.ndarray,
        first_row: int | np.ndarray,
        message: Callable[[int], str],
    ) -> None:
        """Note a finding for each row that is marked.

        Args:
            check: name of the check.
            table: name of the table.
            wrong: bool [rows], or bool [rows, places]: a row with any mark is wrong.
            first_row: number of the first row within the table, or int64 [rows], all numbers.
            message: from a position in `wrong` (its row) to the text.
        """
        places = np.flatnonzero(wrong if wrong.ndim == 1 else wrong.any(axis=1))
        if not len(places):
            return
        name = f"{check} in {table}"
        for place in places[: max(MAX_NAMED - self.failed[name], 0)].tolist():
            row = first_row + place if isinstance(first_row, int) else int(first_row[place])
            self.findings.append(Finding(check, table, row, message(place)))
        self.failed[name] += len(places)

    def looked_at(self, what: str, count: int) -> None:
        """Note that `count` more items of a kind were looked at."""
        self.checked[what] += count

    def result(self, root: str) -> VerifyResult:
        """Return what was collected."""
        return VerifyResult(
            root,
            tuple(self.findings),
            dict(self.failed),
            dict(self.checked),
            dict(self.skipped),
        )


def render(result: VerifyResult) -> str:
    """Return the result as plain text: one line a finding, then what was looked at."""
    lines = [str(finding) for finding in result.findings]
    named = Counter(f"{finding.check} in {finding.table}" for finding in result.findings)
    for name, count in result.failed.items():
        if count > named[name]:
            lines.append(f"... and {count - named[name]} more: {name}")
    lines += [f"not checked: {name}: {why}" for name, why in result.skipped.items()]
    looked = ", ".join(f"{count} {what}" for what, count in sorted(result.checked.items()))
    total = sum(result.failed.values())
    verdict = "sound" if result.ok else f"{total} findings"
    lines.append(f"{result.root}: {verdict}. Looked at {looked or 'nothing'}.")
    return "\n".join(lines)
