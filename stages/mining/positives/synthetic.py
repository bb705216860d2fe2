"""Generated pictures as positives, through gates of quality."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from pydantic import Field

from ....manifests.schema import NO_ID, Reason, Role
from ..base import TAKEN, Block, Decisions, Miner, refuse


class Synthetic(Miner):
    """The assets that were generated from the anchor, as far as they pass the gates.

    Zeng et al., Contrastive Learning with Synthetic Positives (CLSP), ECCV 2024, §3.2: 8
    candidates an anchor, one drawn uniformly a visit (the stream does). The paper takes all; the
    gates are this project's (algorithms.md §2.4). With s the frozen cosine of asset and anchor:

    - min_similarity: s is not above the `above` quantile of random pairs of samples, so the asset
      is as far from its anchor as a random sample would be;
    - max_similarity: s >= `below`: a copy, no new view;
    - nearer_other: a sample of another near-duplicate group is nearer to the asset than the
      anchor: the asset shows that one;
    - no_vector: the asset or the anchor has none;
    - overflow: behind the `count` most similar that passed.

    Wu et al., Synthetic Hard Positives (AAAI 2023): with `schedule`, pairs become harder while
    training goes on. Hardness is 1 - s. Of n taken assets the one at place r from the most
    similar on holds from the progress schedule * r / (n - 1) (the only one from 0), so
    `valid_from` never falls with hardness.

    Fidelity: exact for CLSP, given the pictures; a surrogate for Wu et al., whose generator
    learns with the model (see the generator).

    Traps: a threshold belongs to a space, hence a quantile. An asset is no sample: it has its own
    ids, is nobody's negative, and never stands in `positive_ids`. An anchor none of whose assets
    passes keeps its other positives.
    """

    role = Role.POSITIVE
    fidelity = "exact"
    paper = "Zeng et al., Contrastive Learning with Synthetic Positives, 2024"

    assets: str = Field(default="assets", pattern=r"^[a-z][a-z0-9_-]*$")
    """The section of `generate` that made them."""
    count: int = Field(default=8, ge=1, le=64)
    """At most so many an anchor."""
    above: float = Field(default=0.95, ge=0, le=1)
    """Quantile of random pairs' similarities that an asset must be above."""
    below: float = Field(default=0.99, gt=-1, le=1)
    """Similarity from which an asset is a copy."""
    schedule: float | None = Field(default=None, gt=0, le=1)
    """Training progress at which the hardest holds; None: all hold from the start."""

    @property
    def asset_names(self) -> Sequence[str]:
        """The one section."""
        return (self.assets,)

    @property
    def is_scheduled(self) -> bool:
        """Assets carry their own schedule, which is there in any case."""
        return False

    @property
    def positive_capacity(self) -> int:
        """None: assets stand in a list of their own."""
        return 0

    @property
    def capacity(self) -> int:
        """The places in the list of assets."""
        return self.count

    def mine(self, block: Block) -> Decisions:
        """Look at all assets of each anchor, most similar first."""
        lists = block.assets[self.assets]
        cut = np.float32(lists.quantile(self.above))
        falling = -np.nan_to_num(lists.similarities, nan=-np.inf)
        order = np.lexsort((falling, ~lists.keys.astype(bool)), axis=1)

        def sorted_(values: np.ndarray) -> np.ndarray:
            return np.take_along_axis(values, order, axis=1)

        keys, similarities = sorted_(lists.keys), sorted_(lists.similarities)
        other, nearest = sorted_(lists.nearest_ids), sorted_(lists.nearest)
        reasons = np.full(keys.shape, TAKEN)
        there = keys.astype(bool)
        refuse(reasons, there & np.isnan(similarities), Reason.NO_VECTOR)
        refuse(reasons, there & (similarities >= np.float32(self.below)), Reason.MAX_SIMILARITY)
        refuse(reasons, there & ~(similarities > cut), Reason.MIN_SIMILARITY)
        refuse(reasons, there & (other != NO_ID) & (nearest > similarities), Reason.NEARER_OTHER)
        taken = there & (reasons == TAKEN)
        place = np.cumsum(taken, axis=1) - taken
        refuse(reasons, taken & (place >= self.count), Reason.OVERFLOW)
        taken &= reasons == TAKEN
        ids = np.full(keys.shape, NO_ID, np.int64)
        ranks = np.broadcast_to(np.arange(keys.shape[1], dtype=np.int32), keys.shape)
        return Decisions(
            ids=ids,
            reasons=reasons,
            similarities=similarities,
            ranks=ranks,
            valid_from=self._valid_from(taken, place),
            assets=keys,
            facts={"above": float(cut)},
        )

    def _valid_from(self, taken: np.ndarray, place: np.ndarray) -> np.ndarray | None:
        if self.schedule is None:
            return None
        last = np.maximum(taken.sum(axis=1, keepdims=True) - 1, 1)
        return np.where(taken, self.schedule * place / last, 0).astype(np.float32)
