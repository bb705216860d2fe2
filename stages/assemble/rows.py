"""Which of an anchor's edges stand in its row: lists of fixed length, chosen without loops."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields

import numpy as np
import pyarrow as pa

from ...manifests.schema import NO_ID, PADDING_KIND, Role
from .table import EdgeRows


@dataclass(frozen=True)
class Chosen:
    """One list of every row, all [A, L].

    Attributes:
        ids: int64.
        scores: float32.
        weights: float32.
        kinds: int8.
        valid_from: float32, training progress from which an entry holds; 0 in empty places.
    """

    ids: np.ndarray
    scores: np.ndarray
    weights: np.ndarray
    kinds: np.ndarray
    valid_from: np.ndarray

    @classmethod
    def of_rows(cls, rows: EdgeRows, shape: tuple[int, int]) -> Chosen:
        """Put edges in their places: the i-th edge of an anchor in column i."""
        at = (rows.anchors, place_in_row(rows.anchors, shape[0]))
        ids = np.full(shape, NO_ID, np.int64)
        scores, weights = np.zeros(shape, np.float32), np.zeros(shape, np.float32)
        kinds = np.full(shape, PADDING_KIND, np.int8)
        ids[at], kinds[at] = rows.others, rows.kinds
        scores[at], weights[at] = np.nan_to_num(rows.scores, nan=0.0), rows.weights
        valid_from = np.zeros(shape, np.float32)
        valid_from[at] = rows.valid_from
        return cls(ids, scores, weights, kinds, valid_from)

    def of(self, rows: np.ndarray) -> Chosen:
        """Return the lists of some anchors."""
        return Chosen(*(getattr(self, item.name)[rows] for item in fields(self)))

    def shares(self) -> np.ndarray:
        """Return weights that sum to 1 in each row; equal ones where all are zero."""
        there = self.ids != NO_ID
        weights = np.where(there, self.weights.astype(np.float64), 0)
        total = weights.sum(axis=1, keepdims=True)
        weights = np.where(total > 0, weights, there)
        total = weights.sum(axis=1, keepdims=True)
        return (weights / np.maximum(total, np.finfo(np.float64).tiny)).astype(np.float32)


@dataclass(frozen=True)
class Lists:
    """The lists of every anchor, and how much did not fit.

    Attributes:
        soft: samples of the soft target, their share as weight.
        texts: int64 [A, T], rows of the table of edges whose text is a negative caption; -1 fill.
        assets: int64 [A, assets], rows of the table of edges whose asset is a positive; -1 fill.
        miners: int64 [edges], position of the miner of each row of the table of edges.
        overflow: positive_overflow, negative_overflow, negatives_dropped, fn_truncated.
    """

    positives: Chosen
    negatives: Chosen
    false_negatives: Chosen
    soft: Chosen
    texts: np.ndarray
    assets: np.ndarray
    miners: np.ndarray
    overflow: dict[str, int] = field(default_factory=dict)

    def of(self, rows: np.ndarray) -> Lists:
        """Return the lists of some anchors."""
        return Lists(
            self.positives.of(rows),
            self.negatives.of(rows),
            self.false_negatives.of(rows),
            self.soft.of(rows),
            self.texts[rows],
            self.assets[rows],
            self.miners,
            self.overflow,
        )

    def rules(self, names: Sequence[str]) -> pa.Array:
        """Name the miners of each row: positives, negatives, false negatives.

        Those of generated positives and of hard captions are named with the others of their role.

        Returns:
            Strings such as "knn+label|hard+random|topk_threshold".
        """
        lists = (
            np.concatenate([self.positives.kinds, self._miners_of(self.assets)], axis=1),
            np.concatenate([self.negatives.kinds, self._miners_of(self.texts)], axis=1),
            self.false_negatives.kinds,
        )
        used = np.concatenate([_used(kinds, len(names)) for kinds in lists], axis=1)
        packed = np.packbits(used, axis=1)
        _, first, code = np.unique(packed, axis=0, return_index=True, return_inverse=True)
        texts = [_rule(row, names) for row in used[first]]
        return pa.array(texts, pa.string()).take(pa.array(code.reshape(-1)))

    def _miners_of(self, rows: np.ndarray) -> np.ndarray:
        # NO_ID is -1, so an empty place looks at what is appended.
        return np.append(self.miners, PADDING_KIND)[rows]


def _used(kinds: np.ndarray, count: int) -> np.ndarray:
    """Say which miners stand in each list, bool [A, miners]."""
    used = np.zeros((len(kinds), count), bool)
    row, place = np.nonzero(kinds != PADDING_KIND)
    used[row, kinds[row, place]] = True
    return used


def _rule(used: np.ndarray, names: Sequence[str]) -> str:
    lists = used.reshape(3, len(names))
    return "|".join("+".join(n for n, u in zip(names, one, strict=True) if u) for one in lists)


def place_in_row(anchors: np.ndarray, count: int) -> np.ndarray:
    """Return the place of each edge among those of its anchor; anchors int64 [n], ascending."""
    counts = np.bincount(anchors, minlength=count)
    return np.arange(len(anchors)) - np.repeat(np.cumsum(counts) - counts, counts)


@dataclass(frozen=True)
class Lengths:
    """How long the lists of a row are: the entries P, K, F, S, T, A of the manifest's `counts`."""

    positives: int
    negatives: int
    false_negatives: int
    soft: int = 0
    texts: int = 0
    assets: int = 0


