"""What miners over one neighbour graph share: its name, the spaces it needs, windows, detectors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Self

from pydantic import Field, model_validator

from ...manifests.schema import Action
from .base import Miner
from .prepare import Preparation
from .reciprocal import Encodings

GRAPH_NAME = r"^[^>]+>[^>]+$"
Rank = Annotated[int, Field(ge=0, le=2048)]


def spaces_of(graph: str) -> tuple[str, ...]:
    """Return the spaces of a graph "QUERY>BANK", each once."""
    return tuple(dict.fromkeys(graph.split(">")))


class GraphMiner(Miner):
    """A miner of the lists of one neighbour graph."""

    space: str = Field(default="image>image", pattern=GRAPH_NAME)
    """The neighbour graph: QUERY>BANK."""

    @property
    def graph_names(self) -> Sequence[str]:
        """The one graph."""
        return (self.space,)


class WindowMiner(GraphMiner):
    """A miner that takes negatives from a window of ranks of the graph."""

    ranks: tuple[Rank, Rank] = (0, 64)
    """Window of ranks [first, behind the last) from which negatives may come."""

    @model_validator(mode="after")
    def _has_window(self) -> Self:
        if self.ranks[0] >= self.ranks[1]:
            raise ValueError(f"ranks {list(self.ranks)}: the first must be below the second")
        return self

    @property
    def space_names(self) -> Sequence[str]:
        """Both spaces of the graph: positives outside the list are measured there."""
        return spaces_of(self.space)


class DetectorMiner(GraphMiner):
    """A miner that says which of the k nearest are false negatives."""

    k: int = Field(default=10, ge=1, le=2048)
    """How many of the nearest are looked at."""

    @property
    def capacity(self) -> int:
        """As many as are looked at."""
        return self.k


class ActingMiner(DetectorMiner):
    """A detector whose false negatives are all treated in one way, which is a setting."""

    action: Action = Action.ELIMINATE
    """eliminate: never contrast; attract: a positive as well; soften, review: only noted."""

    @property
    def positive_capacity(self) -> int:
        """As many as are looked at, if false negatives become positives."""
        return self.k if self.action is Action.ATTRACT else 0


class OwnGraphMiner(GraphMiner):
    """A miner of the graph of one space with itself."""

    space: str = Field(default="image>image", pattern=GRAPH_NAME)
    """The neighbour graph of a space with itself: SPACE>SPACE."""

    @model_validator(mode="after")
    def _is_of_one_space(self) -> Self:
        if len(spaces_of(self.space)) != 1:
            raise ValueError(f"space {self.space}: a graph of one space with itself is needed")
        return self

    @property
    def space_names(self) -> Sequence[str]:
        """The space."""
        return spaces_of(self.space)


class ReciprocalMiner(OwnGraphMiner):
    """A miner by k-reciprocal encodings (Zhong et al. 2017; see `mining.reciprocal`)."""

    k: int = Field(default=20, ge=1, le=2048)
    """How many of the nearest are looked at."""
    k1: int = Field(default=20, ge=2, le=256)
    """Size of the reciprocal sets."""
    k2: int = Field(default=6, ge=1, le=256)
    """Samples in the mean of an expanded encoding, itself included; 1 for none."""
    farthest: float = Field(default=4.0, gt=0, le=4)
    """The squared distance of unit vectors that counts as 1."""

    @property
    def preparations(self) -> Mapping[str, Preparation]:
        """The encodings of all samples."""
        name = self.space.split(">")[0]
        return {self._encodings: Encodings(space=name, k1=self.k1, farthest=self.farthest)}

    @property
    def _encodings(self) -> str:
        return f"reciprocal:{self.space.split('>')[0]}:{self.k1}:{self.farthest:g}"
