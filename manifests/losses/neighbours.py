"""Settings of losses that draw an anchor to its neighbours."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from .base import Loss, positive, share, within


@dataclass(frozen=True)
class Msf(Loss):
    """Regression of the mean of a set of neighbours.

    Attributes:
        momentum: of the slow copy.
        hidden: width of the predictor.
    """

    kind: ClassVar[str] = "msf"

    momentum: float = share(0.99)
    hidden: int = within(256, ge=1)


@dataclass(frozen=True)
class Nnclr(Loss):
    """InfoNCE between neighbours and predictions.

    Attributes:
        t: temperature.
        hidden: width of the predictor; 0 for none (the identity).
        symmetric: whether a second view of the anchor predicts too.
    """

    kind: ClassVar[str] = "nnclr"

    t: float = positive(0.1)
    hidden: int = within(4096, ge=0)
    symmetric: bool = True


@dataclass(frozen=True)
class All4One(Loss):
    """Neighbour, centroid and feature terms.

    Attributes:
        t: temperature of the neighbour term.
        centroid_t: of the centroid term.
        momentum: of the slow copy.
        hidden: width of both predictors.
        layers: of the transformer.
        heads: of each layer; must divide the projection's width.
        dropout: in the transformer.
        neighbour: weight of the neighbour term.
        centroid: weight of the centroid term.
        feature: weight of the feature term.
    """

    kind: ClassVar[str] = "all4one"

    t: float = positive(0.2)
    centroid_t: float = positive(0.1)
    momentum: float = share(0.99)
    hidden: int = within(4096, ge=1)
    layers: int = within(3, ge=1)
    heads: int = within(8, ge=1)
    dropout: float = within(0.1, ge=0, lt=1)
    neighbour: float = within(0.5, ge=0)
    centroid: float = within(0.5, ge=0)
    feature: float = within(0.5, ge=0)