def choose_lists(rows: EdgeRows, anchors: np.ndarray, lengths: Lengths) -> Lists:
    """Choose the lists of every anchor of a part.

    Args:
        rows: all edges of the part, sorted.
        anchors: int64 [A], sample ids of the part.
        lengths: of the lists.
    """
    count, p, k, f = len(anchors), lengths.positives, lengths.negatives, lengths.false_negatives
    positives = _distinct(rows.with_role(Role.POSITIVE))
    false = _distinct(_nearest_first(rows.with_role(Role.FALSE_NEGATIVE)))
    mined = _distinct(rows.with_role(Role.NEGATIVE))
    masked = np.concatenate([_keys(positives), _keys(false)])
    negatives = mined.at(np.flatnonzero(~np.isin(_keys(mined), masked)))
    s = lengths.soft
    chosen, left_out = _first(positives, p, count)
    other = left_out.at(np.flatnonzero(left_out.others != anchors[left_out.anchors]))
    offered = _distinct(_joined(false, other))
    kept, beyond = _first(offered, f, count)
    negatives_kept, negatives_left = _first(negatives, k, count)
    return Lists(
        Chosen.of_rows(chosen, (count, p)),
        Chosen.of_rows(negatives_kept, (count, k)),
        Chosen.of_rows(_by_id(kept), (count, f)),
        Chosen.of_rows(_first(_distinct(rows.with_role(Role.SOFT)), s, count)[0], (count, s)),
        _table_rows(rows.with_text(), (count, lengths.texts)),
        _table_rows(rows.with_asset(), (count, lengths.assets)),
        rows.kinds,
        {
            "positive_overflow": len(left_out.anchors),
            "negative_overflow": len(negatives_left.anchors),
            "negatives_dropped": len(mined.anchors) - len(negatives.anchors),
            "fn_truncated": len(beyond.anchors),
        },
    )


def _table_rows(rows: EdgeRows, shape: tuple[int, int]) -> np.ndarray:
    kept, _ = _first(rows, shape[1], shape[0])
    out = np.full(shape, NO_ID, np.int64)
    out[kept.anchors, place_in_row(kept.anchors, shape[0])] = kept.rows
    return out


def _keys(rows: EdgeRows) -> np.ndarray:
    """Return one number a pair (anchor, other); ids stay below 2^40, parts below 2^22 rows."""
    return (rows.anchors << 40) | rows.others


def _distinct(rows: EdgeRows) -> EdgeRows:
    """Keep the first edge of every pair, in order."""
    first = np.unique(_keys(rows), return_index=True)[1]
    return rows.at(np.sort(first))


def _nearest_first(rows: EdgeRows) -> EdgeRows:
    """Sort by anchor, then by falling similarity (none last), then by id."""
    falling = -np.nan_to_num(rows.scores, nan=-np.inf)
    return rows.at(np.lexsort((rows.others, falling, rows.anchors)))


def _by_id(rows: EdgeRows) -> EdgeRows:
    return rows.at(np.lexsort((rows.others, rows.anchors)))


def _joined(first: EdgeRows, then: EdgeRows) -> EdgeRows:
    """Put two tables one below the other and sort by anchor; `first` stays first."""
    names = [item.name for item in fields(EdgeRows)]
    both = EdgeRows(*(np.concatenate([getattr(first, n), getattr(then, n)]) for n in names))
    return both.at(np.argsort(both.anchors, kind="stable"))


def _first(rows: EdgeRows, length: int, count: int) -> tuple[EdgeRows, EdgeRows]:
    """Split edges into the first `length` of each anchor and the rest."""
    place = place_in_row(rows.anchors, count)
    return rows.at(np.flatnonzero(place < length)), rows.at(np.flatnonzero(place >= length))
