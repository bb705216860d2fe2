"""Consensus: agreement by a loop over the whole corpus, with every pair's cosines."""

import numpy as np
import pytest
from mined import CAPTION, CAPTION_GRAPH, GRAPH, IMAGE, by_anchor, edges, mine, pairs

from curate.manifests.fingerprint import draw_uint64
from curate.stages.mining.positives.consensus import Consensus

GRAPHS = ("image>image", "caption>caption")
NEEDS = (GRAPH, CAPTION_GRAPH, IMAGE, CAPTION)


@pytest.fixture
def world(make_world):
    return make_world().build(GRAPHS)


def scale(world, graph, how):
    """Return a function (anchor, other) -> the comparable similarity, and the lists."""
    ids, _ = world.neighbors(graph)
    cosines = world.cosines(graph).astype(np.float64)
    lists = [[int(j) for j in row if j >= 0] for row in ids]
    if how == "none":
        return lambda i, j: cosines[i, j], lists
    if how == "rank":
        return lambda i, j: 1 - lists[i].index(j) / world.k if j in lists[i] else 0.0, lists
    drawn = (draw_uint64(0, np.arange(4096), "background", 2) % np.uint64(len(world))).astype(int)
    space = graph.split(">")[0]
    there = world.vectors[space].any(axis=1)
    values = [cosines[a, b] for a, b in drawn if a != b and there[a] and there[b]]
    return lambda i, j: (cosines[i, j] - np.mean(values)) / np.std(values), lists


@pytest.mark.parametrize("how", ["rank", "z", "none"])
@pytest.mark.parametrize(("agree", "join"), [("min", min), ("max", max)])
@pytest.mark.parametrize("votes", [1, 2])
def test_it_takes_the_largest_agreement(world, how, agree, join, votes):
    miner = Consensus(k=12, count=4, agree=agree, normalise=how, votes=votes)
    found = by_anchor(mine(world, miner, "c", *NEEDS))
    scales = [scale(world, graph, how) for graph in GRAPHS]
    there = world.vectors["image"].any(axis=1) & world.vectors["caption"].any(axis=1)
    count = 0
    for anchor in range(len(world)):
        near = [lists[anchor][:12] for _, lists in scales]
        every = sorted({j for row in near for j in row})
        rho = {j: join(f(anchor, j) for f, _ in scales) for j in every}
        allowed = [j for j in every if there[anchor] and there[j]
                   and sum(j in row for row in near) >= votes]  # fmt: skip
        allowed.sort(key=lambda j: (-np.float32(rho[j]), j))
        rows = found.get(anchor, [])
        taken = [row for row in rows if row["role"] == "positive"]
        ours = [rho[row["other_id"]] for row in taken]
        np.testing.assert_allclose(ours, [rho[j] for j in allowed[:4]], atol=1e-5)
        if how == "rank":
            assert [row["other_id"] for row in taken] == allowed[:4]
        for row in taken:
            assert row["corrected_similarity"] == pytest.approx(rho[row["other_id"]], abs=1e-4)
            assert row["similarity"] == world.cosines()[anchor, row["other_id"]]
        lacking = {row["other_id"] for row in rows if row["reason"] == "agreement"}
        assert all(sum(j in row for row in near) < votes for j in lacking)
        ranked = [row["corrected_similarity"] for row in rows]
        assert ranked == sorted(ranked, reverse=True)
        assert [row["rank"] for row in rows] == list(range(len(rows)))
        count += len(taken)
    assert count > 100


def test_above_the_ends_of_the_lists_nothing_in_the_corpus_agrees_more(world):
    found = by_anchor(mine(world, Consensus(k=20, count=6, normalise="none"), "c", *NEEDS))
    cosines = [world.cosines(graph) for graph in GRAPHS]
    allowed = world.allowed("image>image") & world.allowed("caption>caption")
    proven = 0
    for anchor, rows in found.items():
        rho = np.minimum(*(c[anchor] for c in cosines))
        ends = min(world.neighbors(graph)[1][anchor, -1] for graph in GRAPHS)
        taken = [row["other_id"] for row in rows if row["role"] == "positive"]
        others = [j for j in range(len(world)) if allowed[anchor, j] and j not in taken]
        for row in rows:
            if row["role"] == "positive" and row["corrected_similarity"] >= ends:
                proven += 1
                assert row["corrected_similarity"] >= rho[others].max() - 1e-6
    assert proven > 50


def test_a_sample_without_a_vector_in_one_space_is_refused(world, make_world):
    captions = world.vectors["caption"].copy()
    captions[20:30] = 0
    other = make_world(vectors={"image": world.vectors["image"], "caption": captions})
    found = mine(other.build(GRAPHS), Consensus(), "c", *NEEDS)
    assert not {j for pair in pairs(found, "positive") for j in pair} & set(range(20, 30))
    assert "no_vector" in {row["reason"] for row in edges(found, "refused")}


def test_parts_of_other_sizes_give_the_same_edges(make_world):
    found = []
    for rows in (17, 500):
        world = make_world(part_rows=rows).build(GRAPHS)
        found.append(edges(mine(world, Consensus(normalise="z"), "c", *NEEDS)))
    assert found[0] == found[1] != []


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"spaces": ("image>image", "image>image")}, "each graph once"),
        ({"spaces": ("image>image",)}, "at least 2"),
        ({"votes": 3}, "there are 2 spaces"),
    ],
)
def test_settings_that_cannot_be_are_refused(settings, text):
    with pytest.raises(ValueError, match=text):
        Consensus(**settings)
