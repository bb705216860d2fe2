"""k-reciprocal encodings over a neighbour graph, and the re-ranked distance that they give.

Zhong, Zheng, Cao, Li, Re-ranking Person Re-identification with k-reciprocal Encoding, 2017. The
paper's code holds N x N matrices; here a sample has one short row.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from pydantic import Field
from scipy.sparse import csr_matrix

from ...manifests.artifact import Output
from ...manifests.schema import NO_ID
from ...manifests.vectors import GraphStore, Rows, VectorStore
from ..base import Inputs, Resources, Task, Worker, task_per_part
from .measure import fill_similarities, similarities_to
from .prepare import Preparation, PreparedRows

_ROWS = 1024
_ANCHORS = 256


class Encodings(Preparation):
    """V_i of every sample: its expanded k-reciprocal set, weighted by nearness (eq. 5 and 7).

    R(i) is the sample itself and its mutual k1 nearest. For each c in R(i), the half set
    R_half(c), of c and its mutual k1/2 nearest, joins if more than 2/3 of it lie in R(i). Weights
    are exp(-d), scaled to sum 1, with d = (2 - 2 s) / farthest.

    Inputs: graph, vectors (for members outside the sample's own list). A part for each of the
    graph: "members.npy" int64 [rows, W], ascending, -1 fill behind, and "weights.npy" float32. W
    is the largest possible size, 84 for k1 = 20: about 1 KB a sample on the disk.
    """

    suffixes = ("members.npy", "weights.npy")

    space: str
    k1: int = Field(ge=2)
    farthest: float = Field(gt=0)

    @property
    def needs(self) -> Sequence[str]:
        """The graph of the space with itself, and its vectors."""
        return (f"graph:{self.space}>{self.space}", f"vectors:{self.space}")

    def plan(self, inputs: Inputs) -> list[Task]:
        """Plan one task for each part of the graph."""
        return task_per_part(inputs[self.needs[0]])

    def resources(self, inputs: Inputs) -> Resources:
        """One core; a thousand rows at a time."""
        del inputs
        return Resources(memory_bytes=900 << 20)

    def open(self, inputs: Inputs) -> Worker:
        """Open the graph and the vectors."""
        artifact, vectors = (inputs[need] for need in self.needs)
        name = f"{self.space}>{self.space}"
        graph = GraphStore(name, Rows.of(artifact, "ids.npy"), Rows.of(artifact, "sims.npy"))
        rows = self.computed(
            {name: graph},
            {self.space: VectorStore(self.space, Rows.of(vectors))},
            artifact.rows,
        )
        starts = dict(zip(artifact.parts, artifact.starts(), strict=False))

        def encode(task: Task) -> Output:
            first = int(starts[task.part])
            ids = np.arange(first, first + artifact.receipt(task.part).rows)
            files = dict(zip(self.suffixes, rows.rows(ids), strict=True))
            return Output(len(ids), files)

        return encode

    def computed(
        self, graphs: Mapping[str, Any], vectors: Mapping[str, Any], count: int
    ) -> PreparedRows:
        """Return encodings that are computed when they are asked for."""
        del count
        graph = graphs[f"{self.space}>{self.space}"]
        return _Encoder(graph, vectors[self.space], self.k1, self.farthest)


@dataclass(frozen=True)
class _Encoder:
    graph: Any
    vectors: Any
    k1: int
    farthest: float

    @property
    def half(self) -> int:
        return int(np.rint(self.k1 / 2))

    @property
    def width(self) -> int:
        # A half set joins only if fewer than a third of its members are new.
        new = -(-(self.half + 1) // 3) - 1
        return (self.k1 + 1) * (1 + new)

    def rows(self, ids: np.ndarray) -> tuple[np.ndarray, ...]:
        members = np.full((len(ids), self.width), NO_ID, np.int64)
        weights = np.zeros((len(ids), self.width), np.float32)
        for start in range(0, len(ids), _ROWS):
            step = slice(start, start + _ROWS)
            found = self._expanded(ids[step])
            members[step, : found.shape[1]] = found
            weights[step, : found.shape[1]] = self._weights(ids[step], found)
        return members, weights

    def _expanded(self, ids: np.ndarray) -> np.ndarray:
        """Return the expanded set of each sample, int64 [n, <= W], ascending, -1 behind."""
        reciprocal = self._sets(ids, self.k1)
        every, which = np.unique(reciprocal, return_inverse=True)
        which = which.reshape(reciprocal.shape)
        halves = np.full((len(every), self.half + 1), NO_ID, np.int64)
        there = np.flatnonzero(every != NO_ID)
        found = self._sets(every[there], self.half)
        halves[there, : found.shape[1]] = found
        joining = halves[which]
        inside = np.zeros(joining.shape, bool)
        for column in range(reciprocal.shape[1]):
            inside |= joining == reciprocal[:, column, None, None]
        inside &= joining != NO_ID
        size = (joining != NO_ID).sum(axis=2)
        joins = 3 * inside.sum(axis=2) > 2 * size
        new = np.where(joins[:, :, None], joining, NO_ID).reshape(len(ids), -1)
        return _distinct(np.concatenate([reciprocal, new], axis=1))[:, : self.width]

    def _sets(self, ids: np.ndarray, k: int) -> np.ndarray:
        """Return each sample and its mutual k nearest, int64 [n, <= k + 1], -1 fill."""
        listed = self.graph.rows(ids, k)[0]
        every, which = np.unique(listed, return_inverse=True)
        which = which.reshape(listed.shape)
        back = np.full((len(every), k), NO_ID, np.int64)
        there = np.flatnonzero(every != NO_ID)
        found = self.graph.rows(every[there], k)[0]
        back[there, : found.shape[1]] = found
        mutual = np.zeros(listed.shape, bool)
        for column in range(k):
            mutual |= back[which, column] == ids[:, None]
        mutual &= listed != NO_ID
        return np.concatenate([ids[:, None], np.where(mutual, listed, NO_ID)], axis=1)

    def _weights(self, ids: np.ndarray, members: np.ndarray) -> np.ndarray:
        listed, similarities = self.graph.rows(ids)
        found, _ = fill_similarities(members, listed, similarities)
        found[members == ids[:, None]] = 1
        asked = np.where(np.isnan(found), members, np.int64(NO_ID))
        outside = similarities_to(self.vectors, self.vectors, ids, asked)
        exact = np.where(np.isnan(found), outside, found).astype(np.float64)
        nearness = np.exp(-np.maximum(2 - 2 * exact, 0) / self.farthest)
        nearness = np.where(members != NO_ID, nearness, 0)
        return (nearness / nearness.sum(axis=1, keepdims=True)).astype(np.float32)


def _distinct(ids: np.ndarray) -> np.ndarray:
    """Return each row's ids once, ascending, -1 behind."""
    high = np.iinfo(np.int64).max
    ids = np.sort(np.where(ids == NO_ID, high, ids), axis=1)
    ids[:, 1:][ids[:, 1:] == ids[:, :-1]] = high
    ids.sort(axis=1)
    width = int((ids != high).sum(axis=1).max(initial=0))
    return np.where(ids == high, NO_ID, ids)[:, :width]


def jaccard_distances(
    graph: Any, encodings: PreparedRows, anchors: np.ndarray, others: np.ndarray, k2: int
) -> np.ndarray:
    """Return d_J of anchors and others: 1 - sum min / sum max of expanded encodings (eq. 10).

    An expanded encoding is the mean of those of the sample and its k2 - 1 nearest (eq. 11). Rows
    sum to 1, so with m = sum min the distance is 1 - m / (2 - m).

    Args:
        graph: of the encodings.
        encodings: rows of `Encodings`.
        anchors: int64 [A].
        others: int64 [A, K], -1 fill.
        k2: samples in the mean; 1 is the encoding itself.

    Returns:
        float64 [A, K], 1 for -1.
    """
    out = np.ones(others.shape)
    for start in range(0, len(anchors), _ANCHORS):
        step = slice(start, start + _ANCHORS)
        row, place = np.nonzero(others[step] != NO_ID)
        if not len(row):
            continue
        left, right = anchors[step][row], others[step][row, place]
        every = np.unique(np.concatenate([left, right]))
        means = _means(graph, encodings, every, k2)
        first = means[np.searchsorted(every, left)]
        second = means[np.searchsorted(every, right)]
        shared = np.asarray(first.minimum(second).sum(axis=1))[:, 0]
        out[start + row, place] = 1 - shared / (2 - shared)
    return out


def _means(graph: Any, encodings: PreparedRows, ids: np.ndarray, k2: int) -> csr_matrix:
    """Return the expanded encodings of samples as sparse rows over the members that occur."""
    near = np.concatenate([ids[:, None], graph.rows(ids, k2 - 1)[0]], axis=1)
    every, which = np.unique(near[near != NO_ID], return_inverse=True)
    row = np.nonzero(near != NO_ID)[0]
    share = 1 / np.bincount(row, minlength=len(ids))
    mean = csr_matrix((share[row], (row, which)), shape=(len(ids), len(every)))
    members, weights = encodings.rows(every)
    at = np.nonzero(members != NO_ID)
    known, column = np.unique(members[at], return_inverse=True)
    values = weights[at].astype(np.float64)
    table = csr_matrix((values, (at[0], column)), shape=(len(every), len(known)))
    mean.sort_indices()
    found = csr_matrix(mean @ table)
    found.sort_indices()
    return found
