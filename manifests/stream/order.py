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
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ..errors import UsageError
from ..schema import ORDER
from ..tables import ROW_GROUP_ROWS

_ROUNDS = 4


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


MODES = ("block", "global", "plan")
"""Names of orders."""


@dataclass(frozen=True)
class OrderSettings:
    """Which order a stream has, with all that decides it but seed, epoch and count.

    Attributes:
        mode: one of `MODES`.
        window: blocks of a window of mode "block".
        plan: name of the plan of mode "plan".
        size: pairs of a batch of the plan.

    Raises:
        UsageError: settings that do not fit each other.
    """

    mode: str = "global"
    window: int = 64
    plan: str | None = None
    size: int = 1

    def __post_init__(self) -> None:
        if self.mode not in MODES:
            raise UsageError(f"order={self.mode!r} is not known; allowed: {', '.join(MODES)}.")
        if self.window < 1:
            raise UsageError(f"window={self.window} must be at least 1.")
        if (self.mode == "plan") != (self.plan is not None):
            raise UsageError("order='plan' and plan=NAME go together: give both or none.")

    @property
    def name(self) -> str:
        """The order as states name it: global, block:64, plan:b3."""
        detail = {"block": str(self.window), "plan": self.plan}.get(self.mode)
        return f"{self.mode}:{detail}" if detail else self.mode

    def of(self, seed: int, epoch: int, count: int) -> Order:
        """Return the order of one epoch."""
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


def _feistel(values: np.ndarray, half: np.uint64, keys: np.ndarray) -> np.ndarray:
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
