"""k-reciprocal re-ranking against the paper's algorithm on dense matrices, written with sets."""

import networkx as nx
import numpy as np
import pytest
from mined import GRAPH, IMAGE, by_anchor, edges, mine, pairs, prepared

from curate.stages.mining.false_negatives.k_reciprocal import KReciprocal as Detector
from curate.stages.mining.positives.k_reciprocal import KReciprocal
from curate.stages.mining.positives.knn import Knn


def dense_distances(world, k1, k2, farthest):
    """Return d_J [N, N] by Zhong's steps, and V; lists hold the sample itself first."""
    ids, _ = world.neighbors()
    cosines = world.cosines().astype(np.float64)
    n = len(world)
    lists = [[i, *(int(j) for j in row if j >= 0)] for i, row in enumerate(ids)]

    def reciprocal(i, k):
        return {j for j in lists[i][: k + 1] if i in lists[j][: k + 1]}

    v = np.zeros((n, n))
    half = int(np.around(k1 / 2))
    for i in range(n):
        core = reciprocal(i, k1)
        expanded = set(core)
        for c in core:
            candidate = reciprocal(c, half)
            if len(candidate & core) > 2 / 3 * len(candidate):
                expanded |= candidate
        for j in expanded:
            s = 1.0 if i == j else cosines[i, j]
            v[i, j] = np.exp(-max(2 - 2 * s, 0) / farthest)
        v[i] /= v[i].sum()
    mean = np.stack([v[lists[i][:k2]].mean(axis=0) for i in range(n)])
    low = np.stack([np.minimum(mean[i], mean).sum(axis=1) for i in range(n)])
    high = np.stack([np.maximum(mean[i], mean).sum(axis=1) for i in range(n)])
    return 1 - low / high, mean


@pytest.mark.parametrize(
    ("k1", "k2", "blend", "farthest"), [(20, 6, 0.3, 4.0), (9, 1, 0.0, 2.0), (5, 3, 1.0, 4.0)]
)
def test_it_equals_the_dense_algorithm(make_world, k1, k2, blend, farthest):
    world = make_world().build()
    miner = KReciprocal(
        k=15, count=4, k1=k1, k2=k2, blend=blend, farthest=farthest, max_distance=0.9
    )
    found = by_anchor(mine(world, miner, "kr", GRAPH, IMAGE, **prepared(world, miner)))
    jaccard, mean = dense_distances(world, k1, k2, farthest)
    np.testing.assert_allclose(mean.sum(axis=1), 1)
    np.testing.assert_allclose(jaccard, jaccard.T, atol=1e-12)
    assert ((jaccard > -1e-12) & (jaccard < 1 + 1e-12)).all()
    ids, sims = world.neighbors()
    count = 0
    for anchor in range(len(world)):
        near = [(int(j), float(s)) for j, s in zip(ids[anchor][:15], sims[anchor], strict=False)
                if j >= 0]  # fmt: skip
        final = {
            j: (1 - blend) * jaccard[anchor, j] + blend * (2 - 2 * s) / farthest for j, s in near
        }
        rows = found.get(anchor, [])
        for row in rows:
            expected = 1 - final[row["other_id"]]
            assert row["corrected_similarity"] == pytest.approx(expected, abs=1e-6)
        taken = [final[r["other_id"]] for r in rows if r["role"] == "positive"]
        best = sorted(x for x in final.values() if x <= 0.9)[:4]
        np.testing.assert_allclose(taken, best, atol=1e-6)
        count += len(taken)
    assert count > 60


def test_the_detector_takes_what_is_near_by_jaccard(make_world):
    world = make_world().build()
    mine(world, Knn(k=1), "knn", GRAPH)
    known = pairs(world.made["edges:knn"], "positive")
    miner = Detector(k=12, max_distance=0.6, action="attract")
    found = mine(world, miner, "kr", GRAPH, IMAGE, "edges:knn", **prepared(world, miner))
    jaccard, _ = dense_distances(world, 20, 6, 4.0)
    ids, _ = world.neighbors()
    expected = {(i, int(j)) for i, row in enumerate(ids) for j in row[:12]
                if j >= 0 and (i, int(j)) not in known and jaccard[i, j] <= 0.6}  # fmt: skip
    assert pairs(found, "false_negative") == pairs(found, "positive") == expected
    assert expected
    assert {row["reason"] for row in edges(found, "refused")} <= {"positive", "distance"}


def test_parts_of_other_sizes_give_the_same_edges(make_world):
    found = []
    for rows in (17, 500):
        world = make_world(part_rows=rows).build()
        miner = KReciprocal()
        found.append(edges(mine(world, miner, "kr", GRAPH, IMAGE, **prepared(world, miner))))
    assert found[0] == found[1] != []


def test_encodings_sum_to_one_and_hold_the_mutual_neighbours(make_world):
    world = make_world().build()
    miner = KReciprocal(k1=6)
    name = next(iter(prepared(world, miner).values()))
    ids, _ = world.neighbors()
    graph = nx.DiGraph((i, int(j)) for i, row in enumerate(ids) for j in row[:6] if j >= 0)
    rows = [world.made[name].array(part, "members.npy") for part in world.made[name].parts]
    weights = [world.made[name].array(part, "weights.npy") for part in world.made[name].parts]
    weights, members = np.concatenate(weights), np.concatenate(rows)
    np.testing.assert_allclose(weights.sum(axis=1), 1, atol=1e-6)
    for i, row in enumerate(members):
        mutual = {j for j in graph.successors(i) if graph.has_edge(j, i)} if i in graph else set()
        assert mutual | {i} <= set(row[row >= 0].tolist())
        assert (weights[i][row < 0] == 0).all()


def test_two_spaces_are_refused():
    with pytest.raises(ValueError, match="one space with itself"):
        KReciprocal(space="image>caption")
