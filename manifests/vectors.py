"""Rows of a space or of a neighbour graph by sample_id, over memory-mapped parts.

Nothing is held in the process but the list of parts: rows are read through the page cache.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from .artifact import Artifact
from .errors import DataError


@dataclass(frozen=True)
class Rows:
    """Arrays of one width that stand in parts one below the other.

    Attributes:
        files: one .npy file [rows, width] a part, in order.
        starts: int64 [parts + 1], the row at which each part starts, and the total.
    """

    files: tuple[Path, ...]
    starts: np.ndarray
    _maps: dict[int, np.ndarray] = field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def of(cls, artifact: Artifact, suffix: str = "npy") -> Rows:
        """Open the arrays of an artifact's parts."""
        files = tuple(artifact.file(part, suffix) for part in artifact.parts)
        return cls(files, artifact.starts())

    def __reduce__(self) -> tuple[type[Rows], tuple[tuple[Path, ...], np.ndarray]]:
        return (Rows, (self.files, self.starts))

    def __len__(self) -> int:
        return int(self.starts[-1])

    @property
    def width(self) -> int:
        """Columns of every row."""
        return int(self.part(0).shape[1]) if self.files else 0

    def part(self, number: int) -> np.ndarray:
        """Memory-map one part, read-only [rows, width]."""
        if number not in self._maps:
            loaded = np.load(self.files[number], mmap_mode="r", allow_pickle=False)
            self._maps[number] = np.asarray(loaded)
        return self._maps[number]

    def take(self, ids: np.ndarray, columns: int | None = None) -> np.ndarray:
        """Return copies of the rows at `ids` (any shape, 0 <= id < len), [*ids.shape, width].

        With `columns`, only the first that many columns.
        """
        flat = np.asarray(ids, np.int64).reshape(-1)
        first = self.part(0)[:, :columns]
        out = np.empty((len(flat), first.shape[1]), first.dtype)
        order = np.argsort(flat, kind="stable")
        ascending = flat[order]
        cuts = np.searchsorted(ascending, self.starts)
        for number in np.flatnonzero(np.diff(cuts)):
            low, high = cuts[number], cuts[number + 1]
            inside = ascending[low:high] - self.starts[number]
            out[order[low:high]] = self.part(int(number))[:, :columns][inside]
        return out.reshape(*np.shape(ids), first.shape[1])

    def blocks(self, rows: int = 8192) -> Iterator[tuple[int, np.ndarray]]:
        """Yield (first row, array [<= rows, width]) over all rows, in order; blocks cross parts."""
        for start in range(0, len(self), rows):
            yield start, self.take(np.arange(start, min(start + rows, len(self))))


@dataclass(frozen=True)
class VectorStore:
    """The embeddings of one space: unit rows, all zero where a sample has no vector."""

    name: str
    data: Rows

    @property
    def dim(self) -> int:
        """Width of the space."""
        return self.data.width

    def __len__(self) -> int:
        return len(self.data)

    def rows(self, ids: np.ndarray) -> np.ndarray:
        """Return float32 [n, dim]."""
        return widen(self.data.take(ids))

    def blocks(self, rows: int = 8192) -> Iterator[tuple[int, np.ndarray]]:
        """Yield (first id, float32 [<= rows, dim]) over the whole space, in order."""
        for start, block in self.data.blocks(rows):
            yield start, widen(block)


@dataclass(frozen=True)
class GraphStore:
    """The neighbour graph of two spaces ("image>caption": anchors by image, others by caption)."""

    name: str
    ids: Rows
    similarities: Rows

    @property
    def k(self) -> int:
        """Neighbours of a row, fill included."""
        return self.ids.width

    def __len__(self) -> int:
        return len(self.ids)

    def rows(self, ids: np.ndarray, depth: int | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Return neighbor ids int64 [n, k] (-1 fill) and similarities float32 [n, k] (0 there).

        With `depth`, only the first that many columns.
        """
        return self.ids.take(ids, depth), self.similarities.take(ids, depth)


def widen(values: np.ndarray) -> np.ndarray:
    """Return float32 copies of finite float16 values, seven times as fast as `astype`.

    numpy converts one value at a time; shifting the 15 low bits into a float32's exponent and
    mantissa and multiplying by 2^112 (the difference of the two exponent biases) is exact for all
    finite values, subnormal ones too. Other types go through `astype`.
    """
    if values.dtype != np.float16:
        return values.astype(np.float32)
    bits = np.ascontiguousarray(values).view(np.int16).astype(np.int32)
    bits <<= 13
    bits &= np.int32(-0x70002000)  # 0x8fffe000: the sign, and the 15 bits at their new place
    out = bits.view(np.float32)
    out *= np.float32(2.0**112)
    return out


def unit(vectors: np.ndarray) -> np.ndarray:
    """Return float32 [n, d] of length 1; rows that are zero or not finite become zero.

    Lengths are taken of rows scaled by their largest value, so that no square overflows.
    """
    values = np.asarray(vectors, np.float32)
    finite = np.isfinite(values).all(axis=1, keepdims=True)
    values = np.where(finite, values, np.float32(0))
    largest = np.abs(values).max(axis=1, keepdims=True, initial=0)
    values = np.divide(values, largest, out=np.zeros_like(values), where=largest > 0)
    lengths = np.sqrt((values * values).sum(axis=1, keepdims=True, dtype=np.float32))
    return np.divide(values, lengths, out=np.zeros_like(values), where=lengths > 0)


def pair_similarity(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Return the cosine of unit vectors, pair by pair, always in the same order of additions.

    BLAS results move in the last bits with the number of threads and the size of a batch; this
    sum does not, so stored similarities and their order are the same on every worker.

    Args:
        left: float32 [..., d].
        right: float32 [..., d], broadcast against `left`.

    Returns:
        float32 [...].

    Raises:
        DataError: they are of different width.
    """
    check_comparable(left.shape[-1], right.shape[-1])
    return (left * right).sum(axis=-1, dtype=np.float32)


def check_comparable(width: int, other: int, where: str = "") -> None:
    """Refuse to compare vectors of spaces of different width.

    Args:
        width: of the one space.
        other: of the other.
        where: what compares them, to begin the message with.

    Raises:
        DataError: they differ.
    """
    if width != other:
        raise DataError(
            f"{where + ': ' if where else ''}the spaces have {width} and {other} dimensions. Only "
            "two spaces of one model can be compared, in which an item of one can be near an item "
            "of the other. Give vectors of a joint encoder, or leave out what compares them."
        )


def starts_of(counts: Sequence[int]) -> np.ndarray:
    """Return int64 [n + 1]: where each of n consecutive runs of rows starts, and the total."""
    return np.cumsum([0, *counts], dtype=np.int64)
