"""prototypes against sorted lists of cosines to mean directions."""

import numpy as np
import pytest

from curate.stages.selection import _clustered
from curate.stages.selection.prototypes import Prototypes


def cosines(rows, codes, pool=None):
    """Return the cosine of each sample to the mean direction of its cluster, NaN without one."""
    rows = rows.astype(np.float64)
    there = codes >= 0 if pool is None else (codes >= 0) & pool
    found = np.full(len(rows), np.nan)
    for cluster in set(codes[there].tolist()):
        ids = np.flatnonzero(there & (codes == cluster))
        centre = rows[ids].mean(axis=0)
        found[ids] = rows[ids] @ (centre / np.linalg.norm(centre))
    return found


def clustered_world(make_world, n=120, k=7, **changes):
    codes = np.random.default_rng(1).integers(0, k, n)
    codes[5] = -1
    return make_world(n=n, clusters={"image": codes[:, None]}, **changes)


@pytest.mark.parametrize("fraction", [0.0, 0.3, 0.5, 1.0])
@pytest.mark.parametrize("block", [2048, 5])
def test_the_nearest_of_each_cluster_go(make_world, read, monkeypatch, fraction, block):
    drops, kept, scores = read
    monkeypatch.setattr(_clustered, "BLOCK", block)
    monkeypatch.setattr(_clustered, "_TASK_ROWS", 10 * block)
    world = clustered_world(make_world)
    verdict = world.select(Prototypes(fraction=fraction))
    codes = world.clusters["image"][:, 0]
    near = cosines(world.vectors["image"], codes)
    np.testing.assert_allclose(scores(verdict), near, atol=1e-6)
    want = []
    for cluster in range(7):
        ids = sorted(np.flatnonzero(codes == cluster), key=lambda i: near[i])
        want += ids[: int(fraction * len(ids) + 0.5)]
    assert kept(verdict) == sorted(want)
    assert drops(verdict)[5] == "no_vector"


def test_of_all_clusters_together_the_nearest_go(make_world, read):
    _, kept, _ = read
    world = clustered_world(make_world)
    verdict = world.select(Prototypes(fraction=0.4, within="corpus"))
    near = cosines(world.vectors["image"], world.clusters["image"][:, 0])
    ranked = sorted((i for i in range(120) if i != 5), key=lambda i: near[i])
    assert kept(verdict) == sorted(ranked[:48])


def test_ties_go_by_id_and_a_cluster_of_one_is_its_own_centre(make_world, read):
    _, kept, scores = read
    rows = np.tile(np.array([[0.6, 0.8]], np.float16), (11, 1))
    codes = np.array([0] * 10 + [1])
    world = make_world(n=11, vectors={"image": rows}, clusters={"image": codes[:, None]})
    verdict = world.select(Prototypes(fraction=0.5))
    assert kept(verdict) == [0, 1, 2, 3, 4, 10]
    np.testing.assert_allclose(scores(verdict), 1, atol=1e-3)
    assert kept(world.select(Prototypes(fraction=0.4, within="corpus"))) == [0, 1, 2, 3]


def test_the_centre_is_that_of_what_is_judged(make_world, read):
    drops, _, scores = read
    world = clustered_world(make_world)
    first = world.select(Prototypes(fraction=0.5), name="first")
    second = world.select(Prototypes(among="kept"), name="second", first=first)
    pool = np.array([drop == "" for drop in drops(first)])
    near = cosines(world.vectors["image"], world.clusters["image"][:, 0], pool)
    np.testing.assert_allclose(scores(second), near, atol=1e-6)
    assert [drop == "earlier" for drop in drops(second)] == (~pool).tolist()
