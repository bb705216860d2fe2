"""The columns of `edges` that decide a pair row, as numpy arrays."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
import pyarrow as pa

from ...manifests.artifact import Artifact
from ...manifests.codes import codes_of
from ...manifests.schema import NO_ID, Action, Role

ROLES = (Role.POSITIVE, Role.NEGATIVE, Role.FALSE_NEGATIVE, Role.SOFT)
MASKING = (Action.ELIMINATE, Action.ATTRACT)
ENCODED = ("role", "miner", "space", "action", "reason")
"""Columns of few texts: read as dictionaries they are sorted as numbers."""


@dataclass(frozen=True)
class EdgeRows:
    """Rows of one part, by anchor, then by miner, then by order in the miner's list.

    Attributes:
        anchors: int64 [n], row of the anchor in the part.
        others: int64 [n] sample ids.
        kinds: int64 [n], position of the miner.
        scores: float32 [n], similarity; NaN where there is none.
        weights: float32 [n].
        roles: int64 [n], position in `ROLES`; -1 for refused candidates and for false negatives
            with an action that does not mask.
        valid_from: float32 [n], training progress from which the edge holds.
        rows: int64 [n], row of the table that these are of.
    """

    anchors: np.ndarray
    others: np.ndarray
    kinds: np.ndarray
    scores: np.ndarray
    weights: np.ndarray
    roles: np.ndarray
    valid_from: np.ndarray
    rows: np.ndarray

    @classmethod
    def of(cls, table: pa.Table, kinds: np.ndarray, first: int) -> EdgeRows:
        """Read the columns; `first` is the id of the part's first sample."""
        roles = codes_of(table["role"], {str(role): code for code, role in enumerate(ROLES)})
        acts = codes_of(table["action"], {str(action): 1 for action in MASKING})
        unmasked = (roles == ROLES.index(Role.FALSE_NEGATIVE)) & (acts < 0)
        return cls(
            anchors=table["anchor_id"].to_numpy() - first,
            others=_ids(table["other_id"]),
            kinds=kinds,
            scores=table["similarity"].to_numpy().astype(np.float32),
            weights=table["weight"].to_numpy(),
            roles=np.where(unmasked, -1, roles),
            valid_from=table["valid_from"].to_numpy(),
            rows=np.arange(table.num_rows),
        )

    def with_role(self, role: Role) -> EdgeRows:
        """Return the taken edges of one role that point to a sample."""
        return self.at(np.flatnonzero((self.roles == ROLES.index(role)) & (self.others >= 0)))

    def with_text(self) -> EdgeRows:
        """Return the taken negatives that are texts: they point to no sample."""
        negative = self.roles == ROLES.index(Role.NEGATIVE)
        return self.at(np.flatnonzero(negative & (self.others < 0)))

    def with_asset(self) -> EdgeRows:
        """Return the taken positives that are generated pictures: they point to no sample."""
        positive = self.roles == ROLES.index(Role.POSITIVE)
        return self.at(np.flatnonzero(positive & (self.others < 0)))

    def at(self, rows: np.ndarray) -> EdgeRows:
        """Return some of the rows."""
        return EdgeRows(*(getattr(self, item.name)[rows] for item in fields(self)))


def _ids(column: pa.ChunkedArray) -> np.ndarray:
    return column.fill_null(-1).to_numpy()


def cluster_ids(clusters: Artifact | None, part: str, level: int, rows: int) -> np.ndarray:
    """Return int64 [rows]: the cluster of each row of a part at a level, -1 without one."""
    if clusters is None:
        return np.full(rows, NO_ID, np.int64)
    return np.asarray(clusters.array(part, "ids.npy")[:, level]).astype(np.int64)
