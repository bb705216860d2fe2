"""Hard negatives of image-text matching: drawn by the softmax of a frozen similarity."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import numpy as np
from pydantic import Field, model_validator

from ....manifests.fingerprint import draw_uniform
from ....manifests.schema import Reason, Role
from ..base import TAKEN, Block, Decisions, Miner, refuse
from ..base_lists import draw_weighted, negative_window

Rank = Annotated[int, Field(ge=0, le=2048)]


class Itm(Miner):
    """Mismatched pairs that look alike: p ~ exp(s / t) over the anchor's list.

    Li et al., Align before Fuse: Vision and Language Representation Learning with Momentum
    Distillation (ALBEF), 2021, §3.2: for each image one text, and for each text one image, is
    drawn by the softmax of the contrastive similarity, and the matching head must tell it from the
    right one. `count` candidates of the window are drawn one by one without replacement (Gumbel
    top-k), by (seed, anchor, rank). With "image>caption" a negative's caption is wrong for the
    anchor's picture, with "caption>image" its picture for the anchor's caption.

    Fidelity: exact+hook: the pairs are drawn here, the matching head is the trainer's. The paper
    draws among the texts of a batch with the moving encoder; here among the window of the whole
    corpus, with a frozen one.

    Traps: a corpus tells that two samples match only by `group_id` and its positives, so a caption
    that fits another picture as well is a false negative: give a miner of those, or leave the
    first ranks out. Cosines of CLIP lie within 0.2, so t decides how hard the draws are.
    """

    role = Role.NEGATIVE
    fidelity = "exact+hook"
    paper = (
        "Li et al., Align before Fuse: Vision and Language Representation Learning with Momentum "
        "Distillation (ALBEF), 2021"
    )

    space: str = Field(default="image>caption", pattern=r"^[^>]+>[^>]+$")
    """The neighbour graph: QUERY>BANK."""
    ranks: tuple[Rank, Rank] = (0, 64)
    """Window of ranks [first, behind the last) from which negatives may come."""
    count: int = Field(default=1, ge=1, le=1024)
    """Negatives an anchor."""
    t: float = Field(default=0.07, gt=0)
    """Temperature of the softmax."""

    @model_validator(mode="after")
    def _check(self) -> Itm:
        if self.ranks[0] >= self.ranks[1]:
            raise ValueError(f"ranks {list(self.ranks)}: the first must be below the second")
        return self

    @property
    def graph_names(self) -> Sequence[str]:
        """The one graph."""
        return (self.space,)

    @property
    def space_names(self) -> Sequence[str]:
        """Both spaces of the graph: positives outside the list are measured there."""
        return tuple(dict.fromkeys(self.space.split(">")))

    @property
    def capacity(self) -> int:
        """As many as are drawn."""
        return self.count

    def mine(self, block: Block) -> Decisions:
        """Draw `count` of the window's allowed candidates."""
        window = negative_window(block, self.space, self.ranks)
        reasons = window.reasons
        scores = window.similarities.astype(np.float64) / self.t
        uniform = draw_uniform(block.seed, block.anchors, "itm", reasons.shape[1])
        drawn = draw_weighted(np.where(window.allowed, scores, -np.inf), uniform, self.count)
        refuse(reasons, (reasons == TAKEN) & ~drawn, Reason.NOT_DRAWN)
        return Decisions(
            window.ids,
            reasons,
            window.similarities,
            window.ranks,
            positive_similarity=window.least,
        )
