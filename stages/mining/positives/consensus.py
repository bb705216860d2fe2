"""Positives on which several spaces agree."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

import numpy as np
from pydantic import Field, StringConstraints, model_validator

from ....manifests.fingerprint import draw_uint64
from ....manifests.schema import NO_ID, Reason, Role
from ..base import TAKEN, Block, Decisions, Miner, keep_first, refuse
from ..base_lists import fill_similarities, ranks_of, similarities_to, union_of_lists

PROBES = 4096
"""Random pairs from which the background of a space is measured."""

GraphName = Annotated[str, StringConstraints(pattern=r"^[^>]+>[^>]+$")]


class Consensus(Miner):
    """The candidates of largest agreement: the least (or largest) of their similarities.

    Morgado, Misra, Vasconcelos, Audio-Visual Instance Discrimination with Cross-Modal Agreement
    (AVID-CMA), 2021, §4.1: agreement rho_ij = min(s^video_ij, s^audio_ij), positives are the 32 of
    largest rho. Candidates are the first `k` of each graph's list; a similarity outside a list is
    measured from the vectors, so rho is known for each of them. Cosines of two spaces have
    different scales, so each is first put on a common one:

        rank  1 - rank / k of the graph; 0 where the list does not hold the candidate
        z     (s - mean) / deviation over 4096 random pairs of the space
        none  s itself

    rho is column `corrected_similarity`; `similarity` is that in the first space, those in the
    others follow from the vectors.

    Fidelity: exact for frozen spaces. What stands in no list has, in every space, at most the
    similarity of the last candidate there, so with `min` an edge whose rho is above the least of
    these ends beats the whole corpus.

    Traps: the official code drops rank 0 for the anchor, which exact duplicates break; here self
    and near-duplicates are in no list. One space with hubs makes `max` follow the hubs. A sample
    without a vector in one of the spaces is refused.
    """

    role = Role.POSITIVE
    fidelity = "exact"
    paper = (
        "Morgado, Misra, Vasconcelos, Audio-Visual Instance Discrimination with Cross-Modal "
        "Agreement, 2021"
    )

    spaces: tuple[GraphName, ...] = Field(
        default=("image>image", "caption>caption"), min_length=2, max_length=8
    )
    """The neighbour graphs that must agree."""
    k: int = Field(default=32, ge=1, le=2048)
    """How many of the nearest of each graph are candidates."""
    count: int = Field(default=5, ge=1, le=256)
    """Positives an anchor."""
    agree: Literal["min", "max"] = "min"
    """min: near in every space (consensus); max: near in one of them (union)."""
    normalise: Literal["rank", "z", "none"] = "rank"
    """What makes the spaces comparable."""
    votes: int = Field(default=1, ge=1, le=8)
    """Refuse what is among the k nearest in fewer of the graphs than this."""

    @model_validator(mode="after")
    def _check(self) -> Consensus:
        if len(set(self.spaces)) != len(self.spaces):
            raise ValueError("spaces: each graph once")
        if self.votes > len(self.spaces):
            raise ValueError(f"votes {self.votes}: there are {len(self.spaces)} spaces")
        return self

    @property
    def graph_names(self) -> Sequence[str]:
        """All graphs."""
        return self.spaces

    @property
    def space_names(self) -> Sequence[str]:
        """The spaces of all graphs."""
        return tuple(dict.fromkeys(name for graph in self.spaces for name in graph.split(">")))

    @property
    def capacity(self) -> int:
        """As many as are taken."""
        return self.count

    def mine(self, block: Block) -> Decisions:
        """Rank the union of the lists by agreement and take the first `count`."""
        lists = [block.graphs[name].rows(block.anchors) for name in self.spaces]
        ids = union_of_lists([listed[:, : self.k] for listed, _ in lists])
        listed = [fill_similarities(ids, *both) for both in lists]
        near = np.sum([(rank != NO_ID) & (rank < self.k) for _, rank in listed], axis=0)
        if self.normalise == "rank":
            joined = self._agreement(block, lists, listed)
            asked = self._prefix(ids, near, joined)
            known = self._measure(block, listed, asked)
            short = ~known.all(axis=1)
            if short.any():
                # Where one of the first has no vector, others move up: the whole row is measured.
                asked[short] = ids[short]
                known = self._measure(block, listed, asked)
        else:
            known = self._measure(block, listed, ids)
            joined = self._agreement(block, lists, listed)
        agreement = np.where(known & (ids != NO_ID), joined, -np.inf).astype(np.float32)
        first = listed[0][0]
        # The union is ascending with the empty places last, so a stable sort breaks ties by id.
        order = np.argsort(-agreement, axis=1, kind="stable")
        ids, near = (np.take_along_axis(part, order, axis=1) for part in (ids, near))
        agreement, first = (np.take_along_axis(part, order, axis=1) for part in (agreement, first))
        known = np.isfinite(agreement)
        reasons = np.full(ids.shape, TAKEN)
        refuse(reasons, ~known, Reason.NO_VECTOR)
        refuse(reasons, near < self.votes, Reason.AGREEMENT)
        ids = keep_first(ids, reasons, self.count)
        # What cannot be compared stands last and has no agreement; the worst is as low as any.
        corrected = np.where(known, agreement, np.float32(-1e9))
        return Decisions(ids, reasons, first, ranks_of(ids), corrected=corrected)

    def _prefix(self, ids: np.ndarray, near: np.ndarray, agreement: np.ndarray) -> np.ndarray:
        """Return the ids up to the `count`-th that would be taken if all had vectors, else -1.

        Ranks alone decide the order, so what stands behind need not be measured.
        """
        order = np.argsort(np.where(ids == NO_ID, np.inf, -agreement), axis=1, kind="stable")
        ordered, votes = (np.take_along_axis(part, order, axis=1) for part in (ids, near))
        reasons = np.full(ids.shape, TAKEN)
        refuse(reasons, votes < self.votes, Reason.AGREEMENT)
        asked = np.full(ids.shape, NO_ID, np.int64)
        np.put_along_axis(asked, order, keep_first(ordered, reasons, self.count), axis=1)
        return asked

    def _measure(
        self, block: Block, listed: Sequence[tuple[np.ndarray, np.ndarray]], asked: np.ndarray
    ) -> np.ndarray:
        """Measure from the vectors what lists do not hold; in place.

        Returns:
            bool [A, C]: False where one of the spaces has no vector of what was asked for.
        """
        known = np.ones(asked.shape, bool)
        for graph, (found, _) in zip(self.spaces, listed, strict=True):
            query, bank = (block.vectors[name] for name in graph.split(">"))
            missing = np.isnan(found) & (asked != NO_ID)
            outside = similarities_to(
                query, bank, block.anchors, np.where(missing, asked, np.int64(NO_ID))
            )
            found[missing] = outside[missing]
            known &= ~(missing & np.isnan(outside))
        return known

    def _agreement(
        self,
        block: Block,
        lists: Sequence[tuple[np.ndarray, np.ndarray]],
        listed: Sequence[tuple[np.ndarray, np.ndarray]],
    ) -> np.ndarray:
        """Return float64 [A, C]: the least or largest of the spaces' comparable similarities."""
        widths = [ids.shape[1] for ids, _ in lists]
        scores = [
            self._normalised(block, graph, *both, k)
            for graph, both, k in zip(self.spaces, listed, widths, strict=True)
        ]
        return np.min(scores, axis=0) if self.agree == "min" else np.max(scores, axis=0)

    def _normalised(
        self, block: Block, graph: str, found: np.ndarray, rank: np.ndarray, k: int
    ) -> np.ndarray:
        """Return float64 [A, C], comparable among the spaces."""
        if self.normalise == "rank":
            return np.where(rank == NO_ID, 0.0, 1 - rank / k)
        if self.normalise == "z":
            mean, deviation = background(block, graph)
            return (found.astype(np.float64) - mean) / deviation
        return found.astype(np.float64)


def background(block: Block, graph: str) -> tuple[float, float]:
    """Return mean and deviation of the similarity of random pairs of two spaces.

    The pairs are draws 2i and 2i + 1 of purpose "background" at seed 0, modulo the number of
    samples, so every block, and every run of one corpus, has the same ones.
    """
    query, bank = graph.split(">")
    drawn = draw_uint64(0, np.arange(PROBES), "background", 2) % np.uint64(block.samples.count)
    left, right = drawn.astype(np.int64).T
    found = similarities_to(block.vectors[query], block.vectors[bank], left, right[:, None])[:, 0]
    found = found[~np.isnan(found) & (left != right)].astype(np.float64)
    if not len(found):
        return 0.0, 1.0
    deviation = float(found.std())
    return float(found.mean()), deviation if deviation > 0 else 1.0
