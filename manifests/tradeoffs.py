"""What a run traded for what: relevance against diversity, hardness against false negatives, skew.

Measured on a drawn sample of rows of `pairs`, from the files alone. Relevance is agreement of
labels, in a corpus without labels of captions; nothing is said where neither can judge.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from .agreement import Agreement, similarities
from .codes import encode
from .fingerprint import draw_uint64
from .pairset import Pairset
from .schema import ATTRIBUTE_PREFIX, NO_ID, Role, list_matrix
from .statistics import wilson_interval
from .tables import open_parquet
from .vectors import VectorStore

ANCHORS = 1024
"""Rows of `pairs` that are looked at."""
ROLES = (Role.POSITIVE, Role.NEGATIVE)


@dataclass(frozen=True)
class Judges:
    """What can say that two samples show the same thing.

    Attributes:
        labels: int32 [N] code of the first label, -1 without; all -1 where one label is all.
        captions: caption space and its cut, where there is one that can tell.
    """

    labels: np.ndarray
    captions: tuple[VectorStore, float] | None

    @property
    def source(self) -> str:
        """What judges: label, caption or unknown."""
        if (self.labels >= 0).any():
            return "label"
        return "caption" if self.captions else "unknown"

    def same(self, left: np.ndarray, right: np.ndarray) -> np.ndarray:
        """Return float [n]: 1 the same, 0 not, NaN where nothing can tell."""
        if self.source == "label":
            a, b = self.labels[left], self.labels[right]
            return np.where((a >= 0) & (b >= 0), (a == b).astype(float), np.nan)
        if self.captions is None:
            return np.full(len(left), np.nan)
        cosines = similarities(self.captions[0], left, right)
        return np.where(np.isnan(cosines), np.nan, (cosines >= self.captions[1]).astype(float))


def tradeoffs(pairset: Pairset, anchors: int = ANCHORS, seed: int = 0) -> dict[str, Any]:
    """Measure the trade-offs of a pairset.

    Held: 4 bytes a sample and text column, the drawn rows, and the vectors of one list at a time.

    Args:
        pairset: the pairset.
        anchors: rows of `pairs` that are drawn, fewer where there are fewer.
        seed: of the draw.

    Returns:
        JSON: anchors, space (in which distances are measured, or None), judge, positives and
        negatives (a list, one entry a miner: miner, places, relevant with low and high of its 95 %
        interval or None, judged, similarity, and for positives distance (mean 1 - cosine between
        two positives of an anchor) and effective_rank of its set with the anchor), skew (by text
        column: values, covered, gini of samples, of positives, of negatives).
    """
    rows = _draw(pairset, anchors, seed)
    columns = {name: _codes(pairset, name) for name in ("label", *_attributes(pairset))}
    judges = _judges(pairset, columns["label"])
    space = measuring_space(pairset)
    store = pairset.vectors(space) if space else None
    body: dict[str, Any] = {
        "anchors": len(rows.anchor),
        "space": space,
        "judge": judges.source,
    }
    kinds = list(pairset.manifest["kinds"])
    for role in ROLES:
        found = [
            _miner(name, rows.of(role, code), rows.anchor, judges, store, role)
            for code, name in enumerate(kinds)
        ]
        body[f"{role}s"] = [entry for entry in found if entry["places"]]
    body["skew"] = {
        name.removeprefix(ATTRIBUTE_PREFIX): _skew(codes, rows)
        for name, codes in columns.items()
        if (codes >= 0).any()
    }
    return body


def measuring_space(pairset: Pairset) -> str | None:
    """Return the space in which distances are measured: the first of images, else the first."""
    spaces = pairset.manifest["embeddings"]
    images = [name for name, entry in spaces.items() if entry["of"] == "image"]
    return next(iter([*images, *spaces]), None)


@dataclass(frozen=True)
class _Rows:
    """Drawn rows of `pairs`: anchors int64 [A]; by role ids int64 and kinds int8 [A, L]."""

    anchor: np.ndarray
    lists: Mapping[Role, tuple[np.ndarray, np.ndarray]]

    def of(self, role: Role, code: int | None = None) -> np.ndarray:
        """Return the ids of a list [A, L], -1 where another miner or nothing stands."""
        ids, kinds = self.lists[role]
        return ids if code is None else np.where(kinds == code, ids, NO_ID)


def _draw(pairset: Pairset, count: int, seed: int) -> _Rows:
    names = [f"{role}_{what}" for role in ROLES for what in ("ids", "kinds")]
    keys, parts = [np.zeros(0, np.uint64)], []
    for table in pairset.tables("pairs", ["pair_id", "anchor_id", *names]):
        keys.append(draw_uint64(seed, table["pair_id"].to_numpy(), "tradeoffs")[:, 0])
        best = np.argsort(np.concatenate(keys), kind="stable")[:count]
        arrays = [table["anchor_id"].to_numpy(), *(list_matrix(table[name]) for name in names)]
        joined = [np.concatenate(pair) for pair in zip(*parts, arrays, strict=True)]
        if not parts:
            joined = arrays
        keys, parts = [np.concatenate(keys)[best]], [[array[best] for array in joined]]
    anchor, *lists = parts[0] if parts else [np.zeros(0, np.int64), *[np.zeros((0, 0), int)] * 4]
    pairs = {role: (lists[2 * at], lists[2 * at + 1]) for at, role in enumerate(ROLES)}
    return _Rows(anchor, pairs)


def _attributes(pairset: Pairset) -> list[str]:
    known = pairset.manifest["attributes"]
    return [ATTRIBUTE_PREFIX + name for name, kind in sorted(known.items()) if kind == "string"]


def _codes(pairset: Pairset, column: str) -> np.ndarray:
    known: dict[str, int] = {}
    files = pairset.files("samples")
    with open_parquet(files[0]) as file:
        if column not in file.schema_arrow.names:
            return np.zeros(0, np.int32)

    def code(text: str | None) -> int:
        return NO_ID if text is None else known.setdefault(text, len(known))

    parts = [encode(t[column], code).astype(np.int32) for t in pairset.tables("samples", [column])]
    return np.concatenate([np.zeros(0, np.int32), *parts])


def _judges(pairset: Pairset, labels: np.ndarray) -> Judges:
    if labels.max(initial=NO_ID) > 0:
        return Judges(labels, None)
    for name, entry in pairset.manifest["embeddings"].items():
        if entry["of"] == "caption":
            store = pairset.vectors(name)
            cut = Agreement.of(store).cut
            return Judges(np.full_like(labels, NO_ID), None if cut is None else (store, cut))
    return Judges(np.full_like(labels, NO_ID), None)


def _miner(
    name: str,
    ids: np.ndarray,
    anchor: np.ndarray,
    judges: Judges,
    store: VectorStore | None,
    role: Role,
) -> dict[str, Any]:
    # The anchor as its own positive says nothing of other samples.
    ids = np.where(ids == anchor[:, None], NO_ID, ids)
    row, place = np.nonzero(ids != NO_ID)
    left, right = anchor[row], ids[row, place]
    same = judges.same(left, right)
    judged = ~np.isnan(same)
    trials, hits = int(judged.sum()), int(np.nansum(same))
    low, high = wilson_interval(hits, trials)
    cosines = np.zeros(0) if store is None else similarities(store, left, right)
    entry: dict[str, Any] = {
        "miner": name,
        "places": len(row),
        "judged": trials,
        "relevant": round(hits / trials, 6) if trials else None,
        "low": round(low, 6) if trials else None,
        "high": round(high, 6) if trials else None,
        "similarity": _mean(cosines),
    }
    if role is Role.POSITIVE and store is not None:
        spread = list(_spread(ids, anchor, store))
        entry["distance"] = _mean(np.array([distance for distance, _ in spread]))
        entry["effective_rank"] = _mean(np.array([rank for _, rank in spread]))
    return entry


def _mean(values: np.ndarray) -> float | None:
    known = values[~np.isnan(values)]
    return round(float(known.mean()), 4) if len(known) else None


def _spread(
    ids: np.ndarray, anchor: np.ndarray, store: VectorStore
) -> Iterator[tuple[float, float]]:
    """Yield mean distance and effective rank of each anchor's set that has two others or more."""
    for own, listed in zip(anchor, ids, strict=True):
        others = listed[listed != NO_ID]
        if len(others) < 2:
            continue
        vectors = store.rows(np.append(own, others)).astype(np.float64)
        vectors = vectors[vectors.any(axis=1)]
        if len(vectors) < 3:
            continue
        products = vectors[1:] @ vectors[1:].T
        pairs = np.triu_indices(len(products), 1)
        yield float(1 - products[pairs].mean()), effective_rank(vectors)


