import networkx as nx
import numpy as np
import pytest
from pydantic import ValidationError

from curate.stages.batches.b3 import B3

P, M, K = 5, 20, 8


def reference_edges(pool, skip=P, window=M):
    """Both ends rank each other in [p, p + m), by plain loops; and pairs within a first p."""
    place = {int(sample): at for at, sample in enumerate(pool.anchors)}
    ids, _ = pool.graphs["image>image"].rows(pool.anchors)
    hard, near = set(), set()
    for at, row in enumerate(ids):
        for rank, other in enumerate(row.tolist()):
            if other in place:
                if rank < skip:
                    near.add((at, place[other]))
                elif rank < skip + window:
                    hard.add((at, place[other]))
    return {(a, b) for a, b in hard if (b, a) in hard and a < b}, near


def groups_of(batches):
    return batches.reshape(-1, K)


@pytest.fixture
def made(pool):
    return B3(size=32, group=K, skip=P, window=M).compose(pool)


def test_groups_hold_many_more_edges_than_chance(pool, made):
    edges, _ = reference_edges(pool)
    graph = nx.Graph(edges)
    assert made.facts["edges"] == graph.number_of_edges()
    inside = sum(graph.subgraph(group).number_of_edges() for group in groups_of(made.places))
    rng = np.random.default_rng(0)
    chance = np.mean(
        [
            sum(
                graph.subgraph(group).number_of_edges()
                for group in rng.permutation(len(pool))[: made.places.size].reshape(-1, K)
            )
            for _ in range(5)
        ]
    )
    assert inside > 5 * chance
    # Groups that found no batch (the last ones) are counted in the facts, too.
    assert made.facts["inside"] >= inside
    assert made.facts["inside_random"] < made.facts["inside"] / 5


def test_a_row_and_its_first_p_share_no_group_and_neither_do_duplicates(pool, made):
    _, near = reference_edges(pool)
    group = np.full(len(pool), -1)
    group[made.places.reshape(-1)] = np.arange(made.places.size) // K
    met = [(a, b) for a, b in near if group[a] >= 0 and group[a] == group[b]]
    assert made.facts["forced"] == 0
    assert met == []
    for members in groups_of(made.places):
        assert len(np.unique(pool.groups[members])) == K


def test_swaps_only_add_edges(pool):
    still = B3(size=32, group=K, skip=P, window=M, rounds=0).compose(pool).facts
    moved = B3(size=32, group=K, skip=P, window=M, rounds=3).compose(pool).facts
    assert moved["swaps"] > 0
    assert moved["inside"] > still["inside"]


def test_isolated_rows_fill_up(make_pool):
    pool = make_pool(count=200)
    lonely = pool.graphs["image>image"].ids
    lonely[:, P:] = -1
    made = B3(size=16, group=K, skip=P, window=M).compose(pool)
    assert made.facts["edges"] == 0
    assert made.places.shape == (12, 16)


def test_when_all_are_near_rows_are_forced_together_and_counted(make_pool):
    pool = make_pool(count=40, k=39)
    made = B3(size=16, group=K, skip=38, window=1).compose(pool)
    assert made.places.shape == (2, 16)
    assert made.facts["forced"] > 0


def test_settings_that_cannot_work():
    with pytest.raises(ValidationError, match="multiple of group"):
        B3(size=100, group=32)
    assert B3(skip=30, window=100).graph_depths == {"image>image": 130}


def test_metis_starts_the_cut(pool):
    pytest.importorskip("pymetis")
    _, near = reference_edges(pool)
    made = B3(size=32, group=K, skip=P, window=M, partition="metis").compose(pool)
    assert len(np.unique(made.places)) == made.places.size
    assert made.facts["inside"] > 5 * made.facts["inside_random"]
    group = np.full(len(pool), -1)
    group[made.places.reshape(-1)] = np.arange(made.places.size) // K
    assert not [1 for a, b in near if group[a] >= 0 and group[a] == group[b]]
