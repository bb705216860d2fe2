"""Guide: SQL over the list with the least similar positive's cosine."""

import pytest
from mined import CAPTION, CAPTION_GRAPH, GRAPH, IMAGE, edges, mine, pairs

from curate.stages.mining.false_negatives.guide import Guide
from curate.stages.mining.positives.knn import Knn
from curate.stages.mining.positives.self_aug import SelfAug


def expected(world, positives, graph, k, margin, mutual):
    ids, sims = world.neighbors(graph)
    cosines = world.cosines(graph)
    space = graph.split(">")[1]
    there = world.vectors[space].any(axis=1)
    lists = [[int(j) for j in row[:k] if j >= 0] for row in ids]
    out = set()
    for i, row in enumerate(lists):
        mine_ = [j for a, j in positives if a == i and j != i]
        cut = min((float(cosines[i, j]) for j in mine_ if there[j]), default=1.0) - margin
        for rank, j in enumerate(row):
            if j not in mine_ and float(sims[i, rank]) > cut and (not mutual or i in lists[j]):
                out.add((i, j))
    return out


@pytest.mark.parametrize("mutual", [False, True])
@pytest.mark.parametrize(("k", "margin"), [(5, 0.0), (20, 0.1), (20, -0.05)])
@pytest.mark.parametrize("graph", ["image>image", "caption>caption"])
def test_it_masks_what_is_nearer_than_the_positive(make_world, graph, k, margin, mutual):
    world = make_world().build(("image>image", "caption>caption"))
    knn = mine(world, Knn(k=3, mutual=True), "knn", GRAPH)
    needs = {"image>image": (GRAPH, IMAGE), "caption>caption": (CAPTION_GRAPH, CAPTION)}[graph]
    miner = Guide(space=graph, k=k, margin=margin, symmetrise=mutual)
    found = mine(world, miner, "guide", *needs, "edges:knn")
    positives = pairs(knn, "positive")
    assert pairs(found, "false_negative") == expected(world, positives, graph, k, margin, mutual)
    reasons = {row["reason"] for row in edges(found, "refused")}
    assert reasons <= {"positive", "below_positive", "mutuality"}
    for row in edges(found, "refused"):
        if row["reason"] == "below_positive":
            assert row["similarity"] <= row["positive_similarity"] - margin + 1e-6


def test_another_view_as_the_only_positive_masks_nothing(make_world):
    world = make_world().build()
    mine(world, SelfAug(), "self_aug")
    found = mine(world, Guide(), "guide", GRAPH, IMAGE, "edges:self_aug")
    assert pairs(found, "false_negative") == set()
    assert {row["positive_similarity"] for row in edges(found)} == {1.0}
