"""Settings of losses that contrast with negatives."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from .base import Loss, positive, share, within


@dataclass(frozen=True)
class InfoNce(Loss):
    """The generic loss G: InfoNCE, SupCon, DCL, HCL by their settings.

    Attributes:
        t: temperature.
        pos_in_denom: which positives stand in the denominator: "self", "all" or "none".
        tau_plus: share of unlabelled negatives that are positives in truth, in [0, 1).
        beta: concentration on hard negatives; multiplies s / t, not s.
        mixes: recipes of synthetic negatives that an anchor draws each time, if it has any.
        warmup: share of the training, 0..1, before synthetic negatives have a part.
        tau_column: column of `samples` (label, cluster_id) whose shares are the tau_plus of each
            anchor; those without a value keep `tau_plus`. "" for one number.
    """

    kind: ClassVar[str] = "infonce"

    t: float = positive(0.1)
    pos_in_denom: str = within("self", among=("self", "all", "none"))
    tau_plus: float = within(0.0, ge=0, lt=1)
    beta: float = within(0.0, ge=0)
    mixes: int = within(16, ge=0)
    warmup: float = share(0.0)
    tau_column: str = within("")

    @property
    def recipes(self) -> int:
        """As many as `mixes` says."""
        return self.mixes


@dataclass(frozen=True)
class Bcl(Loss):
    """G with BCL's weights by rank.

    Attributes:
        t: temperature.
        tau_plus: share of false negatives among the negatives, in (0, 1).
        alpha: chance that a positive scores above a negative, in (0.5, 1).
        hardness: BCL's beta: 0.5 only debiases, towards 1 hard negatives weigh more.
    """

    kind: ClassVar[str] = "bcl"

    t: float = positive(0.5)
    tau_plus: float = within(0.1, gt=0, lt=1)
    alpha: float = within(0.9, gt=0.5, lt=1)
    hardness: float = within(0.9, ge=0.5, le=1)


@dataclass(frozen=True)
class Unremix(Loss):
    """G with UnReMix's importance of negatives.

    Attributes:
        t: temperature.
        similarity: share of the similarity to the anchor.
        uncertainty: share of the gradient's norm.
        diversity: share of the mean distance to the other negatives.
    """

    kind: ClassVar[str] = "unremix"

    t: float = positive(0.5)
    similarity: float = within(1 / 3, ge=0)
    uncertainty: float = within(1 / 3, ge=0)
    diversity: float = within(1 / 3, ge=0)


@dataclass(frozen=True)
class Moco(Loss):
    """InfoNCE against a queue of keys of a slow copy of the encoder.

    Attributes:
        t: temperature.
        momentum: of the slow copy.
        queue: keys that are kept.
    """

    kind: ClassVar[str] = "moco"

    t: float = positive(0.2)
    momentum: float = share(0.999)
    queue: int = within(65536, ge=1)


@dataclass(frozen=True)
class Adco(Loss):
    """InfoNCE against a bank of negatives that learns to be hard.

    Attributes:
        t: temperature of the encoder's loss.
        momentum: of the slow copy that makes keys.
        bank: rows of the bank.
        bank_t: temperature of the bank's loss.
        bank_lr: its learning rate.
    """

    kind: ClassVar[str] = "adco"

    t: float = positive(0.12)
    momentum: float = share(0.999)
    bank: int = within(65536, ge=1)
    bank_t: float = positive(0.02)
    bank_lr: float = positive(3.0)


@dataclass(frozen=True)
class Clsp(Loss):
    """InfoNCE of the first positive and a regression of the others, which are synthetic.

    Attributes:
        t: temperature.
        synthetic: weight (lambda) of the synthetic term.
    """

    kind: ClassVar[str] = "clsp"

    t: float = positive(0.2)
    synthetic: float = within(1.0, ge=0)


@dataclass(frozen=True)
class Triplet(Loss):
    """A hinge on squared distances.

    Attributes:
        margin: of the hinge.
    """

    kind: ClassVar[str] = "triplet"

    margin: float = within(0.3, ge=0, le=4)
