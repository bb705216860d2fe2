"""What an export is: one target format, its options, and what came out."""

from __future__ import annotations

import abc
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from ..pairset import Pairset

Progress = Callable[[str], None]

ABOUT = "_export.json"
"""What stands in the folder of an export: manifest_id, target, options."""


@dataclass(frozen=True)
class Exported:
    """What an export wrote.

    Attributes:
        target: name of the format.
        out: the folder.
        rows: pair rows written.
        skipped: pair rows left out.
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
    """One target format; the fields of a subclass are its options."""

    name: ClassVar[str]

    @abc.abstractmethod
    def write(self, pairset: Pairset, out: Path, progress: Progress) -> Exported:
        """Write the pairs of a pairset into a folder; finished files of an earlier try are kept.

        Raises:
            DataError: the folder holds something else, or an image cannot be read.
        """
