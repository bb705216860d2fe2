"""BCL: weights against numerical inversion of the mixture; draws against what is allowed."""

import numpy as np
import pytest
from mined import GRAPH, IMAGE, by_anchor, edges, mine, pairs
from scipy.optimize import brentq

from curate.stages.mining.negatives.bcl import Bcl, bcl_weights
from curate.stages.mining.positives.knn import Knn

U = (np.arange(2000) + 0.5) / 2000


def weight_by_inversion(u, alpha, beta, tau):
    """Solve u = F-mixture for F by bisection instead of the quadratic formula."""
    a = (1 - 2 * alpha) * (1 - 2 * tau) + 1e-3
    b = 2 * (alpha * (1 - tau) + (1 - alpha) * tau)
    f = brentq(lambda x: a * x * x + b * x - u, 0, 1)
    p1, p2 = 2 * (1 - f), 2 * f
    w = alpha * (1 - beta) * p1 + (1 - alpha) * beta * p2
    w /= alpha * (1 - beta) + (1 - alpha) * beta
    low, high = alpha * p1 + (1 - alpha) * p2, (1 - alpha) * p1 + alpha * p2
    return w / ((1 - tau) * low + tau * high)


@pytest.mark.parametrize("alpha", [0.6, 0.75, 0.9])
@pytest.mark.parametrize("tau", [0.0, 0.1, 0.3])
@pytest.mark.parametrize("beta", [0.5, 0.8])
def test_weights_equal_numerical_inversion(alpha, tau, beta):
    some = U[::97]
    expected = [weight_by_inversion(u, alpha, beta, tau) for u in some]
    np.testing.assert_allclose(bcl_weights(some, alpha, beta, tau), expected, rtol=1e-6)


@pytest.mark.parametrize("alpha", [0.6, 0.75, 0.9])
def test_half_debiases_and_one_hardens(alpha):
    debiased = bcl_weights(U, alpha, 0.5, 0.1)
    assert debiased.mean() == pytest.approx(1, abs=2e-3)
    assert (np.diff(debiased) < 0).all(), "similar ones weigh less"
    assert (np.diff(bcl_weights(U, alpha, 1.0, 0.1)) >= 0).all(), "similar ones weigh more"


def test_negatives_are_drawn_ranked_and_weighted(make_world):
    world = make_world().build()
    mine(world, Knn(k=4), "knn", GRAPH)
    found = mine(world, Bcl(count=10), "bcl", IMAGE, "edges:knn")
    assert pairs(found, "negative") & pairs(world.made["edges:knn"], "positive") == set()
    split, group = np.array(world.splits), world.groups
    cosines = world.cosines()
    for anchor, rows in by_anchor(found).items():
        others = [row["other_id"] for row in rows]
        assert len(set(others)) == len(others) == 10
        assert (split[others] == split[anchor]).all()
        assert (group[others] != group[anchor]).all()
        known = [row for row in rows if row["similarity"] is not None]
        for row in known:
            assert row["similarity"] == cosines[anchor, row["other_id"]]
        sims = [row["similarity"] for row in known]
        assert sims == sorted(sims, reverse=True)
        expected = [weight_by_inversion((10 - i - 0.5) / 10, 0.9, 0.5, 0.1) for i in range(10)]
        np.testing.assert_allclose([row["weight"] for row in rows], expected, rtol=1e-5)
    # Sample 7 has no vector: whoever draws it has it last.
    last = {rows[-1]["other_id"] for rows in by_anchor(found).values()
            if 7 in [row["other_id"] for row in rows]}  # fmt: skip
    assert last == {7}


def test_parts_of_other_sizes_give_the_same_edges(make_world):
    found = [edges(mine(make_world(part_rows=n).build(), Bcl(), "b", IMAGE)) for n in (17, 500)]
    assert found[0] == found[1] != []