def effective_rank(vectors: np.ndarray) -> float:
    """Return exp of the entropy of the normalised singular values (Roy, Vetterli 2007, eq. 4).

    Args:
        vectors: float64 [n, d], n >= 1, not all zero.

    Returns:
        1 where all point the same way, up to min(n, d).
    """
    values = np.linalg.svd(vectors, compute_uv=False)
    shares = values[values > 1e-12] / values.sum()
    return float(np.exp(-(shares * np.log(shares)).sum()))


def gini(counts: np.ndarray) -> float:
    """Return how uneven counts are (Gini 1912): 0 all equal, towards 1 all in one place.

    Args:
        counts: int or float [n] >= 0.
    """
    total = counts.sum()
    if not len(counts) or total == 0:
        return 0.0
    ordered = np.sort(counts.astype(np.float64))
    rank = np.arange(1, len(ordered) + 1)
    return float((2 * rank - len(ordered) - 1) @ ordered / (len(ordered) * total))


def _skew(codes: np.ndarray, rows: _Rows) -> dict[str, Any]:
    values = int(codes.max()) + 1

    def uneven(ids: np.ndarray) -> float:
        used = codes[ids[ids != NO_ID]]
        return round(gini(np.bincount(used[used >= 0], minlength=values)), 4)

    return {
        "values": values,
        "covered": round(float((codes >= 0).mean()), 6),
        "gini_samples": round(gini(np.bincount(codes[codes >= 0], minlength=values)), 4),
        "gini_positives": uneven(rows.of(Role.POSITIVE)),
        "gini_negatives": uneven(rows.of(Role.NEGATIVE)),
    }
