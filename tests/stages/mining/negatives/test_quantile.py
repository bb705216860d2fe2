"""Quantiles: each taken candidate stands at the asked quantile of the allowed ones."""

import numpy as np
import pytest
from mined import GRAPH, IMAGE, block_of_lists, by_anchor, mine

from curate.stages.mining.negatives.quantile import Quantile
from curate.stages.mining.positives.knn import Knn


@pytest.mark.parametrize("schedule", ["none", "falling", "rising"])
def test_candidates_stand_at_the_quantiles(make_world, schedule):
    world = make_world().build()
    knn = mine(world, Knn(k=3), "knn", GRAPH)
    grid = (0.0, 0.25, 0.5, 0.9, 1.0)
    miner = Quantile(ranks=(1, 18), quantiles=grid, schedule=schedule)
    found = by_anchor(mine(world, miner, "q", GRAPH, IMAGE, "edges:knn"))
    ids, sims = world.neighbors()
    positives = by_anchor(knn, "positive")
    for anchor in range(len(world)):
        known = {row["other_id"] for row in positives.get(anchor, [])}
        allowed = [int(j) for r, j in enumerate(ids[anchor][:18])
                   if j >= 0 and r >= 1 and int(j) not in known]  # fmt: skip
        expected = {}
        for step, q in enumerate(grid):
            if allowed:
                begins = {"none": 0, "rising": step / 5, "falling": (4 - step) / 5}[schedule]
                at = allowed[round((1 - q) * (len(allowed) - 1))]
                expected[at] = min(begins, expected.get(at, 2))
        rows = [row for row in found.get(anchor, []) if row["role"] == "negative"]
        assert {r["other_id"]: pytest.approx(r["valid_from"]) for r in rows} == expected
        for row in rows:
            place = list(ids[anchor]).index(row["other_id"])
            assert (row["rank"], row["similarity"]) == (place, sims[anchor, place])
        refused = {r["other_id"] for r in found.get(anchor, []) if r["reason"] == "not_chosen"}
        assert refused == set(allowed) - set(expected)


def test_one_candidate_holds_for_all_quantiles_from_the_earliest_time():
    found = Quantile().mine(block_of_lists([[3, -1]], [[0.5, 0]], count=4))
    assert found.ids.tolist() == [[3, -1]]
    assert (found.reasons[0, 0], found.valid_from[0, 0]) == (0, 0)


def test_hardest_is_the_most_similar():
    ids, sims = [[1, 2, 3, 4]], [[0.9, 0.9, 0.2, -0.3]]
    found = Quantile(quantiles=(0.0, 1.0)).mine(block_of_lists(ids, sims))
    assert found.ids[0][found.reasons[0] == 0].tolist() == [1, 4]
    # The hardest at once, the easiest from half of the training on.
    np.testing.assert_allclose(found.valid_from[0], [0, 0, 0, 0.5])


@pytest.mark.parametrize("grid", [(0.5, 0.5), (1.0, 0.0), ()])
def test_a_grid_must_rise(grid):
    with pytest.raises(ValueError):
        Quantile(quantiles=grid)
