"""The order of an epoch as a pure function: position -> ordinal, with no array of the epoch.

A position is a place in the epoch, an ordinal is a row of the table that is walked. Both run over
0..n-1, and the function is a bijection, so each pair is met once an epoch; any position can be
asked for alone, so a resumed stream, or one with another number of ranks and workers, starts
anywhere at once.

`feistel4-v1` is a balanced Feistel network of four rounds (Luby, Rackoff 1988: with random round
functions four rounds are indistinguishable from a random permutation) on the smallest even number
of bits that holds n, with cycle walking down to n (Black, Rogaway 2002). The domain is less than
four times n, so four evaluations a position are expected at most. The four round keys are the
blake2b hash of (seed, epoch), never their sum: (seed 1, epoch 1) and (seed 2, epoch 0) differ.
The name stands in states and manifests; another algorithm gets another name.
"""

from __future__ import annotations

import abc
import hashlib
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from ..errors import UsageError
from ..schema import ORDER
from ..tables import ROW_GROUP_ROWS

_ROUNDS = 4
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


@dataclass(frozen=True)
class Order(abc.ABC):
    """The order in which one epoch walks `count` rows.

    Attributes:
        seed: the stream's seed.
        epoch: 0, 1, ...
        count: rows of the epoch.
    """

    seed: int
    epoch: int
    count: int

    @abc.abstractmethod
    def ordinals(self, positions: np.ndarray) -> np.ndarray:
        """Return the ordinal at each position.

        Args:
            positions: int64, any shape, each in 0..count-1.

        Returns:
            int64 of the same shape, each in 0..count-1.
        """


class GlobalOrder(Order):
    """All rows are shuffled over the whole epoch."""

    def ordinals(self, positions: np.ndarray) -> np.ndarray:
        """Return int64 ordinals, any shape; see `Order.ordinals`."""
        return permute(positions, self.count, round_keys(self.seed, self.epoch, "global"))


