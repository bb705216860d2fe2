"""Settings of losses of two views of one image: the single-instance controls."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from .base import Loss, positive, share, within


@dataclass(frozen=True)
class Byol(Loss):
    """Regression of a slow copy's view.

    Attributes:
        momentum: of the slow copy; rises to 1 along a cosine.
        hidden: width of the predictor.
        symmetric: whether both views predict each other.
    """

    kind: ClassVar[str] = "byol"

    momentum: float = share(0.996)
    hidden: int = within(512, ge=1)
    symmetric: bool = True


@dataclass(frozen=True)
class Simsiam(Loss):
    """Regression of the other view, gradients stopped, without a slow copy.

    Attributes:
        hidden: width of the predictor.
    """

    kind: ClassVar[str] = "simsiam"

    hidden: int = within(128, ge=1)


@dataclass(frozen=True)
class BarlowTwins(Loss):
    """Cross-correlation towards the identity.

    Attributes:
        off_diagonal: weight (lambda) of what is off the diagonal.
    """

    kind: ClassVar[str] = "barlow_twins"

    off_diagonal: float = positive(0.0051)


@dataclass(frozen=True)
class Vicreg(Loss):
    """Variance, invariance, covariance.

    Attributes:
        invariance: weight of the distance of two views.
        variance: weight of the hinge on each dimension's deviation.
        covariance: weight of what is off the diagonal of the covariance.
    """

    kind: ClassVar[str] = "vicreg"

    invariance: float = within(25.0, ge=0)
    variance: float = within(25.0, ge=0)
    covariance: float = within(1.0, ge=0)


@dataclass(frozen=True)
class Dino(Loss):
    """Cross-entropy of a student to a slow teacher's centred, sharpened output.

    Attributes:
        outputs: width of the output.
        student_t: temperature of the student.
        teacher_t: temperature of the teacher.
        first_teacher_t: that of the first step; moves to teacher_t over `warmup`.
        warmup: share of the training, 0..1.
        momentum: of the teacher; rises to 1 along a cosine.
        centre: momentum of the centre.
    """

    kind: ClassVar[str] = "dino"

    outputs: int = within(65536, ge=2)
    student_t: float = positive(0.1)
    teacher_t: float = positive(0.04)
    first_teacher_t: float = positive(0.04)
    warmup: float = share(0.3)
    momentum: float = share(0.996)
    centre: float = share(0.9)


@dataclass(frozen=True)
class Swav(Loss):
    """Swapped prediction of balanced assignments to prototypes.

    Attributes:
        t: temperature.
        prototypes: how many.
        epsilon: entropy of the assignment.
        iterations: of Sinkhorn's algorithm.
    """

    kind: ClassVar[str] = "swav"

    t: float = positive(0.1)
    prototypes: int = within(3000, ge=2)
    epsilon: float = positive(0.05)
    iterations: int = within(3, ge=1)


@dataclass(frozen=True)
class Cpc(Loss):
    """InfoNCE of coming rows of patches.

    Attributes:
        t: temperature.
        grid: patches along a side; neighbours overlap by half.
        ahead: rows that are predicted.
    """

    kind: ClassVar[str] = "cpc"

    t: float = positive(0.1)
    grid: int = within(3, ge=2, le=15)
    ahead: int = within(2, ge=1, le=14)
