"""Tables of one row a sample that a miner looks up and that no block of anchors could give alone.

A miner names what it needs in `Miner.preparations`; the plan runs each once, before the miners,
and the miner finds it in `Block.prepared` under the same name.
"""

from __future__ import annotations

import abc
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import numpy as np

from ...manifests.artifact import Artifact
from ...manifests.vectors import Rows
from ..base import Stage


class PreparedRows(Protocol):
    """Rows of some arrays by sample id."""

    def rows(self, ids: np.ndarray) -> tuple[np.ndarray, ...]:
        """Return one array [n, width] for each of the arrays."""
        ...


class Preparation(Stage, abc.ABC):
    """A stage whose arrays, one row a sample, a miner reads."""

    suffixes: ClassVar[Sequence[str]]
    """Files of a part: arrays [rows, width]."""

    @property
    @abc.abstractmethod
    def needs(self) -> Sequence[str]:
        """Nodes of the run that feed it, by which names it finds them: "graph:image>image"."""

    @abc.abstractmethod
    def computed(
        self, graphs: Mapping[str, Any], vectors: Mapping[str, Any], count: int
    ) -> PreparedRows:
        """Return the same rows without artifacts, computed when they are asked for.

        Args:
            graphs: by name; see `mining.base.Graph`.
            vectors: by space; see `mining.base.Vectors`.
            count: number of samples.
        """


@dataclass(frozen=True)
class StoredRows:
    """The rows of a committed preparation, memory-mapped."""

    arrays: tuple[Rows, ...]

    @classmethod
    def of(cls, artifact: Artifact, suffixes: Sequence[str]) -> StoredRows:
        """Open the files of the artifact's parts."""
        return cls(tuple(Rows.of(artifact, suffix) for suffix in suffixes))

    def rows(self, ids: np.ndarray) -> tuple[np.ndarray, ...]:
        """Return one array [n, width] for each of the arrays."""
        return tuple(array.take(ids) for array in self.arrays)
