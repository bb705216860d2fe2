"""How rows become points to cluster: vectors as they are, whitened ones, places on the globe."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from ...manifests.artifact import Artifact
from ...manifests.errors import ConfigError
from ...manifests.exact import to_grid, unit_on_grid
from ...manifests.schema import ATTRIBUTE_PREFIX
from ...manifests.tables import open_parquet
from ...manifests.vectors import Rows

_COVARIANCE_ROWS = 1 << 20
_COARSE = 2.0**16
_RANK = 1e-7
"""Share of the largest eigenvalue below which a direction is noise of float16."""


@dataclass(frozen=True)
class Whitening:
    """x -> (x - mean) W, then L2; `offset` is mean W.

    Attributes:
        matrix: float64 [d, p], on the grid; columns of norm <= 1.
        offset: float64 [p].
    """

    matrix: np.ndarray
    offset: np.ndarray

    @classmethod
    def of(cls, points: np.ndarray, components: int) -> Whitening:
        """Learn principal components, each scaled to variance 1 (up to one common factor).

        The covariance is exact: values are rounded to 2^-16, so that sums of products of up to
        2^20 rows fit float64. The eigenvectors come from one thread, because their last bits
        move with the number of threads; their largest entry is made positive.

        Args:
            points: float32 [n, d], n >= 1.
            components: principal components to keep; directions without variance are left out.
        """
        rows = points[:_COVARIANCE_ROWS]
        width = rows.shape[1]
        square, total = np.zeros((width, width)), np.zeros(width)
        for start in range(0, len(rows), 8192):
            block = np.rint(rows[start : start + 8192].astype(np.float64) * _COARSE) / _COARSE
            square += block.T @ block
            total += block.sum(axis=0)
        mean = total / len(rows)
        values, columns = _eigen(square / len(rows) - mean[:, None] * mean)
        kept = np.flatnonzero(values > _RANK * max(float(values[0]), 1e-12))[:components]
        if not len(kept):
            return cls(np.zeros((width, 1)), np.zeros(1))
        scaled = columns[:, kept] * np.sqrt(values[kept[-1]] / values[kept])
        matrix = to_grid(scaled * (1 - 2.0**-12))
        return cls(matrix, (mean[:, None] * matrix).sum(axis=0))

    def apply(self, points: np.ndarray) -> np.ndarray:
        """Return float64 [n, p] unit rows on the grid; zero where a row is the mean."""
        return unit_on_grid(points @ self.matrix - self.offset)


def _eigen(covariance: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return eigenvalues, falling, and eigenvectors as columns with a positive largest entry."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        found, vectors = torch.linalg.eigh(torch.from_numpy(covariance))
    finally:
        torch.set_num_threads(threads)
    values, columns = found.numpy()[::-1], vectors.numpy()[:, ::-1]
    heads = np.take_along_axis(columns, np.abs(columns).argmax(axis=0)[None, :], 0)
    return values, columns * np.where(heads < 0, -1.0, 1.0)


class Source(Protocol):
    """The rows of a corpus as points, before whitening."""

    @property
    def width(self) -> int:
        """Coordinates of a point."""
        ...

    def take(self, ids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return points float64 [n, width] on the grid, and bool [n]: whether there is one."""
        ...


@dataclass(frozen=True)
class SpaceSource:
    """The vectors of a space: float16 values are on the grid as they are stored."""

    rows: Rows

    @property
    def width(self) -> int:
        """Width of the space."""
        return self.rows.width

    def take(self, ids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return points and whether there is one; see `Source`."""
        values = self.rows.take(ids)
        points = values.astype(np.float64)
        points = points if values.dtype == np.float16 else to_grid(points)
        return points, (values != 0).any(axis=1)


@dataclass(frozen=True)
class GlobeSource:
    """Places by latitude and longitude, as x, y, z on the unit sphere.

    Raw degrees would put 179 degrees east and west far apart, and stretch the poles. One step of
    the grid is 0.4 m of the globe. Reads two columns of a part at a time.

    Attributes:
        samples: the artifact `samples`.
        names: attributes with latitude and longitude.
    """

    samples: Artifact
    names: tuple[str, str]

    @property
    def width(self) -> int:
        """x, y, z."""
        return 3

    def take(self, ids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return points and whether there is one; `ids` int64, ascending."""
        starts = self.samples.starts()
        cuts = np.searchsorted(ids, starts)
        points, there = np.zeros((len(ids), 3)), np.zeros(len(ids), bool)
        for number in np.flatnonzero(np.diff(cuts)):
            at = slice(cuts[number], cuts[number + 1])
            degrees = read_degrees(self.samples, self.samples.parts[number], self.names)
            points[at], there[at] = on_globe(*degrees[:, ids[at] - starts[number]])
        return points, there


def read_degrees(samples: Artifact, part: str, names: Sequence[str]) -> np.ndarray:
    """Return float64 [2, rows] of a part: latitude and longitude, NaN where one is missing.

    Raises:
        ConfigError: the corpus has no such attribute, or it holds no numbers.
    """
    columns = [ATTRIBUTE_PREFIX + name for name in names]
    with open_parquet(samples.file(part)) as file:
        found = {field.name: str(field.type) for field in file.schema_arrow}
    for name, column in zip(names, columns, strict=True):
        if found.get(column) != "double":
            known = [n.removeprefix(ATTRIBUTE_PREFIX) for n, t in found.items() if t == "double"]
            raise ConfigError(
                f"clusters by {name!r}: the corpus has no attribute of numbers with that name. "
                f"It has: {', '.join(known) or 'none'}. See corpus.fields.attributes."
            )
    table = samples.table(part, columns)
    return np.stack([table[column].to_numpy().astype(np.float64) for column in columns])


def on_globe(latitude: np.ndarray, longitude: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return float64 [n, 3] on the unit sphere, and bool [n]: whether the degrees are a place.

    A place has a latitude within +-90 and a finite longitude.
    """
    there = (np.abs(latitude) <= 90) & np.isfinite(longitude)
    up, around = np.radians(np.where(there, latitude, 0)), np.radians(np.where(there, longitude, 0))
    flat = np.cos(up)
    points = np.stack([flat * np.cos(around), flat * np.sin(around), np.sin(up)], axis=1)
    return np.where(there[:, None], to_grid(points), 0), there
