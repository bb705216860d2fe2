"""Hard negatives mixed with each other, for a loss that weighs and debiases them."""

from __future__ import annotations

from pydantic import Field

from ....manifests.fingerprint import draw_uniform
from ..base import Block
from ..base_mixer import Hardest, Mixer, Mixes, recipes


class Sscl(Mixer):
    """Synthetic hard negatives between the anchor's hardest ones.

    Dong et al., Synthetic Hard Negative Samples for Contrastive Learning (SSCL), 2024: the hardest
    negatives are interpolated pairwise and appended; then all negatives are weighed (Robinson
    2021) and debiased (Chuang 2020), which `loss.beta` and `loss.tau_plus` do.

        type 1   h = coef a + (1 - coef) b, scaled to unit length    coef ~ U(0, 1)

    Fidelity: exact with a hook. The paper's constants could not be read, so counts are settings.

    Trap: without beta and tau_plus this is MoCHi's first type and nothing more.
    """

    method = "sscl"
    paper = "Dong et al., Synthetic Hard Negative Samples for Contrastive Learning, 2024"

    hardest: int = Field(default=64, ge=2, le=2048)
    """How many of the nearest are looked at for parents."""
    mixed: int = Field(default=16, ge=1, le=1024)
    """Recipes an anchor."""

    @property
    def count(self) -> int:
        """Recipes of the one type."""
        return self.mixed

    def mix(self, block: Block) -> Mixes:
        """Draw parents and coefficients."""
        hardest = Hardest.of(block, self.space, self.hardest)
        draws = draw_uniform(block.seed, block.anchors, "sscl", 3 * self.mixed)
        a, b = hardest.pick_two(draws[:, : 2 * self.mixed])
        return recipes(1, a, draws[:, 2 * self.mixed :], b)
