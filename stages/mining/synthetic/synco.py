"""Six ways to make a synthetic negative out of a hard one."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from pydantic import Field, model_validator

from ....manifests.fingerprint import draw_uint64, draw_uniform
from ..base import Block
from ..base_mixer import Hardest, Mixer, Mixes, joined, recipes

INTERPOLATE, EXTRAPOLATE, MIXUP, NOISE, GRADIENT, SIGN = range(1, 7)

Count = Annotated[int, Field(ge=0, le=1024)]


class Synco(Mixer):
    """Synthetic negatives of six types, every vector scaled to unit length, without a gradient.

    Giakoumoglou, Stathaki, SynCo: Synthetic Hard Negatives for Contrastive Visual Representation
    Learning, 2024, §3. With anchor q and a, b of its hardest negatives:

        1 interpolate   h = coef q + (1 - coef) a      coef ~ U(0, 1/2)
        2 extrapolate   h = q + coef (a - q)           coef ~ U(1, 3/2)
        3 mix           h = coef a + (1 - coef) b      coef ~ U(0, 1)
        4 noise         h = a + coef N(0, 1)           coef = `sigma`, drawn from `seed`
        5 gradient      h = a + coef q                 coef = `step`: the gradient of q a is q
        6 sign          h = a + coef sign(q)           coef = `sign_step`

    Fidelity: exact with a hook: the paper's 1,024 hardest of a queue are the frozen list here.

    Traps: type 2 moves away from the anchor, so it is easier than its parent; types 1, 2 and 5 lie
    on the great circle through anchor and parent, not on the line between them.
    """

    method = "synco"
    paper = "Giakoumoglou, Stathaki, SynCo: Synthetic Hard Negatives, 2024"

    hardest: int = Field(default=64, ge=1, le=2048)
    """How many of the nearest are looked at for parents."""
    counts: tuple[Count, Count, Count, Count, Count, Count] = (4, 4, 4, 1, 1, 1)
    """Recipes of each type an anchor (the paper: 256, 256, 256, 64, 64, 64)."""
    sigma: float = Field(default=0.01, gt=0, le=1)
    """Standard deviation of the noise of type 4, in each dimension."""
    step: float = Field(default=0.01, gt=0, le=1)
    """Length of the step of type 5."""
    sign_step: float = Field(default=0.01, gt=0, le=1)
    """Length of the step of type 6, in each dimension."""

    @model_validator(mode="after")
    def _check(self) -> Synco:
        if not sum(self.counts):
            raise ValueError("counts are all 0: at least one type must be asked for")
        return self

    @property
    def count(self) -> int:
        """Recipes of all types."""
        return sum(self.counts)

    def mix(self, block: Block) -> Mixes:
        """Draw parents and coefficients, one type after the other."""
        hardest = Hardest.of(block, self.space, self.hardest)
        return joined(
            [
                self._of_type(kind, count, hardest, block)
                for kind, count in enumerate(self.counts, INTERPOLATE)
            ]
        )

    def _of_type(self, kind: int, count: int, hardest: Hardest, block: Block) -> Mixes:
        purpose = f"synco/{kind}"
        draws = draw_uniform(block.seed, block.anchors, purpose, 3 * count)
        drawn = draws[:, 2 * count :]
        if kind == MIXUP:
            a, b = hardest.pick_two(draws[:, : 2 * count])
            return recipes(kind, a, drawn, b)
        a = hardest.pick(draws[:, :count])
        if kind == NOISE:
            bits = draw_uint64(block.seed, block.anchors, f"{purpose}/seed", count)
            seeds = (bits >> np.uint64(1)).astype(np.int64)
            return recipes(kind, a, np.full(a.shape, self.sigma), seeds=seeds)
        coefs = {
            INTERPOLATE: drawn / 2,
            EXTRAPOLATE: 1 + drawn / 2,
            GRADIENT: np.full(a.shape, self.step),
            SIGN: np.full(a.shape, self.sign_step),
        }
        return recipes(kind, a, coefs[kind])
