"""What miners over neighbour lists share: a window of negatives, measurements, prepared rows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...manifests.schema import NO_ID, Reason
from .base import TAKEN, Block, contains, refuse
from .hubs import HubCuts, keeps
from .measure import (
    best_places,
    draw_weighted,
    fill_similarities,
    found_or_measured,
    joined_scores,
    least_positive,
    similarities_to,
    union_of_lists,
)
from .prepare import Preparation
from .reciprocal import Encodings, jaccard_distances
from .templates import Templates

__all__ = [
    "Encodings",
    "HubCuts",
    "Preparation",
    "Templates",
    "Window",
    "best_places",
    "draw_weighted",
    "fill_similarities",
    "found_or_measured",
    "jaccard_distances",
    "joined_scores",
    "keeps",
    "least_positive",
    "negative_window",
    "ranks_of",
    "similarities_to",
    "union_of_lists",
]


def ranks_of(ids: np.ndarray) -> np.ndarray:
    """Return int32 [A, K]: the place of each candidate in its row."""
    return np.broadcast_to(np.arange(ids.shape[1], dtype=np.int32), ids.shape)


@dataclass(frozen=True)
class Window:
    """The first ranks of each anchor's list, with what no negative may be refused already.

    Attributes:
        ids: int64 [A, K], -1 fill.
        similarities: float32 [A, K].
        reasons: uint8 [A, K]: positive, false_negative, rank (before the window) or TAKEN.
        ranks: int32 [A, K].
        least: float32 [A], the similarity of the anchor's least similar positive.
    """

    ids: np.ndarray
    similarities: np.ndarray
    reasons: np.ndarray
    ranks: np.ndarray
    least: np.ndarray

    @property
    def allowed(self) -> np.ndarray:
        """Say which candidates nothing refuses, bool [A, K]."""
        return (self.ids != NO_ID) & (self.reasons == TAKEN)


def negative_window(block: Block, space: str, ranks: tuple[int, int]) -> Window:
    """Return what ranks [0, behind) of a graph offer as negatives.

    Args:
        block: the anchors; the graph `space` and the vectors of its two spaces are needed.
        space: QUERY>BANK.
        ranks: window [first, behind); candidates before it are refused by rank.
    """
    lists = block.graphs[space].rows(block.anchors)
    least = least_positive(space, block.vectors, block.anchors, block.positives.ids, lists)
    ids, similarities = (part[:, : ranks[1]] for part in lists)
    reasons = np.full(ids.shape, TAKEN)
    refuse(reasons, contains(block.positives.ids, ids), Reason.POSITIVE)
    refuse(reasons, contains(block.false_negatives.ids, ids), Reason.FALSE_NEGATIVE)
    places = ranks_of(ids)
    refuse(reasons, places < ranks[0], Reason.RANK)
    return Window(ids, similarities, reasons, places, least)
