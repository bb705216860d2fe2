"""Zones: each candidate's action by its similarity, by hand; twins only of the attracted."""

import numpy as np
import pytest
from mined import GRAPH, block_of_lists, edges, mine, pairs

from curate.stages.mining.false_negatives.zones import Zones
from curate.stages.mining.negatives.hard import Hard
from curate.stages.mining.positives.knn import Knn


@pytest.mark.parametrize("between", ["eliminate", "soften", "review"])
def test_actions_by_similarity(make_world, between):
    world = make_world().build()
    knn = mine(world, Knn(k=1), "knn", GRAPH)
    found = mine(world, Zones(k=9, low=0.6, high=0.8, between=between), "z", GRAPH, "edges:knn")
    ids, sims = world.neighbors()
    known = pairs(knn, "positive")
    expected = {}
    for i, row in enumerate(ids):
        for rank, j in enumerate(row[:9].tolist()):
            s = float(sims[i, rank])
            if j >= 0 and (i, j) not in known and s >= 0.6:
                expected[i, j] = "attract" if s >= 0.8 else between
    actions = {(r["anchor_id"], r["other_id"]): r["action"] for r in edges(found, "false_negative")}
    assert actions == expected
    assert {"attract", between} == set(actions.values())
    attracted = {pair for pair, action in expected.items() if action == "attract"}
    assert pairs(found, "positive") == attracted
    assert {r["reason"] for r in edges(found, "refused")} == {"positive", "threshold"}


@pytest.mark.parametrize(("between", "masked"), [("eliminate", True), ("soften", False)])
def test_only_what_masks_is_kept_from_negatives(make_world, between, masked):
    world = make_world().build()
    zones = Zones(k=9, low=0.6, high=0.8, between=between)
    found = mine(world, zones, "z", GRAPH)
    middle = {(r["anchor_id"], r["other_id"]) for r in edges(found, "false_negative")
              if r["action"] == between}  # fmt: skip
    hard = mine(world, Hard(ranks=(0, 9), count=9), "hard", GRAPH, "vectors:image", "edges:z")
    assert bool(pairs(hard, "negative") & middle) != masked
    attracted = pairs(found, "positive")
    assert not pairs(hard, "negative") & attracted


@pytest.mark.parametrize(
    ("thresholds", "actions"),
    [
        ({"eliminate": 0.5, "attract": 0.9}, ["attract", "eliminate", None]),
        ({"attract": 0.9}, ["attract", None, None]),
        ({"eliminate": 0.5}, ["eliminate", "eliminate", None]),
        ({}, None),
    ],
)
def test_calibrated_bounds(thresholds, actions):
    block = block_of_lists([[1, 2, 3]], [[0.95, 0.7, 0.2]])
    block.thresholds["image>image"] = thresholds
    found = Zones(k=3).mine(block)
    if actions is None:
        assert found.ids.shape == (1, 0)
        return
    ours = [a if r == 0 else None
            for a, r in zip(found.actions[0], found.reasons[0], strict=True)]  # fmt: skip
    assert ours == actions


def test_bounds_must_be_in_order():
    with pytest.raises(ValueError, match="must not be above"):
        Zones(low=0.9, high=0.5)
    assert np.isclose(float(Zones(low=0.5, high=0.5).low), 0.5)
