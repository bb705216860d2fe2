"""UnReMix: the three components by plain loops over the vectors."""

import numpy as np
import pytest
from mined import GRAPH, IMAGE, by_anchor, edges, mine

from curate.stages.mining.negatives.unremix import Unremix
from curate.stages.mining.positives.knn import Knn


def scaled(values):
    low, high = min(values), max(values)
    return [(v - low) / (high - low) if high > low else 0.0 for v in values]


def importance(world, anchor, candidates, s_pos, miner):
    vectors = world.vectors["image"].astype(np.float64)
    s = [float(vectors[anchor] @ vectors[j]) for j in candidates]
    total = np.exp(s_pos / miner.t) + sum(np.exp(x / miner.t) for x in s)
    g = [float(np.exp(x / miner.t) / total / miner.t) for x in s]
    r = []
    for j in candidates:
        others = [float(vectors[j] @ vectors[o]) for o in candidates if o != j]
        r.append(1 - (sum(others) / len(others) if others else 0))
    parts = zip(scaled(s), scaled(g), scaled(r), strict=True)
    shares = (miner.similarity, miner.uncertainty, miner.representativeness)
    return [sum(a * b for a, b in zip(shares, part, strict=True)) for part in parts]


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"similarity": 1, "uncertainty": 0, "representativeness": 0},
        {"similarity": 0, "uncertainty": 0, "representativeness": 1},
        {"similarity": 0.2, "uncertainty": 0.7, "representativeness": 0.1, "t": 0.5},
    ],
)
def test_importance_equals_the_formula(make_world, settings):
    world = make_world().build()
    mine(world, Knn(k=3), "knn", GRAPH)
    miner = Unremix(ranks=(0, 12), count=3, **settings)
    found = by_anchor(mine(world, miner, "u", GRAPH, IMAGE, "edges:knn"))
    assert len(found) > 100
    for anchor, rows in found.items():
        allowed = [row for row in rows if row["reason"] in ("", "not_chosen")]
        if not allowed:
            continue
        ids = [row["other_id"] for row in allowed]
        w = importance(world, anchor, ids, allowed[0]["positive_similarity"], miner)
        taken = [x for x, row in zip(w, allowed, strict=True) if row["reason"] == ""]
        left = [x for x, row in zip(w, allowed, strict=True) if row["reason"]]
        assert len(taken) == min(3, len(allowed))
        assert min(taken) >= max(left, default=-1) - 2e-3
        weights = [row["weight"] for row in allowed if row["reason"] == ""]
        assert np.mean(weights) == pytest.approx(1, abs=1e-3)
        floored = np.maximum(taken, 1e-3)
        np.testing.assert_allclose(weights, floored / np.mean(floored), atol=6e-3)


def test_equal_candidates_weigh_the_same(make_world):
    same = np.tile(np.array([[1.0, 0.0]], np.float16), (6, 1))
    world = make_world(
        n=6, k=5, vectors={"image": same}, labels=[[]] * 6, splits=["x"] * 6, groups=np.arange(6)
    ).build()
    found = edges(mine(world, Unremix(count=2), "u", GRAPH, IMAGE), "negative")
    assert {row["weight"] for row in found} == {1.0}
    assert len(found) == 12


def test_all_shares_zero_is_refused():
    with pytest.raises(ValueError, match="above 0"):
        Unremix(similarity=0, uncertainty=0, representativeness=0)
