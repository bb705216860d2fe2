"""Random samples fill the places that harder negatives left empty."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from pydantic import Field

from ....manifests.fingerprint import draw_uniform
from ....manifests.sampling import draw_distinct
from ....manifests.schema import NO_ID, Role
from ..base import TAKEN, Block, Decisions, Miner, Pool


class Random(Miner):
    """Uniform negatives of the anchor's split, up to `count` together with earlier miners.

    van den Oord et al., Representation Learning with Contrastive Predictive Coding (InfoNCE),
    2018, eq. 4: negatives are drawn from the data, whatever the anchor. Never drawn: the anchor,
    its near-duplicates, its positives, its false negatives, and negatives that it has already.
    Every other sample of the split is equally likely, and none comes twice.

    Fidelity: exact.

    Trap: among C balanced classes one in C random negatives is a false one; nothing here looks at
    similarity or labels.
    """

    role = Role.NEGATIVE
    fidelity = "exact"
    paper = "van den Oord et al., Representation Learning with Contrastive Predictive Coding, 2018"

    count: int = Field(default=4, ge=1, le=1024)
    """Negatives of an anchor after this miner, those of earlier miners included."""

    @property
    def columns(self) -> Sequence[str]:
        """What keeps splits and duplicates apart."""
        return ("split", "group_id")

    @property
    def capacity(self) -> int:
        """As many as are drawn."""
        return self.count

    def mine(self, block: Block) -> Decisions:
        """Draw as many as are missing; all that is drawn is taken."""
        index = block.samples.rows_with("split", "group_id")
        pool = Pool.around(index, block.anchors[:, None], depth=1)
        known = (block.positives.ids, block.false_negatives.ids, block.negatives.ids)
        missing = self.count - _distinct(block.negatives.ids)
        uniform = draw_uniform(block.seed, block.anchors, "random", self.count)
        width = int(np.clip(missing.max(initial=0), 0, self.count))
        excluded = pool.places(np.concatenate(known, axis=1))
        ids = pool.ids(draw_distinct(uniform[:, :width], pool.sizes, excluded))
        ids[np.arange(width) >= missing[:, None]] = NO_ID
        return Decisions(
            ids=ids,
            reasons=np.full(ids.shape, TAKEN),
            similarities=np.full(ids.shape, np.nan, np.float32),
            ranks=np.broadcast_to(np.arange(width, dtype=np.int32), ids.shape),
        )


def _distinct(ids: np.ndarray) -> np.ndarray:
    """Count the different ids of each row, int64 [A]; -1 is none."""
    ordered = np.sort(ids, axis=1)
    new = np.ones(ids.shape, bool)
    new[:, 1:] = ordered[:, 1:] != ordered[:, :-1]
    return (new & (ordered != NO_ID)).sum(axis=1)
