"""What an export is: one target format, its options, its files, and what came out."""

from __future__ import annotations

import abc
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar

from .. import storage
from ..errors import DataError, UsageError
from ..pairset import Pairset
from ._rows import splits_of

Progress = Callable[[str], None]

ABOUT = "_export.json"
"""What stands in the folder of an export: manifest_id, target, options."""
NOTES = "_parts"
"""Folder of the notes of what each file holds, where a format has none of its own."""
FILE_BYTES = 256 << 20
"""About how large a file with pictures inside becomes."""


@dataclass(frozen=True)
class Exported:
    """What an export wrote.

    Attributes:
        target: name of the format.
        out: the folder.
        rows: rows written, in the target's sense of the word.
        skipped: rows left out.
        files: files of data.
        bytes: their size.
        note: why rows were left out, or "".
    """

    target: str
    out: str
    rows: int
    skipped: int
    files: int
    bytes: int
    note: str = ""


@dataclass(frozen=True)
class Target(abc.ABC):
    """One target format; the fields of a class are its options.

    Attributes:
        split: only what belongs to this split; None for all.
    """

    name: ClassVar[str]

    split: str | None = None

    def write(self, pairset: Pairset, out: Path, progress: Progress) -> Exported:
        """Write a pairset into a folder; finished files of an earlier try are kept.

        Raises:
            UsageError: an option cannot be met; nothing was written.
            DataError: the folder holds something else, or an image cannot be read.
        """
        if self.split is not None and self.split not in (known := splits_of(pairset, "samples")):
            names = ", ".join(repr(name) for name in known)
            raise UsageError(f"split={self.split!r}: {pairset.root} has the splits {names}.")
        self.check(pairset)
        self._claim(pairset, out)
        storage.sweep_scratch(out)
        return self.fill(pairset, out, progress)

    def check(self, pairset: Pairset) -> None:
        """Refuse options and pairsets that this format cannot serve, before anything is written.

        Raises:
            UsageError: an option is out of range.
            DataError: the pairset lacks what the format needs.
        """
        del pairset

    @abc.abstractmethod
    def fill(self, pairset: Pairset, out: Path, progress: Progress) -> Exported:
        """Write the files that are not there yet into a folder that is this export's own."""

    def _claim(self, pairset: Pairset, out: Path) -> None:
        """Note what the folder holds, or refuse to mix it with something else."""
        about = {
            "manifest_id": pairset.manifest_id,
            "target": self.name,
            "options": asdict(self),
        }
        note = out / ABOUT
        if note.exists():
            if json.loads(note.read_text()) != about:
                raise DataError(
                    f"{out} holds an export of another pairset or with other options. Choose "
                    "another folder with -d, or delete that one."
                )
            return
        if out.exists() and any(storage.SCRATCH not in path.name for path in out.iterdir()):
            raise DataError(f"{out} is not empty. Choose another folder with -d.")
        storage.write_json(note, about)


def write_file(
    file: Path, note: Path, fill: Callable[[Path], Mapping[str, int]]
) -> tuple[dict[str, int], bool]:
    """Write a file and the note of what it holds, unless an earlier export finished both.

    Args:
        file: of data; under its name it is whole.
        note: JSON with what `fill` returned and `bytes`; written last.
        fill: writes a scratch file and returns its numbers.

    Returns:
        the note, and whether the file was written now.
    """
    if file.exists() and note.exists():
        known: dict[str, int] = json.loads(note.read_text())
        if file.stat().st_size == known["bytes"]:
            return known, False
    numbers: dict[str, int] = {}
    storage.write_atomically(file, lambda path: numbers.update(fill(path)))
    numbers["bytes"] = file.stat().st_size
    storage.write_json(note, numbers)
    return numbers, True


def write_files(
    out: Path,
    pattern: str,
    rows: tuple[int, int],
    fill: Callable[[Path, int, int], Mapping[str, int]],
    progress: Progress,
) -> list[dict[str, int]]:
    """Write rows in files of so many, at least one file; return the note of each.

    Args:
        out: folder of the export; the notes stand in NOTES.
        pattern: name of a file below it, with {:05d} for its number.
        rows: how many there are, and how many go into a file.
        fill: writes rows [first, behind) into a scratch file; see `write_file`.
        progress: is told a line for each file that is written now.
    """
    total, size = rows
    storage.sweep_scratch((out / pattern).parent)
    notes = []
    for number, first in enumerate(range(0, max(total, 1), size)):
        name, behind = pattern.format(number), min(first + size, total)
        note = out / NOTES / f"{name.replace('/', '-')}.json"
        numbers, written = write_file(
            out / name, note, lambda path, span=(first, behind): fill(path, *span)
        )
        if written:
            progress(f"{name}: rows {first} to {behind} of {total}")
        notes.append(numbers)
    return notes


def at_least(lowest: int, **options: int | None) -> None:
    """Refuse numbers below `lowest`; None is allowed.

    Raises:
        UsageError: one is lower.
    """
    for name, value in options.items():
        if value is not None and value < lowest:
            raise UsageError(f"{name}={value}: at least {lowest}.")


def one_of(allowed: Sequence[str], **options: str) -> None:
    """Refuse texts that are not among the allowed ones.

    Raises:
        UsageError: one is another text.
    """
    for name, value in options.items():
        if value not in allowed:
            raise UsageError(f"{name}={value!r}: one of {', '.join(allowed)}.")


def within_row(pairset: Pairset, **options: tuple[int | None, str]) -> None:
    """Refuse more places of a row than there are; `count` names the length in `counts`.

    Raises:
        UsageError: a number is below 0 or above the length.
    """
    for name, (value, count) in options.items():
        places = int(pairset.counts.get(count, 0))
        if value is not None and not 0 <= value <= places:
            raise UsageError(f"{name}={value}: a row of this pairset has 0 to {places}.")


def summed(notes: Sequence[Mapping[str, Any]], name: str) -> int:
    """Return the sum of one number over the notes of all files."""
    return sum(int(note[name]) for note in notes)
