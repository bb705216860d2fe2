"""Drawn negatives of B3++: counted by plain loops, their shares by chi-square."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from curate.stages.batches._links import Links
from curate.stages.batches._negatives import with_negatives
from curate.stages.batches.b3 import B3
from curate.stages.batches.base import Batches, Pool

H = 5
SETTINGS = {"size": 32, "group": 8, "skip": 5, "window": 20, "negatives": H}


def hard_of(pool, skip=5, window=20):
    """Return for each place the places that it has in the window, and that have it in theirs."""
    place = {int(sample): at for at, sample in enumerate(pool.anchors)}
    ids, _ = pool.graphs["image>image"].rows(pool.anchors)
    near = [{place[j] for j in row[skip : skip + window].tolist() if j in place} for row in ids]
    return [{j for j in row if at in near[j]} for at, row in enumerate(near)]


def test_they_are_hard_for_the_batch_and_never_in_it(pool):
    rng = np.random.default_rng(4)
    never = pool.anchors[rng.integers(0, len(pool), (len(pool), 30))]
    made = B3(**SETTINGS).compose(replace(pool, never=never))
    hard, seen = hard_of(pool), 0
    assert made.negatives.shape == (*made.places.shape, H)
    for batch, drawn in zip(made.places, made.negatives, strict=True):
        known = set().union(*(hard[at] for at in batch.tolist())) - set(batch.tolist())
        for at, row in zip(batch.tolist(), drawn.tolist(), strict=True):
            ids = [j for j in row if j >= 0]
            assert len(ids) == len(set(ids))
            assert set(ids) <= known
            assert not {int(pool.groups[j]) for j in ids} & {int(pool.groups[at])}
            assert not {int(pool.anchors[j]) for j in ids} & set(never[at].tolist())
            seen += len(ids)
    assert seen > 0.9 * made.negatives.size
    short = (made.negatives == -1).any(axis=2).sum()
    assert made.facts["rows_short_of_negatives"] == short


@pytest.mark.parametrize("count", [1, 2])
def test_a_sample_is_drawn_as_often_as_the_batch_finds_it_hard(count):
    size = 3000
    # Rows 0..size-1 are the batch; sample size + j is hard for (j + 1) of every ten of them.
    others = {size + j: [i for i in range(size) if i % 10 <= j] for j in (0, 2, 5)}
    keys = np.array([i * (size + 10) + j for j, rows in others.items() for i in rows])
    links = Links.of(np.sort(keys), size + 10)
    pool = Pool(np.arange(size + 10), np.arange(size + 10), seed=5)
    made = with_negatives(Batches(np.arange(size)[None]), pool, links, count)
    first = Counter(made.negatives[0][:, 0].tolist())
    total = 1 + 3 + 6
    expected = {size: size / total, size + 2: 3 * size / total, size + 5: 6 * size / total}
    assert set(first) == set(expected)
    chi = sum((first[j] - n) ** 2 / n for j, n in expected.items())
    assert chi < 13.8, "p = 0.001 at two degrees of freedom"
    assert (made.negatives >= 0).all()
    assert count == 1 or (made.negatives[0][:, 0] != made.negatives[0][:, 1]).all()


def test_few_candidates_leave_rows_short(make_pool):
    pool = make_pool(count=64, k=39)
    made = B3(size=16, group=8, skip=0, window=1, negatives=40).compose(pool)
    assert made.facts["rows_short_of_negatives"] == made.places.size
    assert (made.negatives == -1).any()
    alone = B3(size=16, group=8, skip=38, window=1, negatives=2).compose(pool)
    assert alone.negatives.shape == (*alone.places.shape, 2)


def test_the_plan_itself_does_not_change(pool):
    plain = B3(**{**SETTINGS, "negatives": 0}).compose(pool)
    made = B3(**SETTINGS).compose(pool)
    np.testing.assert_array_equal(plain.places, made.places)
    assert plain.negatives is None
    again = B3(**SETTINGS).compose(pool)
    np.testing.assert_array_equal(made.negatives, again.negatives)
    other = B3(**SETTINGS).compose(replace(pool, seed=77))
    assert not np.array_equal(made.negatives, other.negatives)
