"""Folding of equal rows, and splits as codes."""

from __future__ import annotations

import numpy as np
from vector_corpus import clustered, unit

from curate.manifests.vectors import Rows
from curate.stages.neighbors import folds as module
from curate.stages.neighbors.folds import first_equal, fold, split_codes


def rows_of(corpus, values):
    return Rows.of(corpus.vectors(values))


def test_first_equal_names_the_first_copy(corpus):
    rng = np.random.default_rng(0)
    base = unit(rng.normal(size=(40, 7)))
    values = base[rng.integers(0, 40, 500)]
    values[[3, 100]] = 0
    first = first_equal(rows_of(corpus, values))
    seen: dict[bytes, int] = {}
    for row, vector in enumerate(values):
        want = seen.setdefault(vector.tobytes(), row) if vector.any() else -1
        assert first[row] == want


def test_hash_collisions_do_not_fold_different_rows(corpus, monkeypatch):
    monkeypatch.setattr(module, "_hash", lambda block: np.zeros(len(block), np.uint64))
    values = clustered(1, 50)
    values[40:] = values[0]
    first = first_equal(rows_of(corpus, values))
    np.testing.assert_array_equal(first, [*range(40), *[0] * 10])


def test_folds_keep_splits_and_groups_apart():
    first = np.array([0, 0, 0, 3, -1, 3, 0])
    splits = np.array([0, 1, 0, 0, 0, 0, 1], np.int32)
    folds = fold(None, first, splits)  # pyright: ignore[reportArgumentType]
    assert {code: pool.ids.tolist() for code, pool in folds.pools.items()} == {0: [0, 3], 1: [1]}
    groups = np.array([0, 1, 2, 3, 4, 3, 1])
    folds = fold(None, first, splits, groups)  # pyright: ignore[reportArgumentType]
    assert folds.pools[0].ids.tolist() == [0, 2, 3]
    assert folds.pools[1].ids.tolist() == [1]


def test_unfold_lists_members_by_id_without_the_anchor():
    first = np.array([0, 1, 0, 0, 1, 5])
    folds = fold(None, first, np.zeros(6, np.int32))  # pyright: ignore[reportArgumentType]
    ids = np.array([[0, 1, 5, -1], [5, 1, -1, -1]])
    sims = np.array([[1, 0.5, 0.2, 0], [1, 0.5, 0, 0]], np.float32)
    got, values = folds.unfold(ids, sims, np.array([2, 5]), 3)
    assert got.tolist() == [[0, 3, 1], [1, 4, -1]]
    assert values.tolist() == [[1, 1, 0.5], [0.5, 0.5, 0]]


def test_split_codes_follow_first_appearance(corpus):
    names = [["b", "a", ""][i % 3] for i in range(250)]
    np.testing.assert_array_equal(split_codes(corpus.samples(250, names)), np.arange(250) % 3)
