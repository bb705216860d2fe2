"""Hard negatives of image-text matching: drawn by the softmax of a frozen similarity."""

from __future__ import annotations

import numpy as np
from pydantic import Field

from ....manifests.schema import Role
from ..base_graph import GRAPH_NAME
from ..base_lists import Window
from ..base_window import WindowDraw


class Itm(WindowDraw):
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
    purpose = "itm"
    fidelity = "exact+hook"
    paper = (
        "Li et al., Align before Fuse: Vision and Language Representation Learning with Momentum "
        "Distillation (ALBEF), 2021"
    )

    space: str = Field(default="image>caption", pattern=GRAPH_NAME)
    """The neighbour graph: QUERY>BANK."""
    count: int = Field(default=1, ge=1, le=1024)
    """Negatives an anchor."""
    t: float = Field(default=0.07, gt=0)
    """Temperature of the softmax."""

    def log_weights(self, window: Window) -> np.ndarray:
        """Return s / t, float64 [A, K]."""
        return window.similarities.astype(np.float64) / self.t
