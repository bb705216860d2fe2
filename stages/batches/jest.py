"""`jest`: batches that a frozen reference finds easy, chosen jointly (JEST, I-ACID)."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from ._joint import Joint, super_size
from ._losses import KINDS, SCALES, Encoder
from .base import Batches, Planner, Pool


class Jest(Planner):
    """Choose from each super-batch the batch that a frozen image/text reference finds easiest.

    Evans et al., "Data curation via joint example selection further accelerates multimodal
    learning" (JEST), 2024, easy-reference: S = -L_ref, with the pairwise sigmoid loss of the
    reference, S_ii the loss of a row's own pair and S_ij that of image i beside text j. From B
    rows B (1 - f) are drawn in n chunks (`_joint.select`). With `loss: softmax` a row's loss beside
    the chosen ones is the softmax contrastive one, whose negatives are the chosen rows only
    (`_losses.Softmax`). Fidelity: exact, as the reference is
    frozen. With a reference larger than the learner this is I-ACID (Udandarao et al. 2024).

    One batch comes from each super-batch, so an epoch of the plan holds a share 1 - f of the
    rows: that is the selection. Rows without a caption have zero vectors and lose by themselves.

    Traps: the first chunk is drawn by exp(S_ii), not by S_ii - min as in a public port. `scale`
    and `bias` are the reference's own: the defaults are where SigLIP starts, and 100 for softmax;
    a CLIP model is used with `loss: softmax`, or with scale 100 and bias -100 x its usual
    similarity of a matching pair.

    Memory: 4 KB a row of a super-batch. Facts: super_batch, chunks, score, score_random, z (how
    far the score of chosen batches is from that of random ones of the same super-batch, sigmas).
    """

    paper = "Evans et al., Data curation via joint example selection (JEST), 2024"
    row_bytes = 48

    image: str = "image"
    """The reference's images."""
    caption: str = "caption"
    """The reference's texts."""
    filter_ratio: float = Field(default=0.8, gt=0, lt=1)
    """f: share of a super-batch that is filtered out."""
    chunks: int = Field(default=16, ge=1)
    """n."""
    loss: Literal["sigmoid", "softmax"] = "sigmoid"
    """The reference's loss: pairwise sigmoid, or softmax over the rows that are chosen."""
    scale: float | None = Field(default=None, gt=0)
    """Scale of the reference's logits; null for 10 (sigmoid) or 100 (softmax)."""
    bias: float = -10.0
    """Bias of the reference's logits; softmax knows none."""

    @model_validator(mode="after")
    def _fits(self) -> Self:
        super_size(self.size, self.filter_ratio, self.chunks)
        return self

    @property
    def space_names(self) -> tuple[str, ...]:
        """The reference."""
        return (self.image, self.caption)

    def compose(self, pool: Pool) -> Batches:
        """Choose one batch from each super-batch."""
        scale = self.scale or SCALES[self.loss]
        reference = Encoder(self.image, self.caption, -1, scale, self.bias)
        wide = super_size(self.size, self.filter_ratio, self.chunks)
        scores = KINDS[self.loss](pool, [reference])
        return Batches(*Joint(self.size, wide, self.chunks).compose(pool, scores))
