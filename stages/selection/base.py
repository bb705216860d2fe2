"""What a selector is: it gives each sample a score, keeps it or not, and says why not.

Most selectors look at the corpus twice, so a selector is two pure functions:

    measure(corpus, task)     -> arrays of one part of the work, in parallel, any number of workers
    decide(corpus, measured)  -> one verdict a sample, once, from all that was measured

`decide` holds some bytes a sample (`bytes_a_sample`), never vectors or texts.
"""

from __future__ import annotations

import abc
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

import numpy as np
import pyarrow as pa
from pydantic import model_validator

from ...manifests import listing, storage
from ...manifests.artifact import Artifact, Output
from ...manifests.errors import DataError
from ...manifests.selection import DROP_CODE, Drop
from ...manifests.vectors import VectorStore
from ..base import Component, Task
from ._cluster_set import ClusterSet

KEPT = np.uint8(DROP_CODE[Drop.KEPT])


@dataclass(frozen=True)
class Corpus:
    """All that a selector may look at.

    Attributes:
        samples: the artifact `samples`.
        vectors: by space name.
        pool: bool [N], the samples that are judged; None for all of them.
        seed: of this selector; draws go through `manifests.fingerprint`, keyed by sample_id.
        clusters: by name of the set.
    """

    samples: Artifact
    vectors: Mapping[str, VectorStore]
    pool: np.ndarray | None = None
    seed: int = 0
    clusters: Mapping[str, ClusterSet] = field(default_factory=dict)

    @property
    def count(self) -> int:
        """Number of samples, N."""
        return self.samples.rows

    def ids(self, part: str) -> np.ndarray:
        """Return int64 [n], the ids of a part of `samples`."""
        at = self.samples.parts.index(part)
        start, stop = self.samples.starts()[at : at + 2]
        return np.arange(start, stop)

    def table(self, part: str, columns: Sequence[str]) -> pa.Table:
        """Read columns of a part of `samples`."""
        return self.samples.table(part, columns)

    def is_judged(self, ids: np.ndarray) -> np.ndarray:
        """Say which samples are in the pool, bool shaped like `ids`."""
        return np.ones(np.shape(ids), bool) if self.pool is None else self.pool[ids]


@dataclass(frozen=True)
class Verdict:
    """What a selector decided about every sample.

    Attributes:
        drops: uint8 [N], position in `manifests.schema.DROPS`; 0 = kept.
        scores: float32 [N], NaN where a sample has none; or None.
        witnesses: int64 [N], the sample because of which one was dropped, -1 for none; or None.
        facts: small JSON facts about the decision.
    """

    drops: np.ndarray
    scores: np.ndarray | None = None
    witnesses: np.ndarray | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)


class Selector(Component, abc.ABC):
    """Base class of all selectors. A subclass is one technique."""

    fidelity: ClassVar[str] = "exact"
    """exact, exact+hook, frozen-detector or surrogate (algorithms.md §0.5c)."""
    paper: ClassVar[str] = ""
    """Author, title, year."""
    bytes_a_sample: ClassVar[int] = 32
    """Upper estimate of what `decide` holds a sample."""

    among: Literal["all", "kept"] = "all"
    """Judge all samples, or only those that the selectors before this one kept."""

    @property
    def space_names(self) -> Sequence[str]:
        """Spaces whose vectors the selector reads."""
        return ()

    @property
    def cluster_names(self) -> Sequence[str]:
        """Sets of clusters that the selector reads."""
        return ()

    @property
    def cluster_level(self) -> int:
        """Level of them that it reads; 0 is the finest."""
        return 0

    @property
    def sources(self) -> Sequence[str]:
        """Files outside the corpus that decide the result."""
        return ()

    @model_validator(mode="after")
    def _sources_are_there(self) -> Selector:
        for path in self.sources:
            if not storage.is_remote(path) and not _exists(path):
                raise ValueError(f"{path}: there is no such file")
        return self

    def identity(self) -> dict[str, Any]:
        """Return the settings, and what the files outside hold."""
        content = [listing.content_digest(listing.matching(item)) for item in self.sources]
        return {**super().identity(), **({"content": content} if content else {})}

    def tasks(self, corpus: Corpus) -> list[Task]:
        """List what is measured; one task a part of `samples`."""
        return [Task(part) for part in corpus.samples.parts]

    def measure_bytes(self, corpus: Corpus) -> int:
        """Say what one `measure` holds beside a part of samples and its vectors."""
        del corpus
        return 0

    def decide_bytes(self, corpus: Corpus) -> int:
        """Say what `decide` holds beside `bytes_a_sample`."""
        del corpus
        return 0

    @abc.abstractmethod
    def measure(self, corpus: Corpus, task: Task) -> Output:
        """Measure one task; the arrays go to files."""

    @abc.abstractmethod
    def decide(self, corpus: Corpus, measured: Artifact) -> Verdict:
        """Decide about every sample."""


def _exists(path: str) -> bool:
    try:
        return bool(listing.matching(path))
    except (DataError, OSError):
        return False


def share_of(fraction: float, count: int) -> int:
    """Return the whole number nearest to fraction * count, halves up."""
    return min(math.floor(fraction * count + 0.5), count)


def top(scores: np.ndarray, ids: np.ndarray, count: int) -> np.ndarray:
    """Return the `count` of ids (int64, ascending) with the highest scores, ties by id; ascending.

    Holds 16 bytes an id.
    """
    order = np.argsort(-scores[ids], kind="stable")
    return np.sort(ids[order[:count]])


def places(groups: np.ndarray, values: np.ndarray, ids: np.ndarray) -> np.ndarray:
    """Return int64 [n], the place of each element in its group by rising value, ties by id.

    Args:
        groups: integers [n].
        values: [n].
        ids: integers [n].
    """
    order = np.lexsort((ids, values, groups))
    ranked = groups[order]
    found = np.empty(len(order), np.int64)
    found[order] = np.arange(len(order)) - np.searchsorted(ranked, ranked)
    return found


def dropped(count: int, ids: np.ndarray, drop: Drop) -> np.ndarray:
    """Return uint8 [count] drops: those at `ids`; the others are kept."""
    drops = np.full(count, KEPT)
    drops[ids] = DROP_CODE[drop]
    return drops


def without(corpus: Corpus, ids: np.ndarray) -> np.ndarray:
    """Return uint8 [N] drops: judged samples that are not among `ids` have no vector."""
    missing = corpus.is_judged(np.arange(corpus.count))
    missing[ids] = False
    return dropped(corpus.count, np.flatnonzero(missing), Drop.NO_VECTOR)


def gather(measured: Artifact, suffix: str) -> np.ndarray:
    """Return an array of all parts of what was measured, one below the other."""
    return np.concatenate([measured.array(part, suffix) for part in measured.parts])
