"""Hard negatives for matching: their shares by chi-square, their rule by plain loops."""

import numpy as np
import pytest
from mined import CAPTION, IMAGE, block_of_lists, edges, mine, pairs, taken

from curate.stages.mining.negatives.itm import Itm
from curate.stages.mining.positives.label import Label

ANCHORS = 4000
LIST = [0.9, 0.8, 0.72, 0.6, 0.5]
CROSS = "graph:image>caption"


@pytest.mark.parametrize("t", [0.05, 0.2])
def test_draws_follow_the_softmax(t):
    ids = np.tile(ANCHORS + np.arange(5), (ANCHORS, 1))
    positives = np.full((ANCHORS, 1), ANCHORS + 1)
    block = block_of_lists(
        ids,
        np.tile(LIST, (ANCHORS, 1)),
        positives,
        seed=5,
        vectors={"image": np.ones((ANCHORS + 5, 1), np.float32)},
    )
    found = taken(Itm(space="image>image", t=t).mine(block))
    assert {len(row) for row in found} == {1}
    left = [0, 2, 3, 4]
    weights = {j: np.exp(np.float32(LIST[j]) / t) for j in left}
    seen = np.bincount([row[0] - ANCHORS for row in found], minlength=5)
    assert seen[1] == 0
    expected = {j: ANCHORS * w / sum(weights.values()) for j, w in weights.items()}
    chi = sum((seen[j] - n) ** 2 / n for j, n in expected.items())
    assert chi < 16.3, "p = 0.001 at three degrees of freedom"


def test_never_a_match_and_every_refusal_says_why(make_world):
    world = make_world().build(("image>image", "image>caption"))
    mine(world, Label(count=2), "l")
    found = mine(world, Itm(ranks=(2, 12), count=2), "i", CROSS, IMAGE, CAPTION, "edges:l")
    negatives = pairs(found, "negative")
    assert len(negatives) > 150
    assert not negatives & pairs(world.made["edges:l"], "positive")
    ids, similarities = world.neighbors("image>caption")
    for anchor, other in negatives:
        assert world.groups[anchor] != world.groups[other]
        assert world.splits[anchor] == world.splits[other]
    for row in edges(found):
        assert ids[row["anchor_id"], row["rank"]] == row["other_id"]
        assert similarities[row["anchor_id"], row["rank"]] == row["similarity"]
        assert row["rank"] < 12
        assert (row["rank"] < 2) <= (row["reason"] in ("rank", "positive"))
    reasons = {row["reason"] for row in edges(found, "refused")}
    assert reasons == {"positive", "rank", "not_drawn"}


def test_parts_of_other_sizes_give_the_same_edges(make_world):
    found = []
    for rows in (17, 500):
        world = make_world(part_rows=rows).build(("image>image", "image>caption"))
        found.append(edges(mine(world, Itm(count=3), "i", CROSS, IMAGE, CAPTION)))
    assert found[0] == found[1] != []


def test_settings_that_cannot_be_are_refused():
    with pytest.raises(ValueError, match="the first must be below the second"):
        Itm(ranks=(5, 5))
