"""`learnability`: batches hard for a weak frozen encoder and easy for a strong one."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from ._joint import Joint, super_size
from ._losses import KINDS, SCALES, Encoder
from .base import Batches, Planner, Pool


class Learnability(Planner):
    """Choose from each super-batch the batch with the largest L_learner - L_ref.

    Evans et al., JEST, 2024, learnability; H-ACID of Udandarao et al. 2024. Fidelity: surrogate.
    The paper's learner is the model in training; here a weak frozen encoder stands for it, so
    the scores do not move with training: mine again in the trained space from time to time.

    All else is as in `jest`: one batch a super-batch, the same facts.
    """

    fidelity = "surrogate"
    paper = "Evans et al., Data curation via joint example selection (JEST), 2024"
    row_bytes = 48

    image: str = "image"
    """The reference's images."""
    caption: str = "caption"
    """The reference's texts."""
    learner_image: str
    """Images of the frozen stand-in for the learner."""
    learner_caption: str
    """Its texts."""
    filter_ratio: float = Field(default=0.8, gt=0, lt=1)
    """f: share of a super-batch that is filtered out."""
    chunks: int = Field(default=16, ge=1)
    """n."""
    loss: Literal["sigmoid", "softmax"] = "sigmoid"
    """The encoders' loss: pairwise sigmoid, or softmax over the rows that are chosen."""
    scale: float | None = Field(default=None, gt=0)
    """Scale of both encoders' logits; null for 10 (sigmoid) or 100 (softmax)."""
    bias: float = -10.0
    """Bias of both encoders' logits; softmax knows none."""

    @model_validator(mode="after")
    def _fits(self) -> Self:
        super_size(self.size, self.filter_ratio, self.chunks)
        return self

    @property
    def space_names(self) -> tuple[str, ...]:
        """The reference, then the learner."""
        return (self.image, self.caption, self.learner_image, self.learner_caption)

    def compose(self, pool: Pool) -> Batches:
        """Choose one batch from each super-batch."""
        scale = self.scale or SCALES[self.loss]
        encoders = [
            Encoder(self.learner_image, self.learner_caption, +1, scale, self.bias),
            Encoder(self.image, self.caption, -1, scale, self.bias),
        ]
        wide = super_size(self.size, self.filter_ratio, self.chunks)
        scores = KINDS[self.loss](pool, encoders)
        return Batches(*Joint(self.size, wide, self.chunks).compose(pool, scores))