@dataclass(frozen=True)
class BlockOrder(Order):
    """Blocks of consecutive rows are shuffled, then the rows within windows of some blocks.

    A batch reads from few places of the disk: from one window of `window` x `block_rows` rows.

    Attributes:
        window: blocks of a window.
        block_rows: rows of a block; a row group of `pairs`.
    """

    window: int = 64
    block_rows: int = ROW_GROUP_ROWS

    @cached_property
    def _blocks(self) -> tuple[np.ndarray, np.ndarray]:
        """The blocks in their order int64 [n], and where each starts, and the end, int64 [n+1]."""
        many = -(-self.count // self.block_rows)
        blocks = permute(np.arange(many), many, round_keys(self.seed, self.epoch, "block"))
        sizes = np.minimum(self.count - blocks * self.block_rows, self.block_rows)
        return blocks, np.concatenate([[0], np.cumsum(sizes)])

    def ordinals(self, positions: np.ndarray) -> np.ndarray:
        """Return int64 ordinals, any shape; see `Order.ordinals`."""
        blocks, starts = self._blocks
        edges = np.append(starts[: -1 : self.window], self.count)
        inside = np.asarray(positions, np.int64)
        windows = np.searchsorted(edges, inside, side="right") - 1
        moved = np.empty_like(inside)
        for window in np.unique(windows).tolist():
            mine = windows == window
            first, size = int(edges[window]), int(edges[window + 1] - edges[window])
            keys = round_keys(self.seed, self.epoch, f"window/{window}")
            moved[mine] = first + permute(inside[mine] - first, size, keys)
        at = np.searchsorted(starts, moved, side="right") - 1
        return blocks[at] * self.block_rows + moved - starts[at]


@dataclass(frozen=True)
class PlanOrder(Order):
    """Whole batches are shuffled; what a batch holds is the plan's affair.

    Attributes:
        size: rows of a batch; divides `count`.
    """

    size: int = 1

    def ordinals(self, positions: np.ndarray) -> np.ndarray:
        """Return int64 ordinals, any shape; see `Order.ordinals`."""
        batch, slot = np.divmod(np.asarray(positions, np.int64), self.size)
        keys = round_keys(self.seed, self.epoch, "plan")
        return permute(batch, self.count // self.size, keys) * self.size + slot


@dataclass(frozen=True)
class ClusterOrder(Order):
    """Runs of pairs of one cluster are shuffled: a batch is made of a few runs.

    The rows that are walked lie sorted by cluster. Each epoch shuffles the rows of every cluster
    among themselves and cuts the cluster into runs of `size`. What is left over of all clusters,
    less than a run of each, is laid end to end, turned by a drawn number of rows and cut likewise.
    The runs are shuffled; what is left of the last cut comes last, other rows each epoch.

    Attributes:
        size: rows of a run.
        starts: int64 [C + 1], where each cluster starts among the rows, and the end.
    """

    size: int = 1
    starts: np.ndarray = field(default_factory=lambda: np.zeros(1, np.int64), compare=False)

    @cached_property
    def _cuts(self) -> tuple[np.ndarray, np.ndarray]:
        """Runs, and left-over rows, of the clusters before each and of all, int64 [C + 1] each."""
        runs, left = np.divmod(np.diff(self.starts), self.size)
        return np.concatenate([[0], np.cumsum(runs)]), np.concatenate([[0], np.cumsum(left)])

    def ordinals(self, positions: np.ndarray) -> np.ndarray:
        """Return int64 ordinals, any shape; see `Order.ordinals`."""
        run, slot = np.divmod(np.asarray(positions, np.int64), self.size)
        runs = self.count // self.size
        full = run < runs
        moved = run.copy()
        moved[full] = permute(run[full], runs, round_keys(self.seed, self.epoch, "run"))
        cluster, inside = self._place(moved, slot)
        base = round_keys(self.seed, self.epoch, "cluster").reshape(-1, *[1] * cluster.ndim)
        with np.errstate(over="ignore"):
            keys = _mix(base + cluster.astype(np.uint64) * _GOLDEN)
        first = self.starts[cluster]
        return first + permute_each(inside, self.starts[cluster + 1] - first, keys)

    def _place(self, run: np.ndarray, slot: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the cluster of a place in a run, and the place in the cluster."""
        runs, left = self._cuts
        turn = int(round_keys(self.seed, self.epoch, "turn")[0]) % max(int(left[-1]), 1)
        rest = ((run - runs[-1]) * self.size + slot + turn) % max(int(left[-1]), 1)
        own = np.searchsorted(runs, run, side="right") - 1
        pooled = np.searchsorted(left, rest, side="right") - 1
        cluster = np.where(run < runs[-1], own, pooled)
        count = runs[cluster + 1] - runs[cluster]
        inside = np.where(
            run < runs[-1],
            (run - runs[cluster]) * self.size + slot,
            count * self.size + rest - left[cluster],
        )
        return cluster, inside


MODES = ("block", "clusters", "global", "plan")
"""Names of orders."""


@dataclass(frozen=True)
class OrderSettings:
    """Which order a stream has, with all that decides it but seed, epoch and count.

    Attributes:
        mode: one of `MODES`.
        window: blocks of a window of mode "block".
        plan: name of the plan of mode "plan".
        size: pairs of a global batch.
        clusters: runs of one cluster in a batch of mode "clusters"; divides `size`.

    Raises:
        UsageError: settings that do not fit each other.
    """

    mode: str = "global"
    window: int = 64
    plan: str | None = None
    size: int = 1
    clusters: int | None = None

    def __post_init__(self) -> None:
        if self.mode not in MODES:
            raise UsageError(f"order={self.mode!r} is not known; allowed: {', '.join(MODES)}.")
        if self.window < 1:
            raise UsageError(f"window={self.window} must be at least 1.")
        if (self.mode == "plan") != (self.plan is not None):
            raise UsageError("order='plan' and plan=NAME go together: give both or none.")
        if (self.mode == "clusters") != (self.clusters is not None):
            raise UsageError(
                "order='clusters' and clusters=NUMBER (of a batch) go together: give both or none."
            )
        if self.clusters is not None and (self.clusters < 1 or self.size % self.clusters):
            raise UsageError(
                f"clusters={self.clusters} must divide batch_size={self.size}: a batch is made of "
                "that many runs of pairs of one cluster."
            )

    @property
    def name(self) -> str:
        """The order as states name it: global, block:64, plan:b3, clusters:16x32 (pairs)."""
        run = f"{self.clusters}x{self.size // (self.clusters or 1)}"
        detail = {"block": str(self.window), "plan": self.plan, "clusters": run}.get(self.mode)
        return f"{self.mode}:{detail}" if detail else self.mode

    def of(self, seed: int, epoch: int, count: int, starts: np.ndarray | None = None) -> Order:
        """Return the order of one epoch; `starts` are those of `ClusterOrder`."""
        if self.mode == "clusters" and self.clusters is not None and starts is not None:
            return ClusterOrder(seed, epoch, count, self.size // self.clusters, starts)
        if self.mode == "block":
            return BlockOrder(seed, epoch, count, self.window)
        if self.mode == "plan":
            return PlanOrder(seed, epoch, count, self.size)
        return GlobalOrder(seed, epoch, count)


def round_keys(seed: int, epoch: int, purpose: str) -> np.ndarray:
    """Return uint64 [4]: the round keys of a (seed, epoch), apart for every purpose."""
    text = f"{ORDER}/{purpose}/{seed}/{epoch}".encode()
    return np.frombuffer(hashlib.blake2b(text, digest_size=8 * _ROUNDS).digest(), "<u8")


def permute(positions: np.ndarray, count: int, keys: np.ndarray) -> np.ndarray:
    """Permute 0..count-1 at the given positions.

    Args:
        positions: int64, any shape, each in 0..count-1.
        count: size of the permuted range.
        keys: uint64 [4]; equal keys give the equal permutation.

    Returns:
        int64 of the same shape.

    Raises:
        ValueError: a position is outside the range.
    """
    values = np.asarray(positions, np.int64)
    if values.size and (values.min() < 0 or values.max() >= count):
        raise ValueError(f"positions must be in 0..{count - 1}")
    half = np.uint64(max(1, ((count - 1).bit_length() + 1) // 2))
    flat = _feistel(values.reshape(-1).astype(np.uint64), half, keys)
    outside = np.flatnonzero(flat >= count)
    while outside.size:
        flat[outside] = _feistel(flat[outside], half, keys)
        outside = outside[flat[outside] >= count]
    return flat.astype(np.int64).reshape(values.shape)


def permute_each(positions: np.ndarray, counts: np.ndarray, keys: np.ndarray) -> np.ndarray:
    """Permute each position within a range of its own.

    Args:
        positions: int64, any shape, each in 0..count-1.
        counts: int64 of the same shape, size of the range of each, below 2^53.
        keys: uint64 [4, *shape]; equal keys and counts give the equal permutation.

    Returns:
        int64 of the same shape.
    """
    values, sizes = positions.reshape(-1).astype(np.uint64), counts.reshape(-1)
    keys = keys.reshape(len(keys), -1)
    # The exponent of a float is the number of bits of the integer in it.
    half = np.maximum((np.frexp(sizes - 1)[1] + 1) // 2, 1).astype(np.uint64)
    flat = _feistel(values, half, keys)
    outside = np.flatnonzero(flat >= sizes.astype(np.uint64))
    while outside.size:
        flat[outside] = _feistel(flat[outside], half[outside], keys[:, outside])
        outside = outside[flat[outside] >= sizes[outside].astype(np.uint64)]
    return flat.astype(np.int64).reshape(positions.shape)


def _feistel(values: np.ndarray, half: Any, keys: np.ndarray) -> np.ndarray:
    mask = (np.uint64(1) << half) - np.uint64(1)
    left, right = values >> half, values & mask
    for key in keys:
        left, right = right, left ^ (_mix(right ^ key) & mask)
    return (left << half) | right


def _mix(x: np.ndarray) -> np.ndarray:
    # SplitMix64's finaliser, copied on purpose: `feistel4-v1` must never change with another file.
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))
