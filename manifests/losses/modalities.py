"""Settings of losses between an image and something else: its caption, a cluster, a teacher."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from .base import Loss, positive, share, within


@dataclass(frozen=True)
class Clip(Loss):
    """Symmetric InfoNCE of images and captions with a learned temperature.

    Attributes:
        t: temperature at the start.
        least_t: the temperature never falls below it.
    """

    kind: ClassVar[str] = "clip"

    t: float = positive(0.07)
    least_t: float = positive(0.01)


@dataclass(frozen=True)
class Helip(Loss):
    """CLIP over the batch and its listed hard pairs, and a margin between these and the rest.

    Attributes:
        t: temperature at the start.
        least_t: the temperature never falls below it.
        margin: weight (gamma) of the margin loss.
    """

    kind: ClassVar[str] = "helip"

    t: float = positive(0.07)
    least_t: float = positive(0.01)
    margin: float = within(1.0, ge=0)


@dataclass(frozen=True)
class Cloob(Loss):
    """InfoLOOB of images and captions after Hopfield retrieval.

    Attributes:
        t: temperature, fixed.
        beta: sharpness of the retrieval.
    """

    kind: ClassVar[str] = "cloob"

    t: float = positive(1 / 14.3)
    beta: float = positive(14.3)


@dataclass(frozen=True)
class Avid(Loss):
    """Cross-modal noise-contrastive estimation against memories.

    Attributes:
        t: temperature.
        negatives: drawn for each pair.
        momentum: of the memories.
    """

    kind: ClassVar[str] = "avid"

    t: float = positive(0.07)
    negatives: int = within(1024, ge=1)
    momentum: float = share(0.5)


@dataclass(frozen=True)
class Cluster(Loss):
    """Classification of a column of `samples`.

    Attributes:
        column: whose values are the classes.
        contrast: weight of InfoNCE beside it; 0 for none.
        t: temperature of InfoNCE.
    """

    kind: ClassVar[str] = "cluster"

    column: str = "cluster_id"
    contrast: float = within(0.0, ge=0)
    t: float = positive(0.1)


@dataclass(frozen=True)
class Soft(Loss):
    """Cross-entropy to soft targets.

    Attributes:
        t: temperature of the student.
        momentum: of the slow copy that makes keys.
    """

    kind: ClassVar[str] = "soft"

    t: float = positive(0.2)
    momentum: float = share(0.99)
