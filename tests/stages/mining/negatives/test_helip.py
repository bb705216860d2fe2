"""HELIP: the largest agreements of the drawn pool, by a loop over every pair's cosines."""

import numpy as np
import pytest
from mined import CAPTION, GRAPH, IMAGE, by_anchor, edges, mine, pairs

from curate.manifests.fingerprint import draw_uniform
from curate.stages.mining.false_negatives.topk_threshold import TopkThreshold
from curate.stages.mining.negatives.helip import Helip
from curate.stages.mining.positives.knn import Knn
from curate.stages.mining.stage import seed_of

NEEDS = (IMAGE, CAPTION)


@pytest.fixture
def world(make_world):
    return make_world().build()


def agreements(world):
    image, text = world.cosines("image>image"), world.cosines("caption>caption")
    return np.maximum(image, 0) * np.maximum(text, 0)


def pool_of(world, anchor, size):
    """Return the drawn samples: rows of the split by group and id, the own group left out."""
    rows = [j for j in range(len(world)) if world.splits[j] == world.splits[anchor]]
    rows = sorted(rows, key=lambda j: (world.groups[j], j))
    rows = [j for j in rows if world.groups[j] != world.groups[anchor]]
    uniform = draw_uniform(seed_of(0, "h"), np.array([anchor]), "helip", size)[0]
    return [rows[int(u * len(rows))] for u in uniform]


@pytest.mark.parametrize("size", [7, 60, 900])
def test_the_most_agreeing_of_the_pool_are_taken(world, size):
    mine(world, Knn(k=2), "knn", GRAPH)
    mine(world, TopkThreshold(k=4, threshold=0.9), "fn", GRAPH, "edges:knn")
    found = mine(world, Helip(pool=size, count=4), "h", *NEEDS, "edges:knn", "edges:fn")
    known = pairs(world.made["edges:knn"], "positive")
    known |= pairs(world.made["edges:fn"], "false_negative")
    agreed, rows = agreements(world), by_anchor(found)
    taken = 0
    for anchor in range(len(world)):
        pool = {j for j in pool_of(world, anchor, size) if (anchor, j) not in known}
        best = sorted((j for j in pool if agreed[anchor, j] > 0), key=lambda j, a=anchor: (
            -agreed[a, j], j))[:4]  # fmt: skip
        mine_rows = rows.get(anchor, [])
        assert [row["other_id"] for row in mine_rows] == best
        for row in mine_rows:
            assert row["role"] == "negative"
            assert row["corrected_similarity"] == pytest.approx(agreed[anchor, row["other_id"]])
            assert row["similarity"] == world.cosines()[anchor, row["other_id"]]
        taken += len(best)
    assert taken > 200


def test_they_are_the_hardest_not_the_easiest(world):
    found = edges(mine(world, Helip(pool=400, count=3), "h", *NEEDS))
    agreed, allowed = agreements(world), world.allowed()
    chosen = np.array([row["corrected_similarity"] for row in found])
    anchors = np.array([row["anchor_id"] for row in found])
    typical = np.array([np.median(agreed[a][allowed[a]]) for a in anchors])
    assert (chosen > typical).mean() > 0.95


def test_two_negative_cosines_do_not_agree(make_world):
    rows = np.array([[1, 0], [-1, 0.0], [0.8, 0.6], [-0.8, -0.6]], np.float16)
    vectors = {"image": rows, "caption": rows}
    world = make_world(
        n=4,
        vectors=vectors,
        labels=[[]] * 4,
        splits=["train"] * 4,
        groups=np.arange(4),
        part_rows=4,
        k=3,
    ).build()
    found = pairs(mine(world, Helip(pool=200, count=3), "h", *NEEDS), "negative")
    assert found == {(0, 2), (2, 0), (1, 3), (3, 1)}


def test_a_sample_without_a_caption_has_no_hard_pair_and_is_none(make_world):
    captions = make_world().vectors["caption"].copy()
    captions[40:50] = 0
    world = make_world()
    world.vectors["caption"] = captions
    found = pairs(mine(world.build(), Helip(pool=300), "h", *NEEDS), "negative")
    assert found
    assert not {i for pair in found for i in pair} & set(range(40, 50))


def test_parts_of_other_sizes_give_the_same_edges(make_world):
    found = []
    for rows in (17, 500):
        world = make_world(part_rows=rows).build()
        found.append(edges(mine(world, Helip(), "h", *NEEDS)))
    assert found[0] == found[1] != []
