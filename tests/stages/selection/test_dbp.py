"""dbp: shares against scipy's solver of the same program, distances and cuts against loops."""

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import softmax as softmax_of

from curate.stages.selection import _clustered
from curate.stages.selection.dbp import Dbp, mean_distance, numbers, projection


def solved(wanted, low, high, total):
    """The program of the paper, by a general solver."""
    done = minimize(
        lambda n: ((n - wanted) ** 2).sum() / max(total, 1) ** 2,
        np.clip(np.full(len(wanted), total / len(wanted)), low, high),
        bounds=list(zip(low, high, strict=True)),
        constraints={"type": "eq", "fun": lambda n: n.sum() - total},
        options={"maxiter": 500, "ftol": 1e-16},
    )
    assert abs(done.x.sum() - total) < 1e-6
    return done.x


@pytest.mark.parametrize("seed", range(8))
def test_shares_solve_the_program(seed):
    rng = np.random.default_rng(seed)
    count = int(rng.integers(2, 12))
    high = rng.integers(1, 60, count)
    low = np.minimum(rng.integers(0, 3), high)
    total = int(rng.integers(low.sum(), high.sum() + 1))
    wanted = softmax_of(rng.normal(size=count) * 2) * total
    found = projection(wanted, low, high, total)
    np.testing.assert_allclose(found, solved(wanted, low, high, total), atol=2e-2)
    assert abs(found.sum() - total) < 1e-9
    assert ((found >= low) & (found <= high)).all()


@pytest.mark.parametrize("seed", range(20))
def test_whole_numbers_keep_the_total_and_stay_beside_the_shares(seed):
    rng = np.random.default_rng(seed)
    count = int(rng.integers(1, 300))
    sizes = rng.integers(1, 40, count)
    total = int(rng.integers(0, sizes.sum() + 1))
    wanted = softmax_of(rng.normal(size=count)) * total
    found = numbers(wanted, sizes, total, 1)
    low = np.minimum(1, sizes) if total >= count else np.zeros(count)
    assert found.sum() == total
    assert ((found >= low) & (found <= sizes)).all()
    assert (np.abs(found - projection(wanted, low, sizes, total)) < 1).all()


def test_rounding_each_by_itself_would_break_the_total():
    wanted, sizes = np.full(3, 10 / 3), np.full(3, 9)
    assert np.rint(wanted).sum() == 9
    assert numbers(wanted, sizes, 10, 1).tolist() == [4, 3, 3]


@pytest.mark.parametrize(
    ("wanted", "sizes", "total", "least", "expected"),
    [
        ([9.0, 1.0], [3, 50], 10, 1, [3, 7]),
        ([10.0, 0.0], [50, 50], 10, 2, [8, 2]),
        ([1.0, 0.0, 0.0], [5, 5, 5], 1, 1, [1, 0, 0]),
        ([0.0, 0.0], [5, 5], 0, 1, [0, 0]),
        ([5.0, 5.0], [5, 5], 10, 1, [5, 5]),
        ([5.0], [9], 5, 1, [5]),
    ],
)
def test_bounds(wanted, sizes, total, least, expected):
    assert numbers(np.array(wanted), np.array(sizes), total, least).tolist() == expected


@pytest.mark.parametrize("nearest", [1, 3, 20])
@pytest.mark.parametrize("rows", [256, 4])
def test_distance_to_the_nearest_centres(monkeypatch, nearest, rows):
    monkeypatch.setattr("curate.stages.selection.dbp._ROWS", rows)
    centres = np.random.default_rng(0).normal(size=(15, 6))
    centres /= np.linalg.norm(centres, axis=1, keepdims=True)
    centres = (np.rint(centres * 2.0**24) / 2.0**24).astype(np.float32)
    centres[7] = centres[3]
    want = []
    for i in range(15):
        others = sorted(1 - float(centres[i] @ centres[j]) for j in range(15) if j != i)
        want.append(np.mean(others[:nearest]))
    np.testing.assert_allclose(mean_distance(centres, nearest), want, atol=1e-6)
    assert mean_distance(centres[:1], nearest).tolist() == [1]


def reference(rows, codes, fraction, t, nearest=20):
    """Return kept ids, by the paper's Tables 4 and 5, one cluster at a time."""
    rows = rows.astype(np.float64)
    names = sorted(set(codes.tolist()) - {-1})
    members = {c: np.flatnonzero(codes == c) for c in names}
    centre = {c: rows[members[c]].sum(axis=0) for c in names}
    centre = {c: v / np.linalg.norm(v) for c, v in centre.items()}
    intra = np.array([np.mean([1 - rows[i] @ centre[c] for i in members[c]]) for c in names])
    inter = np.array(
        [
            np.mean(sorted(1 - centre[c] @ centre[o] for o in names if o != c)[:nearest])
            for c in names
        ]
    )
    sizes = np.array([len(members[c]) for c in names])
    total = int(fraction * len(rows) + 0.5)
    share = softmax_of(inter * intra / t)
    near = solved(share * total, np.minimum(1, sizes), sizes, total)
    return members, centre, names, near, total


@pytest.mark.parametrize("t", [0.02, 0.5])
@pytest.mark.parametrize(("block", "task_rows"), [(2048, 1 << 16), (5, 20)])
def test_it_is_the_rule_of_the_paper(make_world, read, monkeypatch, t, block, task_rows):
    drops, kept, scores = read
    monkeypatch.setattr(_clustered, "BLOCK", block)
    monkeypatch.setattr(_clustered, "_TASK_ROWS", task_rows)
    rng = np.random.default_rng(2)
    n, k = 200, 8
    codes = rng.integers(0, k, n)
    codes[codes == 4] = 9
    spread = np.linspace(0.1, 1.2, 10)[codes]
    rows = rng.normal(size=(10, 8))[codes] + spread[:, None] * rng.normal(size=(n, 8))
    rows = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float16)
    rows[5], codes[5] = 0, -1
    world = make_world(n=n, vectors={"image": rows}, clusters={"image": codes[:, None]})
    verdict = world.select(Dbp(fraction=0.5, t=t))
    members, centre, names, near, total = reference(rows, codes, 0.5, t)
    assert total == 100
    mine = kept(verdict)
    assert len(mine) == total
    for c, wanted in zip(names, near, strict=True):
        here = [i for i in mine if codes[i] == c]
        assert abs(len(here) - wanted) < 1.05
        order = sorted(members[c], key=lambda i: rows[i].astype(np.float64) @ centre[c])
        assert here == sorted(order[: len(here)])
        np.testing.assert_allclose(
            scores(verdict)[members[c]], rows[members[c]] @ centre[c], atol=1e-3
        )
    assert drops(verdict)[5] == "no_vector"
    assert set(drops(verdict)) == {"", "no_vector", "over_quota"}


def test_traps(make_world, read):
    drops, kept, _ = read
    same = np.tile(np.array([[0.6, 0.8]], np.float16), (10, 1))
    one = make_world(n=10, vectors={"image": same}, clusters={"image": np.zeros((10, 1), int)})
    assert kept(one.select(Dbp(fraction=0.3))) == [0, 1, 2]
    assert kept(one.select(Dbp(fraction=1))) == list(range(10))
    assert kept(one.select(Dbp(fraction=0))) == []
    alone = make_world(n=10, vectors={"image": same}, clusters={"image": np.arange(10)[:, None]})
    assert len(kept(alone.select(Dbp(fraction=0.3)))) == 3
    none = make_world(n=10, vectors={"image": 0 * same}, clusters={"image": -np.ones((10, 1), int)})
    assert set(drops(none.select(Dbp()))) == {"no_vector"}
