"""kNN in other spaces: equal captions and hubs, against SQL over all lists at once."""

import numpy as np
import pytest
from mined import CAPTION_GRAPH, GRAPH, edges, mine, pairs, prepared

from curate.stages.mining.positives.knn import Knn

HUBS = """
    with ranked as (
      select a, b, row_number() over (partition by b order by s desc, a) as place
      from graph where rank < {k}
    ) select a, b from ranked where place <= {cap}
"""


@pytest.mark.parametrize("k", [1, 4, 20])
@pytest.mark.parametrize("cap", [1, 3, 500])
def test_a_cap_on_hubs_equals_sql(make_world, k, cap):
    world = make_world().build()
    miner = Knn(k=k, hub_cap=cap)
    found = mine(world, miner, "knn", GRAPH, **prepared(world, miner))
    expected = set(world.sql().execute(HUBS.format(k=k, cap=cap)).fetchall())
    assert pairs(found, "positive") == expected
    others = [b for _, b in pairs(found, "positive")]
    assert max(np.bincount(others)) <= cap
    listed = world.sql().execute(f"select count(*) from graph where rank < {k}").fetchone()
    assert len(edges(found)) == listed[0]
    assert {row["reason"] for row in edges(found, "refused")} <= {"hub_cap"}


def test_ties_go_to_the_smaller_anchor(make_world):
    same = np.tile(np.array([[1.0, 0.0]], np.float16), (6, 1))
    world = make_world(
        n=6, k=5, vectors={"image": same}, labels=[[]] * 6, splits=["x"] * 6, groups=np.arange(6)
    ).build()
    miner = Knn(k=1, hub_cap=2)
    found = mine(world, miner, "knn", GRAPH, **prepared(world, miner))
    # All list 0, but 0 itself lists 1.
    assert pairs(found, "positive") == {(0, 1), (1, 0), (2, 0)}


def test_parts_of_other_sizes_give_the_same_edges(make_world):
    found = []
    for rows in (17, 500):
        world, miner = make_world(part_rows=rows).build(), Knn(k=5, hub_cap=3, mutual=True)
        found.append(edges(mine(world, miner, "knn", GRAPH, **prepared(world, miner))))
    assert found[0] == found[1] != []


def test_equal_captions_are_refused(make_world):
    world = make_world()
    captions = world.vectors["caption"]
    captions[10:20] = captions[10]
    world.build(("caption>caption",))
    found = mine(world, Knn(space="caption>caption", k=5, max_similarity=0.995), "k", CAPTION_GRAPH)
    alike = {(i, j) for i in range(10, 20) for j in range(10, 20)}
    assert not pairs(found, "positive") & alike
    assert pairs(found, "refused") & alike
    for row in edges(found):
        assert (row["reason"] == "max_similarity") == (row["similarity"] > 0.995)


def test_all_captions_identical_give_no_positive(make_world):
    same = np.tile(np.array([[0.6, 0.8]], np.float16), (9, 1))
    world = make_world(
        n=9, k=4, vectors={"caption": same}, labels=[[]] * 9, splits=["x"] * 9, groups=np.arange(9)
    ).build(("caption>caption",))
    found = mine(world, Knn(space="caption>caption", max_similarity=0.999), "k", CAPTION_GRAPH)
    assert pairs(found, "positive") == set()
    assert len(edges(found)) == 9 * 4


def test_captions_of_a_template_are_no_neighbours_and_have_none(make_world):
    junk = set(range(0, 120, 3))
    names = ["lake", "horse", "tree", "field", "town"]
    captions = [
        [f"Image of IMG_{i}.jpg"]
        if i in junk
        else [f"a {names[i % 5]} and the {names[i // 9 % 5]}"]
        for i in range(120)
    ]
    world = make_world(captions=captions).build(("caption>caption",))
    for limit, flagged in ((30, junk), (40, set())):
        miner = Knn(space="caption>caption", k=4, templates=limit)
        found = edges(mine(world, miner, "k", CAPTION_GRAPH, **prepared(world, miner)))
        assert len(found) > 300
        for row in found:
            wrong = {row["anchor_id"], row["other_id"]} & flagged
            assert row["reason"] == ("template" if wrong else "")
