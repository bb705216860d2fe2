"""k-means against a plain Lloyd loop of our own, and the exactness that bytes rest on."""

import numpy as np
import pytest

from curate.manifests.exact import to_grid, unit_on_grid
from curate.stages.clusters.grid import assign, confidence, sums
from curate.stages.clusters.kmeans import hierarchy, kmeans, resampled, start_at


def cloud(seed, n, d=16, centres=6, spread=0.4):
    rng = np.random.default_rng(seed)
    middle = rng.normal(size=(centres, d))
    rows = middle[rng.integers(0, centres, n)] + spread * rng.normal(size=(n, d))
    return unit_on_grid(rows).astype(np.float32)


def lloyd(points, centroids, rounds):
    """Spherical Lloyd, row by row and cluster by cluster, in float64."""
    points = points.astype(np.float64)
    for _ in range(rounds):
        order = range(len(centroids))
        labels = [max(order, key=lambda c, p=p: (p @ centroids[c], -c)) for p in points]
        labels = np.array(labels)
        for c in range(len(centroids)):
            total = points[labels == c].sum(axis=0) if (labels == c).any() else np.zeros(1)
            if np.linalg.norm(total) > 0:
                centroids[c] = total / np.linalg.norm(total)
    return centroids


def loss(points, centroids):
    products = points.astype(np.float64) @ centroids.T
    return (1 - products.max(axis=1)).sum()


@pytest.mark.parametrize("seed", range(4))
def test_no_worse_than_lloyd_from_the_same_start(seed):
    points = cloud(seed, 300)
    first = start_at(points, 8, seed, "test")
    ours = kmeans(points, first.copy(), 15)
    theirs = lloyd(points, first.copy(), 15)
    assert loss(points, ours) <= loss(points, theirs) + 1e-5
    assert loss(points, ours) < loss(points, first)


def test_lloyd_and_ours_agree_where_no_cluster_runs_empty():
    points = cloud(5, 400, centres=5, spread=0.05)
    first = start_at(points, 5, 1, "test")
    ours, theirs = kmeans(points, first.copy(), 6), lloyd(points, first.copy(), 6)
    np.testing.assert_allclose(ours, theirs, atol=1e-6)


def test_a_round_never_lowers_the_similarity():
    points = cloud(9, 500, spread=1.0)
    centroids, before = start_at(points, 20, 0, "test"), -np.inf
    for _ in range(8):
        now = assign(points, centroids)[1].sum()
        assert now >= before - 1e-4
        before = now
        centroids = kmeans(points, centroids, 1)


def test_ties_go_to_the_lower_number():
    centroids = unit_on_grid(np.array([[1.0, 0], [0, 1], [1, 0]]))
    labels, best = assign(unit_on_grid(np.array([[1.0, 1], [3, 0], [0, 2], [-1, -1]])), centroids)
    assert labels.tolist() == [0, 0, 1, 0]
    assert best[1] == 1


def test_products_and_sums_are_exact_in_any_order():
    points, rng = cloud(3, 999, d=67), np.random.default_rng(0)
    centroids = cloud(4, 40, d=67).astype(np.float64)
    labels, best = assign(points, centroids)
    shuffled, back = rng.permutation(67), rng.permutation(999)
    again, same = assign(points[back][:, shuffled], centroids[:, shuffled])
    np.testing.assert_array_equal(best[back], same)
    np.testing.assert_array_equal(labels[back], again)
    total, counts = sums(points, labels, 40)
    other, _ = sums(points[back], labels[back], 40)
    np.testing.assert_array_equal(total, other)
    assert counts.tolist() == [int((labels == c).sum()) for c in range(40)]
    whole = [int(x * 2**24) for x in points[:50, 0].astype(object)]
    left = [int(x * 2**24) for x in centroids[:50, 0].astype(object)]
    assert all(w == x * 2**24 for w, x in zip(whole, points[:50, 0].tolist(), strict=True))
    exact = sum(a * b for a, b in zip(whole, left, strict=False))
    products = points[:40, :1].astype(np.float64).T @ centroids[:, :1]
    assert int(products[0, 0] * 2**48) == exact


@pytest.mark.parametrize(
    "points",
    [
        np.tile(cloud(1, 1), (50, 1)),
        np.where(np.arange(40)[:, None] % 2, 1, -1) * cloud(1, 1),
        cloud(2, 1),
        np.repeat(cloud(2, 3), 20, axis=0),
    ],
    ids=["equal", "opposed", "one", "three"],
)
def test_few_different_points_give_as_many_clusters(points):
    points = points.astype(np.float32)
    different = len(np.unique(points, axis=0))
    levels, parents = hierarchy(points, (7, 3, 1), 0, 10)
    assert [len(c) for c in levels] == [min(k, different) for k in (7, 3, 1)]
    assert len(np.unique(assign(points, levels[0])[0])) == different
    assert loss(points, levels[0]) < 1e-5
    assert [len(p) for p in parents] == [len(c) for c in levels[:-1]]


def test_an_empty_cluster_is_put_to_work():
    points = cloud(8, 200, centres=4, spread=0.05)
    away = -points[:1].astype(np.float64)
    centroids = np.concatenate([points[:3].astype(np.float64), np.tile(away, (3, 1))])
    found = kmeans(points, centroids, 20)
    assert len(np.unique(assign(points, found)[0])) == 6


def test_levels_nest_and_each_is_a_clustering_of_the_one_below():
    points = cloud(6, 600, centres=12)
    levels, parents = hierarchy(points, (30, 10, 3), 2, 20)
    for below, above, parent in zip(levels, levels[1:], parents, strict=False):
        products = below @ above.T
        np.testing.assert_array_equal(parent, products.argmax(axis=1))


@pytest.mark.parametrize("seed", range(3))
def test_resampling_spreads_centroids_more_evenly(seed):
    rng = np.random.default_rng(seed)
    crowd = rng.random(4000) < 0.95
    angle = np.where(crowd, rng.uniform(0, 1, 4000), rng.uniform(1, 5, 4000))
    points = unit_on_grid(np.stack([np.cos(angle), np.sin(angle)], 1)).astype(np.float32)
    plain = kmeans(points, start_at(points, 40, seed, "x"), 50)
    even = resampled(points, plain, (10, 5), 50, (seed, "x"))

    def crowded(centroids):
        # A fifth of the arc; evenly spread centroids would have a fifth of them there.
        return ((np.arctan2(centroids[:, 1], centroids[:, 0]) % (2 * np.pi)) < 1).mean()

    assert len(even) == 40
    assert 0.2 < crowded(even) < crowded(plain) - 0.1


def test_confidence_is_the_softmax_share_of_the_own_centroid():
    rng = np.random.default_rng(0)
    products, labels = rng.uniform(-1, 1, (50, 7)), rng.integers(0, 7, 50)
    for i in range(50):
        weights = [np.exp(x / 0.2) for x in products[i]]
        want = weights[labels[i]] / sum(weights)
        assert confidence(products[i : i + 1], labels[i : i + 1], 0.2)[0] == pytest.approx(want)


def test_the_grid_holds_float16_and_float32_without_loss():
    halves = np.array([1.0, 2.0**-24, 0.333251953125, -0.9995117]).astype(np.float16)
    np.testing.assert_array_equal(to_grid(halves.astype(np.float64)), halves.astype(np.float64))
    values = to_grid(np.random.default_rng(0).uniform(-1, 1, 10_000))
    np.testing.assert_array_equal(values.astype(np.float32).astype(np.float64), values)
