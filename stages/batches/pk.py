"""`pk`: P classes by K samples in each batch (SupCon; terrain clusters; triplets)."""

from __future__ import annotations

from typing import Any

import numpy as np
from pydantic import Field

from ...manifests.errors import DataError
from ...manifests.fingerprint import draw_uint64
from .base import Batches, Planner, Pool


class Pk(Planner):
    """Every batch holds exactly K rows of each of P classes, and all classes come equally often.

    Used by Khosla et al., "Supervised Contrastive Learning", 2020, for its positives, by
    triplet losses (Hermans et al. 2017, P x K batches), and by Panambur et al. 2022 (all
    clusters, four samples each). Fidelity: exact.

    A batch takes the P classes that were taken least so far, at random among equals, so uses of
    two classes differ by one at most. Members of a class come in turns, in a random order. A
    class that has fewer members than its turns is over-sampled, a large one is not used up:
    balance has that price, and the facts say how much of it. P is size / K, or the number of
    classes where there are fewer; the size of the plan is then P x K.

    Traps: rows without a class are left out. A class with fewer than K members stands with
    repeats in a batch; the trainer's mask keeps a row from being its own negative.

    Facts: classes, samples (K), classes_a_batch (P), class_uses (least, most), row_uses_most,
    oversampled (uses of a row after its first), classes_below_k, without_class.
    """

    paper = "Khosla et al., Supervised Contrastive Learning, 2020"
    row_bytes = 72

    size: int = Field(default=256, ge=4)
    """Pairs of a batch, at most."""
    by: str = "label"
    """What the classes are: "label" (the first of a sample's labels), "cluster_id", "group_id" or
    an attribute column such as "attr_camera"."""
    samples: int = Field(default=4, ge=2)
    """K: rows of a class in a batch."""

    @property
    def columns(self) -> tuple[str, ...]:
        """The column of the classes."""
        return (self.by,)

    @property
    def repeats(self) -> bool:
        """Rows of small classes come back."""
        return True

    def compose(self, pool: Pool) -> Batches:
        """Deal classes into batches, then members into classes.

        Raises:
            DataError: there are not two classes.
        """
        codes, counts = np.unique(pool.columns[self.by], return_counts=True)
        counts = counts[codes >= 0]
        if len(counts) < 2:
            raise DataError(
                f"planner pk: {self.by!r} has {len(counts)} classes here; P x K batches need two "
                "or more. Name another column with `by`."
            )
        classes_a_batch = max(min(self.size // self.samples, len(counts)), 2)
        size = classes_a_batch * self.samples
        classes = deal(len(counts), classes_a_batch, len(pool) // size, pool.seed)
        places = self._members(pool, classes, counts)
        return Batches(places, self._facts(pool, classes, counts, places))

    def _members(self, pool: Pool, classes: np.ndarray, counts: np.ndarray) -> np.ndarray:
        """Return int64 [batches, P x K]: the next K members of each class in its turn."""
        shuffled = pool.shuffled("batches/pk")
        codes = pool.columns[self.by][shuffled]
        order = shuffled[np.argsort(codes, kind="stable")]
        starts = int((codes < 0).sum()) + np.cumsum(counts) - counts
        flat = classes.reshape(-1)
        by_class = np.argsort(flat, kind="stable")
        turn = np.empty(len(flat), np.int64)
        turn[by_class] = np.arange(len(flat)) - np.searchsorted(flat[by_class], flat[by_class])
        step = (turn[:, None] * self.samples + np.arange(self.samples)) % counts[flat][:, None]
        wide = classes.shape[1] * self.samples
        return order[starts[flat][:, None] + step].reshape(len(classes), wide)

    def _facts(
        self, pool: Pool, classes: np.ndarray, counts: np.ndarray, places: np.ndarray
    ) -> dict[str, Any]:
        uses = np.bincount(classes.reshape(-1), minlength=len(counts))
        row_uses = np.bincount(places.reshape(-1), minlength=len(pool))
        return {
            "classes": len(counts),
            "samples": self.samples,
            "classes_a_batch": classes.shape[1],
            "class_uses": [int(uses.min()), int(uses.max())],
            "row_uses_most": int(row_uses.max(initial=0)),
            "oversampled": int(np.maximum(row_uses - 1, 0).sum()),
            "classes_below_k": int((counts < self.samples).sum()),
            "without_class": int((pool.columns[self.by] < 0).sum()),
        }


def deal(classes: int, width: int, batches: int, seed: int) -> np.ndarray:
    """Deal classes into batches so that each batch has `width` different ones, evenly used.

    Rounds of all classes are dealt one after the other; where a batch ends one round and begins
    the next, the next one starts with classes that the batch does not hold yet.

    Returns:
        int64 [batches, width].
    """
    dealt = np.zeros(0, np.int64)
    rounds = -(-batches * width // classes)
    numbers = np.arange(classes)
    parts = []
    for number in range(rounds):
        lot = draw_uint64(seed, numbers, f"batches/pk/{number}")[:, 0]
        begun = dealt[len(dealt) - (number * classes) % width :] if number else dealt
        held = np.isin(numbers, begun)
        order = np.lexsort((lot, held))
        dealt = np.concatenate([dealt, order])[-width:] if number else order
        parts.append(order)
    flat = np.concatenate([np.zeros(0, np.int64), *parts])
    return flat[: batches * width].reshape(batches, width)
