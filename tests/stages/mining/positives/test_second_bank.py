"""CMSF-2Q: the second bank's nearest, ranked by the first, by plain loops."""

import numpy as np
import pytest
from mined import GRAPH, IMAGE, by_anchor, edges, mine

from curate.stages.mining.positives.second_bank import SecondBank

SECOND = "image-view1>image-view1"
NEEDS = (GRAPH, f"graph:{SECOND}", IMAGE)


@pytest.fixture
def world(make_world):
    made = make_world()
    rng = np.random.default_rng(8)
    noisy = made.vectors["image"] + 0.35 * rng.normal(size=made.vectors["image"].shape)
    noisy /= np.linalg.norm(noisy, axis=1, keepdims=True)
    made.vectors["image-view1"] = noisy.astype(np.float16)
    return made.build((GRAPH.removeprefix("graph:"), SECOND))


@pytest.mark.parametrize(("k", "k2"), [(4, 4), (3, 9), (5, 20)])
def test_the_second_banks_nearest_are_ranked_by_the_first(world, k, k2):
    found = by_anchor(mine(world, SecondBank(k=k, k2=k2), "s", *NEEDS))
    lists, cosines = world.neighbors(SECOND)[0], world.cosines()
    seen = world.vectors["image"].any(axis=1)
    distant = 0
    for anchor in range(len(world)):
        near = [int(j) for j in lists[anchor, :k2] if j >= 0]
        known = [j for j in near if seen[anchor] and seen[j]]
        known.sort(key=lambda j, a=anchor: (-cosines[a, j], j))
        rows = found.get(anchor, [])
        assert {row["other_id"] for row in rows} == set(near)
        assert [r["other_id"] for r in rows if r["role"] == "positive"] == known[:k]
        assert [r["other_id"] for r in rows if r["reason"] == "not_chosen"] == known[k:]
        lost = {r["other_id"] for r in rows if r["reason"] == "no_vector"}
        assert lost == set(near) - set(known)
        first = set(world.neighbors()[0][anchor, :k].tolist())
        distant += len(set(known[:k]) - first)
        for row in rows:
            if row["similarity"] is not None:
                assert row["similarity"] == cosines[anchor, row["other_id"]]
    assert distant > 50, "the set is not the plain nearest"


def test_parts_of_other_sizes_give_the_same_edges(world, make_world):
    other = make_world(part_rows=500, vectors=world.vectors)
    other.build((GRAPH.removeprefix("graph:"), SECOND))
    miner = SecondBank(k=3, k2=8)
    assert edges(mine(world, miner, "s", *NEEDS)) == edges(mine(other, miner, "s", *NEEDS)) != []


@pytest.mark.parametrize(
    ("settings", "text"),
    [({"second": "image>image"}, "another graph"), ({"k": 9, "k2": 4}, "must not be above k2")],
)
def test_settings_that_cannot_be_are_refused(settings, text):
    with pytest.raises(ValueError, match=text):
        SecondBank(**settings)
