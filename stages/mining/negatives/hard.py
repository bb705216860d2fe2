"""Hard negatives: near the anchor, but not nearer than its positives allow."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from pydantic import Field

from ....manifests.schema import NO_ID, Reason, Role
from ..base import Block, Decisions, column_of, keep_first, refuse
from ..base_graph import WindowMiner
from ..base_lists import negative_window

RATIO_FLOOR = 0.1
"""Below this similarity of the positive, `max_ratio` is held as a margin."""


class Hard(WindowMiner):
    """The most similar candidates of a window of ranks that pass positive-aware rules.

    Moreira et al., NV-Retriever: Improving Text Embedding Models with Effective Hard-Negative
    Mining, 2024, §3. With s_pos the similarity of the anchor's LEAST similar positive:

        TopK-PercPos    s <= max_ratio * s_pos          (`max_ratio`, the paper's best: 0.95)
        TopK-MarginPos  s <= s_pos - min_margin         (`min_margin`, the paper: 0.05)
        TopK-Abs        s <= max_similarity             (`max_similarity`)

    s_pos is taken in this graph's space. In a graph of two spaces (image>caption) the anchor's own
    vector in the bank is a positive; in one space it is not, and an anchor whose only positive is
    another view of itself has s_pos = 1.

    Fidelity: exact (the paper mines with a frozen teacher too).

    Traps: a ratio of a small or negative s_pos would let the cut rise above the positive, so below
    RATIO_FLOOR it becomes a margin: s <= s_pos - (1 - max_ratio) * max(s_pos, RATIO_FLOOR), equal
    to the ratio form everywhere else. CLIP's image-caption cosines live around 0.3, where 95 %
    is a window of 0.015: prefer a margin there. Ranks before the window are refused, not skipped
    silently; nothing that passes is left out for something less similar.
    """

    role = Role.NEGATIVE
    fidelity = "exact"
    paper = "Moreira et al., NV-Retriever, 2024"

    count: int = Field(default=4, ge=1, le=1024)
    """Negatives an anchor."""
    max_ratio: float | None = Field(default=None, gt=0, le=1)
    """Refuse what is more similar than this share of s_pos."""
    min_margin: float | None = Field(default=None, ge=0, le=2)
    """Refuse what is not less similar than s_pos by this much."""
    max_similarity: float | None = Field(default=None, ge=-1, le=1)
    """Refuse what is more similar than this."""
    exclude_label: bool = False
    """Refuse what shares a label with the anchor."""
    exclude_attributes: tuple[str, ...] = ()
    """Refuse what has the anchor's value in one of these attributes; a missing one is no value."""

    @property
    def columns(self) -> Sequence[str]:
        """Labels and attributes, if they matter."""
        labels = ("labels",) if self.exclude_label else ()
        return (*labels, *(column_of(name) for name in self.exclude_attributes))

    @property
    def capacity(self) -> int:
        """As many as are taken."""
        return self.count

    def mine(self, block: Block) -> Decisions:
        """Walk down the list to the end of the window or to the `count`-th that passes."""
        window = negative_window(block, self.space, self.ranks)
        ids, reasons, least = window.ids, window.reasons, window.least
        if self.exclude_label:
            shared = block.samples.sets("labels").shared(block.anchors, ids)
            refuse(reasons, shared > 0, Reason.SAME_LABEL)
        for column in (column_of(name) for name in self.exclude_attributes):
            own, theirs = (block.samples.take(column, x) for x in (block.anchors, ids))
            refuse(reasons, (theirs == own[:, None]) & (theirs != NO_ID), Reason.SAME_ATTRIBUTE)
        self._refuse_by_similarity(reasons, window.similarities, least)
        ids = keep_first(ids, reasons, self.count)
        return Decisions(ids, reasons, window.similarities, window.ranks, positive_similarity=least)

    def _refuse_by_similarity(
        self, reasons: np.ndarray, similarities: np.ndarray, least: np.ndarray
    ) -> None:
        """Apply the three cuts in float64, so that any reader of the table can repeat them."""
        exact, positive = similarities.astype(np.float64), least.astype(np.float64)[:, None]
        if self.max_ratio is not None:
            cut = positive - (1 - self.max_ratio) * np.maximum(positive, RATIO_FLOOR)
            refuse(reasons, exact > cut, Reason.RATIO)
        if self.min_margin is not None:
            refuse(reasons, exact > positive - self.min_margin, Reason.MARGIN)
        if self.max_similarity is not None:
            refuse(reasons, exact > self.max_similarity, Reason.MAX_SIMILARITY)
