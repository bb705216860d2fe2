"""Hard negatives mixed with each other, and with the anchor."""

from __future__ import annotations

from pydantic import Field

from ....manifests.fingerprint import draw_uniform
from ..base import Block
from ..base_mixer import Hardest, Mixer, Mixes, joined, recipes

MIXED, WITH_ANCHOR = 1, 2


class Mochi(Mixer):
    """Hard negative mixing.

    Kalantidis et al., Hard Negative Mixing for Contrastive Learning (MoCHi), 2020, §3.2-3.3. With
    Q the hardest negatives of anchor q, every vector scaled to unit length:

        type 1   h = coef a + (1 - coef) b    a, b different ones of Q, coef ~ U(0, 1)
        type 2   h = coef q + (1 - coef) a    a of Q, coef ~ U(0, 1/2): the anchor never leads

    They only join the denominator, without a gradient. Parents are never positives or false
    negatives of the anchor.

    Fidelity: exact with a hook. The paper draws from the 1,024 hardest of its queue in every step;
    here Q is the frozen list, the recipes are drawn once, and the trainer mixes live embeddings.

    Traps: the paper starts after 10 epochs without synthetic negatives (`warmup` of the loss); it
    reports no gain of linear accuracy on ImageNet-1k.
    """

    method = "mochi"
    paper = "Kalantidis et al., Hard Negative Mixing for Contrastive Learning, 2020"

    hardest: int = Field(default=64, ge=1, le=2048)
    """How many of the nearest are looked at for parents."""
    mixed: int = Field(default=16, ge=0, le=1024)
    """Recipes of type 1 an anchor."""
    with_anchor: int = Field(default=2, ge=0, le=1024)
    """Recipes of type 2 an anchor."""

    @property
    def count(self) -> int:
        """Recipes of both types."""
        return self.mixed + self.with_anchor

    def mix(self, block: Block) -> Mixes:
        """Draw parents and coefficients."""
        hardest = Hardest.of(block, self.space, self.hardest)
        draws = draw_uniform(block.seed, block.anchors, "mochi/1", 3 * self.mixed)
        a, b = hardest.pick_two(draws[:, : 2 * self.mixed])
        first = recipes(MIXED, a, draws[:, 2 * self.mixed :], b)
        draws = draw_uniform(block.seed, block.anchors, "mochi/2", 2 * self.with_anchor)
        a = hardest.pick(draws[:, : self.with_anchor])
        return joined([first, recipes(WITH_ANCHOR, a, draws[:, self.with_anchor :] / 2)])
