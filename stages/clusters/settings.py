"""One set of clusters as the config says it: of what, how many, at how many levels."""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, model_validator

Count = Annotated[int, Field(ge=1, le=10_000_000)]
DEFAULT_K = 100


class ClusterSettings(BaseModel):
    """Settings of `clusters: {NAME: ...}`.

    Either `space` (spherical k-means of its vectors) or `by` (k-means of places on the unit
    sphere); either `k` (one level) or `levels`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    space: str | None = None
    """The space whose vectors are clustered."""
    by: tuple[str, str] | None = None
    """Attributes with latitude and longitude in degrees; rows without them are in no cluster."""
    k: Count | None = None
    """Clusters, at one level; 100 unless `levels` says more."""
    levels: tuple[Count, ...] | None = Field(default=None, min_length=1, max_length=8)
    """Clusters of each level, finest first; each level clusters the centroids of the one before."""
    whiten: int = Field(default=0, ge=0, le=4096)
    """Principal components to keep and whiten before clustering; 0: the vectors as they are."""
    iterations: int = Field(default=20, ge=1, le=1000)
    """Rounds of k-means, at most; it stops when nothing moves."""
    points: int = Field(default=64, ge=1, le=4096)
    """Rows drawn for training, for each cluster of the finest level."""
    resampling: int = Field(default=0, ge=0, le=100)
    """Steps of resampling at each level (Vo et al. 2024); 0: plain k-means."""
    closest: int = Field(default=2, ge=1, le=4096)
    """Points nearest to each centroid that a step of resampling keeps."""
    t: float = Field(default=0.1, gt=0)
    """Temperature of the confidence."""
    after: str | None = None
    """Selector that runs first: clusters are found among what is kept up to it; null: among all."""

    @model_validator(mode="after")
    def _one_of_each(self) -> ClusterSettings:
        if (self.space is None) == (self.by is None):
            raise ValueError("give `space` (vectors) or `by` (latitude, longitude), one of them")
        if self.k is not None and self.levels is not None:
            raise ValueError("give `k` (one level) or `levels` (several), not both")
        if self.by is not None and self.whiten:
            raise ValueError("`whiten` is for spaces; places are clustered as they are")
        if any(fine <= coarse for fine, coarse in pairwise(self.sizes)):
            raise ValueError("`levels` must fall: the finest, with most clusters, comes first")
        return self

    @property
    def sizes(self) -> tuple[int, ...]:
        """Clusters of each level, finest first."""
        return self.levels or (self.k or DEFAULT_K,)
