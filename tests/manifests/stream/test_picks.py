"""Picked positives and negatives: shares by counting over many starts, and by hand."""

import numpy as np
import pytest

from curate.manifests.stream.picks import pick_negatives, pick_places, pick_positives


def by_hand(ids, weights, count, start):
    """Walk the points over the weights laid end to end."""
    known = [
        (i, float(w)) for i, w in zip(ids.tolist(), weights.tolist(), strict=True) if i >= 0 and w
    ]
    total = sum(w for _, w in known)
    out = {}
    for point in range(count):
        at, end = (start + point) / count * total, 0.0
        for name, weight in known:
            end += weight
            if at < end:
                out[name] = out.get(name, 0) + total / count
                break
    return out


@pytest.mark.parametrize("count", [1, 2, 3, 7])
def test_points_fall_where_they_fall_by_hand(count):
    rng = np.random.default_rng(count)
    ids = np.where(rng.random((40, 5)) < 0.3, -1, rng.integers(0, 99, (40, 1)) * 5 + np.arange(5))
    weights = np.where(ids < 0, 0, rng.integers(0, 4, (40, 5))).astype(np.float32)
    start = rng.random(40)
    picked, shares = pick_positives(ids, weights, count, start)
    assert picked.shape == shares.shape == (40, count)
    for row in range(40):
        expected = by_hand(ids[row], weights[row], count, start[row])
        got = {i: s for i, s in zip(picked[row].tolist(), shares[row].tolist(), strict=True) if s}
        assert got == pytest.approx(expected, rel=1e-5)
        assert ((picked[row] >= 0) == (shares[row] > 0)).all()


def test_the_mean_over_starts_is_the_weight():
    ids, weights = np.array([[7, 8, -1, 9]]), np.array([[0.5, 0.3, 0.0, 0.2]], np.float32)
    starts = (np.arange(1000) + 0.5) / 1000
    mean = dict.fromkeys((7, 8, 9), 0.0)
    for start in starts:
        picked, shares = pick_positives(ids, weights, 2, np.array([start]))
        for i, s in zip(picked[0].tolist(), shares[0].tolist(), strict=True):
            if i >= 0:
                mean[i] += s / len(starts)
    assert mean == pytest.approx({7: 0.5, 8: 0.3, 9: 0.2}, abs=2e-3)


def test_nothing_to_pick():
    none = np.full((2, 3), -1)
    picked, shares = pick_positives(none, np.ones((2, 3), np.float32), 2, np.zeros(2))
    assert (picked == -1).all()
    assert not shares.any()
    assert pick_positives(none[:, :0], np.ones((2, 0), np.float32), 2, np.zeros(2))[0].shape == (
        2,
        2,
    )
    picked, shares = pick_negatives(none[:, :0], np.ones((2, 0), np.float32), np.zeros((2, 3)))
    assert (picked == -1).all()
    assert picked.shape == shares.shape == (2, 3)


def test_negatives_are_picked_evenly_and_keep_their_weights():
    rng = np.random.default_rng(0)
    ids = np.tile([10, -1, 11, 12], (6000, 1))
    weights = np.tile([1.0, 0.0, 0.5, 0.25], (6000, 1)).astype(np.float32)
    picked, shares = pick_negatives(ids, weights, rng.random((6000, 2)))
    known = {10: 1.0, 11: 0.5, 12: 0.25}
    assert all(known[i] == s for i, s in zip(picked.flat, shares.flat, strict=True))
    assert (picked[:, 0] != picked[:, 1]).all()
    times = [(picked == i).sum() for i in known]
    assert ((np.array(times) - 4000) ** 2 / 4000).sum() < 14
    wide, _ = pick_negatives(ids, weights, rng.random((6000, 5)))
    assert ((wide >= 0).sum(axis=1) == 3).all()


def test_places_are_those_that_hold():
    holds = np.array([[False, True, False, True], [False] * 4])
    places = pick_places(holds, np.array([[0.9, 0.1, 0.5], [0.1, 0.1, 0.1]]))
    assert places.tolist() == [[3, 1, -1], [-1, -1, -1]]
