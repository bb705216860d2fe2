"""Every caption of the kept samples as a row of its own, numbered; and captions as CSV cells."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..pairset import Pairset
from ..tables import open_parquet


@dataclass(frozen=True)
class CaptionRow:
    """One caption of one sample."""

    sample_id: int
    key: str
    number: int
    text: str


class CaptionRows:
    """Captions in the order (their number, sample_id): those of one image stand far apart.

    Readers shuffle a few thousand neighbours only, and two captions of one image in a batch are
    false negatives of each other. Holds 24 bytes for each number of a caption and row group.

    Args:
        pairset: whose captions.
        wanted: bool [N].
        first_only: leave out all but the first caption of each sample.
    """

    def __init__(self, pairset: Pairset, wanted: np.ndarray, first_only: bool) -> None:
        self._wanted = wanted
        blocks: list[tuple[int, int, Path, int, int]] = []
        first = 0
        for path in pairset.files("samples"):
            with open_parquet(path) as file:
                for group in range(file.num_row_groups):
                    table = file.read_row_group(group, columns=["captions"])
                    mine = wanted[first : first + table.num_rows]
                    texts = table["captions"].filter(mine).to_pylist()
                    lengths = np.bincount([len(_told(item)) for item in texts], minlength=1)
                    # How many samples of the group have more than r captions, for r = 0, 1, ...
                    more = lengths[::-1].cumsum()[::-1][1:].tolist()
                    some = more[:1] if first_only else more
                    blocks += [(r, first, path, group, n) for r, n in enumerate(some)]
                    first += table.num_rows
        self._blocks = sorted(blocks, key=lambda block: block[:2])
        self._starts = np.cumsum([0, *(block[-1] for block in self._blocks)])

    def __len__(self) -> int:
        return int(self._starts[-1])

    def between(self, first: int, behind: int) -> Iterator[CaptionRow]:
        """Yield rows [first, behind); a row group of texts is held at a time."""
        for block, start in zip(self._blocks, self._starts[:-1].tolist(), strict=True):
            low, high = max(first, start), min(behind, start + block[-1])
            if low < high:
                yield from self._rows(block)[low - start : high - start]

    def _rows(self, block: tuple[int, int, Path, int, int]) -> list[CaptionRow]:
        number, first, path, group, _ = block
        with open_parquet(path) as file:
            table = file.read_row_group(group, columns=["key", "captions"])
        ids = np.flatnonzero(self._wanted[first : first + table.num_rows])
        rows = table.take(ids).to_pylist()
        return [
            CaptionRow(first + row, found["key"], number, texts[number])
            for row, found in zip(ids.tolist(), rows, strict=True)
            if len(texts := _told(found["captions"])) > number
        ]


def _told(captions: list[str]) -> list[str]:
    return [text for text in captions if text.strip()]


_MISSING = frozenset(
    {"#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN"}
    | {"<NA>", "N/A", "NA", "NULL", "NaN", "None", "n/a", "nan", "null"}
)
"""Texts that `pandas.read_csv` takes for a missing value, quoted or not."""


def cell(text: str) -> str:
    """Return a caption that pandas reads back as a text: one that means "missing" gets a space.

    Tokenizers strip captions, so the space changes nothing.
    """
    return f" {text}" if text in _MISSING else text
