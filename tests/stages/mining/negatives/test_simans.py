"""SimANS: the draws follow the declared density, by chi-square against a loop over subsets."""

from itertools import permutations

import numpy as np
import pytest
from mined import GRAPH, IMAGE, block_of_lists, edges, mine, pairs, taken

from curate.stages.mining.false_negatives.topk_threshold import TopkThreshold
from curate.stages.mining.negatives.simans import Simans
from curate.stages.mining.positives.knn import Knn

ANCHORS = 4000
LIST = [0.9, 0.8, 0.72, 0.7, 0.6, 0.5]


def world_of_one_list(seed):
    """Every anchor has the same list; sample ANCHORS is its positive at 0.8."""
    ids = np.tile(ANCHORS + 1 - np.array([2, 1, 0, -1, -2, -3]), (ANCHORS, 1))
    positives = np.full((ANCHORS, 1), ids[0, 1])
    return block_of_lists(
        ids,
        np.tile(LIST, (ANCHORS, 1)),
        positives,
        seed=seed,
        vectors={"image": np.ones((ANCHORS + 5, 1), np.float32)},
    )


def subset_probabilities(weights, count):
    """Sum the probability of every order in which a set can be drawn one by one."""
    found = {}
    for order in permutations(range(len(weights)), count):
        left, chance = sum(weights), 1.0
        for place in order:
            chance *= weights[place] / left
            left -= weights[place]
        key = frozenset(order)
        found[key] = found.get(key, 0) + chance
    return found


@pytest.mark.parametrize("offset", [-0.1, 0.0, 0.1])
@pytest.mark.parametrize("count", [1, 2])
def test_draws_follow_the_density(offset, count):
    a = 60.0
    block = world_of_one_list(seed=3)
    found = Simans(a=a, offset=offset, count=count).mine(block)
    others = [0, 2, 3, 4, 5]
    s = np.float32(LIST)
    weights = [float(np.exp(-a * (float(s[j]) - float(s[1]) - offset) ** 2)) for j in others]
    expected = subset_probabilities(weights, count)
    names = {int(block.graphs["image>image"].rows(np.array([0]))[0][0, j]): i
             for i, j in enumerate(others)}  # fmt: skip
    seen = dict.fromkeys(expected, 0)
    for ids in taken(found):
        assert len(ids) == count
        seen[frozenset(names[i] for i in ids)] += 1
    chi = sum((seen[k] - ANCHORS * p) ** 2 / (ANCHORS * p) for k, p in expected.items() if p > 2e-3)
    assert chi < {1: 20.5, 2: 27.9}[count], "p = 0.001 at 5 and 9 degrees of freedom"
    best = max(names.values(), key=lambda i: seen.get(frozenset([i]), 0))
    if count == 1:
        # + offset: the peak moves up with it.
        assert LIST[others[best]] == pytest.approx(0.8 + offset, abs=0.081)


def test_refused_say_why_and_no_positive_is_drawn(make_world):
    world = make_world().build()
    mine(world, Knn(k=3), "knn", GRAPH)
    mine(world, TopkThreshold(k=6, threshold=0.8), "fn", GRAPH, "edges:knn")
    found = mine(world, Simans(ranks=(8, 15), count=4), "n", GRAPH, IMAGE, "edges:knn", "edges:fn")
    never = pairs(world.made["edges:knn"], "positive")
    never |= pairs(world.made["edges:fn"], "false_negative")
    assert pairs(found, "negative")
    assert not pairs(found, "negative") & never
    ids, _ = world.neighbors()
    for row in edges(found):
        assert ids[row["anchor_id"], row["rank"]] == row["other_id"]
        assert row["rank"] < 15
    reasons = {row["reason"] for row in edges(found, "refused")}
    assert reasons == {"positive", "false_negative", "rank", "not_drawn"}
    for anchor in range(len(world)):
        mine_rows = [row for row in edges(found) if row["anchor_id"] == anchor]
        allowed = [r for r in mine_rows if r["reason"] in ("", "not_drawn")]
        assert sum(r["reason"] == "" for r in mine_rows) == min(4, len(allowed))


def test_parts_of_other_sizes_give_the_same_edges(make_world):
    found = []
    for rows in (17, 500):
        world = make_world(part_rows=rows).build()
        found.append(edges(mine(world, Simans(), "n", GRAPH, IMAGE)))
    assert found[0] == found[1] != []


def test_settings_that_cannot_be_are_refused():
    with pytest.raises(ValueError, match="the first must be below the second"):
        Simans(ranks=(5, 5))
