"""hierarchical: divisions against dealing samples out one by one, and what is drawn of them."""

import numpy as np
import pytest

from curate.stages.selection import _clustered
from curate.stages.selection.hierarchical import Hierarchical, balanced


def dealt(sizes, total):
    """Deal one to each cluster that has more, round by round; return the cut and what is left."""
    given, cut = [0] * len(sizes), 0
    while True:
        able = [i for i, size in enumerate(sizes) if size > given[i]]
        if not able or len(able) > total - sum(given):
            return cut, given, total - sum(given)
        for i in able:
            given[i] += 1
        cut += 1


@pytest.mark.parametrize("seed", range(10))
def test_a_division_is_that_of_dealing_round_by_round(seed):
    rng = np.random.default_rng(seed)
    groups = rng.integers(0, 4, 40)
    sizes = rng.integers(0, 30, 40)
    sums = [int(sizes[groups == g].sum()) for g in range(5)]
    totals = np.array([int(rng.integers(0, s + 1)) for s in sums])
    draws = rng.integers(0, 2**60, 40).astype(np.uint64)
    shares, cuts = balanced(sizes, groups, totals, draws)
    for g in range(5):
        mine = np.flatnonzero(groups == g)
        cut, given, rest = dealt(sizes[mine].tolist(), int(totals[g]))
        assert shares[mine].sum() == totals[g]
        assert cuts[g] == cut
        more = shares[mine] - given
        assert set(more.tolist()) <= {0, 1}
        able = [i for i in range(len(mine)) if sizes[mine][i] > given[i]]
        lucky = sorted(able, key=lambda i: int(draws[mine[i]]))[:rest]
        assert np.flatnonzero(more).tolist() == sorted(lucky)


def nested_world(make_world, n=300, **changes):
    rng = np.random.default_rng(4)
    fine = np.minimum(rng.geometric(0.15, n) - 1, 19)
    middle, top = fine // 4, fine // 10
    middle = np.where(top == 0, middle, middle + 3)
    ids = np.stack([fine, middle, top], axis=1)
    ids[5] = -1
    return make_world(n=n, clusters={"image": ids}, **changes)


@pytest.mark.parametrize("count", [0, 1, 17, 100, 299, 300, 5000])
def test_every_division_is_even_and_the_total_is_exact(make_world, read, count):
    _, kept, scores = read
    world = nested_world(make_world)
    verdict = world.select(Hierarchical(count=count))
    mine, ids = kept(verdict), world.clusters["image"]
    assert len(mine) == min(count, 299)
    assert verdict.receipts[0].facts["target"] == min(count, 299)
    there = ids[:, 0] >= 0
    for level in range(3):
        above = ids[:, level + 1] if level < 2 else np.zeros(300, int)
        for group in set(above[there].tolist()):
            inside = there & (above == group)
            names = sorted(set(ids[inside, level].tolist()))
            sizes = [int((inside & (ids[:, level] == c)).sum()) for c in names]
            found = [int((ids[mine, level] == c).sum()) for c in names]
            _, given, rest = dealt(sizes, sum(found))
            more = np.array(found) - given
            assert set(more.tolist()) <= {0, 1}
            assert more.sum() == rest
            assert all(f <= s for f, s in zip(found, sizes, strict=True))
    share = [(ids[mine, 0] == c).sum() / max((ids[:, 0] == c).sum(), 1) for c in range(20)]
    np.testing.assert_allclose(scores(verdict)[there], np.array(share)[ids[there, 0]], atol=1e-6)


def test_a_fraction_is_of_what_is_judged(make_world, read):
    drops, kept, _ = read
    world = nested_world(make_world)
    first = world.select(Hierarchical(count=200), name="first")
    second = world.select(Hierarchical(fraction=0.25, among="kept"), name="second", first=first)
    assert len(kept(second)) == 50
    assert set(kept(second)) <= set(kept(first))
    assert drops(second)[5] == "earlier"
    assert drops(first)[5] == "no_vector"


def test_a_higher_level_is_the_finest_one(make_world, read):
    _, kept, _ = read
    world = nested_world(make_world)
    mine = kept(world.select(Hierarchical(count=40, level=2)))
    assert np.bincount(world.clusters["image"][mine, 2]).tolist() == [20, 20]


@pytest.mark.parametrize("block", [2048, 3])
def test_closest_takes_those_nearest_to_the_centre(make_world, read, monkeypatch, block):
    drops, kept, scores = read
    monkeypatch.setattr(_clustered, "BLOCK", block)
    monkeypatch.setattr(_clustered, "_TASK_ROWS", 8 * block)
    world = nested_world(make_world)
    verdict = world.select(Hierarchical(count=60, pick="closest"))
    rows, ids = world.vectors["image"].astype(np.float64), world.clusters["image"][:, 0]
    mine = kept(verdict)
    assert len(mine) == 60
    for c in range(20):
        here = np.flatnonzero(ids == c)
        if not len(here):
            continue
        centre = rows[here].sum(axis=0)
        near = rows[here] @ (centre / np.linalg.norm(centre))
        np.testing.assert_allclose(scores(verdict)[here], near, atol=1e-6)
        taken = [i for i in mine if ids[i] == c]
        assert taken == sorted(here[np.argsort(-near, kind="stable")[: len(taken)]].tolist())
    assert set(drops(verdict)) == {"", "no_vector", "over_quota"}


def test_draws_follow_the_seed_alone(make_world, read):
    _, kept, _ = read
    mine = [
        kept(nested_world(make_world, part_rows=rows).select(Hierarchical(count=90), seed=seed))
        for rows, seed in ((37, 0), (300, 0), (37, 1))
    ]
    assert mine[0] == mine[1] != mine[2]


def test_every_sample_of_a_cluster_has_the_same_chance(make_world, read):
    _, kept, _ = read
    world = make_world(n=4000, part_rows=4000, clusters={"image": np.arange(4000)[:, None] // 40})
    mine = np.array(kept(world.select(Hierarchical(count=1000))))
    assert np.bincount(mine // 40).tolist() == [10] * 100
    # 100 clusters, a quarter of each: a place of a cluster is drawn 25 times, give or take 4.3.
    assert (np.abs(np.bincount(mine % 40, minlength=40) - 25) < 22).all()
