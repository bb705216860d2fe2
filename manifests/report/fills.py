"""One pass over `pairs`: how full the rows are, and which miners filled them."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np

from ..pairset import Pairset
from ..schema import NO_ID, list_matrix
from .rows import LowestDraws

FILLERS = ("random", "self_aug")
"""Miners that fill places which the others left empty."""


@dataclass(frozen=True)
class Side:
    """The positives or the negatives of all pair rows.

    Attributes:
        length: places of a row (P or K).
        filled: int64 [length + 1], rows by number of filled places.
        by_miner: id of a miner -> places that it filled, in config order.
        filler: places that a filler (random, self_aug) filled.
        only_filler: rows with something in them, all of it from fillers.
    """

    length: int
    filled: np.ndarray
    by_miner: dict[str, int]
    filler: int
    only_filler: int

    @property
    def places(self) -> int:
        """Filled places of all rows."""
        return sum(self.by_miner.values())

    @property
    def full_share(self) -> float:
        """Share of the rows that have no empty place."""
        rows = int(self.filled.sum())
        return float(self.filled[-1]) / rows if rows else 0.0

    @property
    def filler_share(self) -> float:
        """Share of the filled places that a filler filled."""
        return self.filler / self.places if self.places else 0.0


@dataclass(frozen=True)
class PairFacts:
    """What the pass found.

    Attributes:
        masking: rows with at least one false negative.
        masked: false negatives of all rows.
        splits: split -> rows.
        drawn: anchors in the order of a fair draw.
    """

    rows: int
    positives: Side
    negatives: Side
    masking: int
    masked: int
    splits: dict[str, int]
    drawn: list[int]


def scan_pairs(pairset: Pairset, drawn: int, seed: int) -> PairFacts:
    """Read `pairs` once, row group by row group; `drawn` anchors are drawn."""
    names = {item["id"]: item["miner"] for item in pairset.manifest["miners"]}
    kinds = [str(kind) for kind in pairset.manifest["kinds"]]
    fillers = np.array([code for code, kind in enumerate(kinds) if names.get(kind) in FILLERS])
    sides = {side: _Side(kinds, fillers) for side in ("positive", "negative")}
    draws = LowestDraws(drawn, seed, "report anchors")
    splits: Counter[str] = Counter()
    rows = masking = masked = 0
    columns = ["anchor_id", "false_negative_ids", "split"]
    columns += [f"{side}_{what}" for side in sides for what in ("ids", "kinds")]
    for table in pairset.tables("pairs", columns):
        if not table.num_rows:
            continue
        rows += table.num_rows
        draws.add(table["anchor_id"].to_numpy())
        splits.update(table["split"].to_pylist())
        false = (list_matrix(table["false_negative_ids"]) != NO_ID).sum(axis=1)
        masking += int((false > 0).sum())
        masked += int(false.sum())
        for side, seen in sides.items():
            seen.add(list_matrix(table[f"{side}_ids"]), list_matrix(table[f"{side}_kinds"]))
    positives, negatives = (seen.facts() for seen in sides.values())
    return PairFacts(
        rows, positives, negatives, masking, masked, dict(sorted(splits.items())), draws.ids
    )


class _Side:
    def __init__(self, names: list[str], fillers: np.ndarray) -> None:
        self._names = names
        self._fillers = fillers
        self._length = self._only = 0
        self._filled = np.zeros(1, np.int64)
        self._kinds = np.zeros(128, np.int64)

    def add(self, ids: np.ndarray, kinds: np.ndarray) -> None:
        self._length = ids.shape[1]
        taken = ids != NO_ID
        filled = np.bincount(taken.sum(axis=1), minlength=self._length + 1)
        self._filled = filled + (self._filled if len(self._filled) == len(filled) else 0)
        self._kinds += np.bincount(kinds[taken], minlength=128)
        mined = taken & ~np.isin(kinds, self._fillers)
        self._only += int((taken.any(axis=1) & ~mined.any(axis=1)).sum())

    def facts(self) -> Side:
        names = self._names
        by_miner = {
            names[code] if code < len(names) else f"kind {code}": int(self._kinds[code])
            for code in np.flatnonzero(self._kinds)
        }
        filler = int(self._kinds[self._fillers].sum()) if len(self._fillers) else 0
        return Side(self._length, self._filled, by_miner, filler, self._only)
