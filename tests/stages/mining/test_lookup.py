"""Indexes, sets and draws against loops over plain Python sets."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pyarrow as pa
import pytest

from curate.manifests.errors import ConfigError
from curate.manifests.fingerprint import draw_uniform
from curate.manifests.sampling import draw_distinct
from curate.stages.mining.columns import Columns, codes_of, label_sets
from curate.stages.mining.lookup import Pool


def columns(n=60, seed=0):
    rng = np.random.default_rng(seed)
    coded = {
        "label": rng.integers(-1, 4, n).astype(np.int32),
        "split": rng.integers(0, 2, n).astype(np.int32),
        "group_id": (np.arange(n) // 2 * 2).astype(np.int32),
    }
    lists = [[f"t{t}" for t in rng.integers(0, 6, rng.integers(0, 4))] for _ in range(n)]
    encoded = pa.array(lists, pa.list_(pa.string()))
    values = encoded.flatten().dictionary_encode()
    sets = label_sets([pa.ListArray.from_arrays(encoded.offsets, values)])
    return Columns(n, coded, {"labels": sets}), lists


def test_runs_hold_exactly_the_rows_that_agree():
    found, _ = columns()
    index = found.rows_with("label", "split", "group_id")
    label, split, group = (found.coded[c] for c in ("label", "split", "group_id"))
    ids = np.arange(found.count)
    for depth in (1, 2, 3):
        start, stop = index.run(ids, depth)
        for i in ids:
            same = label == label[i]
            same &= (split == split[i]) | (depth < 2)
            same &= (group == group[i]) | (depth < 3)
            expected = np.flatnonzero(same) if label[i] >= 0 else []
            assert sorted(index.order[start[i] : stop[i]]) == list(expected)
    assert index.run(np.array([-1]), 1) == (np.array([0]), np.array([0]))


def test_sets_equal_python_sets():
    found, lists = columns()
    sets = found.sets("labels")
    anchors, others = np.arange(60), np.random.default_rng(1).integers(-1, 60, (60, 7))
    shared, jaccard = sets.shared(anchors, others), sets.jaccard(anchors, others)
    for i in range(60):
        for k, j in enumerate(others[i]):
            a, b = set(lists[i]), set(lists[j]) if j >= 0 else set()
            assert shared[i, k] == len(a & b)
            assert jaccard[i, k] == pytest.approx(len(a & b) / max(len(a | b), 1))


def test_pools_number_what_is_left_and_back():
    found, lists = columns()
    split, group = found.coded["split"], found.coded["group_id"]
    index = found.rows_with("labels", "split", "group_id")
    pool = Pool.around(index, found.sets("labels").entries(np.arange(60)), depth=2)
    for i in range(60):
        ids = pool.of(np.array([i])).ids(np.arange(pool.sizes[i])[None])[0]
        expected = [
            j
            for t in sorted(set(lists[i]))
            for j in range(60)
            if t in lists[j] and split[i] == split[j] and group[i] != group[j]
        ]
        assert sorted(ids) == sorted(expected)
    index = found.rows_with("split", "group_id")
    pool = Pool.around(index, np.arange(60)[:, None], depth=1)
    every = np.tile(np.arange(-1, 60), (60, 1))
    places = pool.places(every)
    allowed = (split[:, None] == split) & (group[:, None] != group)
    assert ((places[:, 1:] >= 0) == allowed).all()
    assert (pool.ids(places)[places >= 0] == every[places >= 0]).all()


def test_every_ordered_draw_is_equally_likely():
    rows = np.arange(24_000)
    uniform = draw_uniform(5, rows, "test", 2)
    drawn = draw_distinct(uniform, np.full(len(rows), 6), np.tile([[1, -1, 4, 1]], (len(rows), 1)))
    expected = list(permutations([0, 2, 3, 5], 2))
    counts = np.array([(drawn == pair).all(axis=1).sum() for pair in expected])
    assert counts.sum() == len(rows)
    chi = ((counts - 2000) ** 2 / 2000).sum()
    assert chi < 31.3, "12 cells, 11 degrees of freedom, p = 0.001"


def test_draws_run_out_and_do_not_change_with_their_number():
    uniform = draw_uniform(1, np.arange(50), "test", 9)
    sizes = np.arange(50) % 7
    drawn = draw_distinct(uniform, sizes)
    for row, size in zip(drawn, sizes, strict=True):
        assert sorted(row[:size]) == sorted(set(range(size)))[: len(row)]
        assert (row[size:] == -1).all()
    np.testing.assert_array_equal(draw_distinct(uniform[:, :3], sizes), drawn[:, :3])
    assert draw_distinct(np.full((1, 1), 1 - 2**-53), np.array([3])) == [[2]]


def test_codes_are_numbered_in_sorted_order_over_all_parts():
    parts = [["b", None, "a"], ["c", "a"], []]
    chunks = [pa.array(part, pa.string()).dictionary_encode() for part in parts]
    assert codes_of(chunks).tolist() == [1, -1, 0, 2, 0]


def test_columns_of_artifacts(make_world):
    world = make_world(n=40, part_rows=16).build()
    made = world.made
    found = Columns.load(made["samples"], made["groups"], ("label", "labels", "split", "group_id"))
    known = sorted({x[0] for x in world.labels if x})
    expected = [known.index(x[0]) if x else -1 for x in world.labels]
    ids = np.arange(40)
    assert found.take("label", ids).tolist() == expected
    assert found.take("split", np.array([[0, -1], [1, 5]])).tolist() == [[0, -1], [1, 0]]
    assert found.take("group_id", ids).tolist() == world.groups.tolist()
    assert found.sets("labels").sizes(ids).tolist() == [len(x) for x in world.labels]
    with pytest.raises(ConfigError, match="no column 'camera'"):
        Columns.load(made["samples"], made["groups"], ("camera",))
    with pytest.raises(ConfigError, match="holds int32, not texts"):
        Columns.load(made["samples"], made["groups"], ("width",))
