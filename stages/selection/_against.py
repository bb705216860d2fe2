"""Every sample against vectors from outside, block by block, exactly."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from pydantic import Field

from ...manifests.artifact import Output
from ...manifests.schema import NO_ID
from ..base import Task
from ._exact import targets
from .base import Corpus, Selector

_ROWS = 2048
_TARGETS = 4096


class TargetSelector(Selector):
    """A selector that holds a space's vectors against target vectors from outside."""

    targets: str
    """Target vectors, .npy or Parquet, by the encoder of `space`."""
    space: str = Field(default="image", pattern=r"^[^>]+$")
    """Space of the samples' vectors."""

    @property
    def space_names(self) -> Sequence[str]:
        """The space."""
        return (self.space,)

    @property
    def sources(self) -> Sequence[str]:
        """The target vectors."""
        return (self.targets,)

    def measure_bytes(self, corpus: Corpus) -> int:
        """One block of cosines."""
        return 8 * _ROWS * (3 * _TARGETS + 2 * corpus.vectors[self.space].dim)


def products(
    corpus: Corpus, task: Task, space: str, wanted: np.ndarray
) -> Iterator[tuple[slice, np.ndarray, Iterator[tuple[int, np.ndarray]]]]:
    """Yield blocks of a part's samples against all targets.

    Args:
        corpus: of the selector.
        task: names the part.
        space: the samples' vectors.
        wanted: float64 [T, d], see `_exact.targets`.

    Yields:
        the places within the part, bool [n] which have a vector, and an iterator of (number of
        the first target, exact cosines float64 [n, <= 4096]).
    """
    ids = corpus.ids(task.part)
    for start in range(0, len(ids), _ROWS):
        step = slice(start, min(start + _ROWS, len(ids)))
        rows = corpus.vectors[space].rows(ids[step]).astype(np.float64)
        there = np.asarray(rows.any(axis=1))
        yield step, there, _by_target(rows, wanted)


def _by_target(rows: np.ndarray, wanted: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    for first in range(0, len(wanted), _TARGETS):
        yield first, rows @ wanted[first : first + _TARGETS].T


def nearest_target(corpus: Corpus, task: Task, space: str, path: str) -> Output:
    """Measure the largest cosine of each sample of a part to any target, and to which one.

    Returns:
        "scores.npy" float32 [n], NaN without a vector; "targets.npy" int32 [n], -1 there.
    """
    wanted = targets(path, corpus.vectors[space].dim)
    count = len(corpus.ids(task.part))
    scores, best = np.full(count, np.nan), np.full(count, NO_ID, np.int32)
    for step, there, blocks in products(corpus, task, space, wanted):
        high, at = np.full(len(there), -np.inf), np.zeros(len(there), np.int32)
        for first, cosines in blocks:
            place = cosines.argmax(axis=1)
            found = cosines[np.arange(len(place)), place]
            better = found > high
            high[better], at[better] = found[better], first + place[better]
        scores[step] = np.where(there, high, np.nan)
        best[step] = np.where(there, at, NO_ID)
    return Output(count, {"scores.npy": scores.astype(np.float32), "targets.npy": best})
