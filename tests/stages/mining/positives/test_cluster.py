"""Positives of a cluster, and neighbours within one, against loops over what is published."""

import numpy as np
import pytest
from scipy.stats import chisquare

from curate.stages.clusters.assign import Assign
from curate.stages.clusters.ranks import Ranks
from curate.stages.clusters.settings import ClusterSettings
from curate.stages.clusters.train import Train
from curate.stages.mining.positives.cluster import Cluster
from curate.stages.mining.positives.knn import Knn
from curate.stages.mining.stage import Mine


def cluster(world, space="image", **asked):
    settings = ClusterSettings(space=space, **asked)
    vectors = f"vectors:{space}"
    world.run(Train(settings=settings), "centroids:c", vectors=vectors)
    world.run(Assign(settings=settings), "clusters:c", vectors=vectors, trained="centroids:c")
    world.run(Ranks(), "ranks:c", clusters="clusters:c")
    made = world.made["clusters:c"]
    return np.concatenate([made.array(part, "ids.npy") for part in made.parts])


def mined(world, miner, *needs, seed=0):
    stage = Mine(miner=miner, id="m", seed=seed)
    made = world.run(stage, "mined", "clusters:c", "ranks:c", *needs)
    return [row for table in made.tables() for row in table.to_pylist()]


def offered(world, ids, anchor):
    """All that a cluster offers an anchor, one by one."""
    return [
        other
        for other in range(len(world))
        if ids[anchor] != -1
        and ids[other] == ids[anchor]
        and world.splits[other] == world.splits[anchor]
        and world.groups[other] != world.groups[anchor]
    ]


@pytest.mark.parametrize("level", [0, 1])
def test_each_anchor_draws_as_many_of_its_cluster_as_there_are(make_world, level):
    world = make_world(n=150).build()
    ids = cluster(world, levels=(12, 4))[:, level]
    rows = mined(world, Cluster(clusters="c", level=level, count=5))
    for anchor in range(len(world)):
        mine = [row for row in rows if row["anchor_id"] == anchor]
        taken = [row["other_id"] for row in mine]
        possible = offered(world, ids, anchor)
        assert set(taken) <= set(possible)
        assert len(taken) == len(set(taken)) == min(5, len(possible))
        assert [row["rank"] for row in mine] == list(range(len(mine)))
        assert {row["role"] for row in mine} <= {"positive"}
    assert ids[7] == -1  # A zero vector is in no cluster, and draws nothing.
    assert not [row for row in rows if 7 in (row["anchor_id"], row["other_id"])]


def test_draws_are_even_and_differ_by_seed(make_world):
    world = make_world(n=120).build()
    ids = cluster(world, k=2)[:, 0]
    anchor = next(a for a in range(120) if len(offered(world, ids, a)) > 10)
    possible = offered(world, ids, anchor)
    counts = dict.fromkeys(possible, 0)
    for seed in range(60):
        for row in mined(world, Cluster(clusters="c", count=4), seed=seed):
            if row["anchor_id"] == anchor:
                counts[row["other_id"]] += 1
    assert sum(counts.values()) == 240
    assert chisquare(list(counts.values())).pvalue > 1e-3


def test_similarities_are_noted_only_where_asked(make_world):
    world = make_world().build()
    cluster(world, space="caption", k=5)
    plain = mined(world, Cluster(clusters="c"))
    assert {row["similarity"] for row in plain} == {None}
    noted = mined(world, Cluster(clusters="c", space="image>image"), "vectors:image")
    cosines = world.cosines()
    for row in noted:
        want = cosines[row["anchor_id"], row["other_id"]]
        assert row["similarity"] == pytest.approx(want, abs=1e-6)
    pairs = {(row["anchor_id"], row["other_id"]) for row in plain}
    assert pairs == {(row["anchor_id"], row["other_id"]) for row in noted}


def test_neighbours_within_a_cluster_are_its_nearest_on_the_list(make_world):
    world = make_world(n=140, k=25).build()
    ids = cluster(world, k=6)[:, 0]
    rows = mined(world, Knn(k=3, within="c", min_similarity=0.5), "graph:image>image")
    lists, sims = world.neighbors()
    for anchor in range(len(world)):
        wanted, found = [], 0
        for other, similarity in zip(lists[anchor], sims[anchor], strict=True):
            if found == 3 or other == -1:
                break
            if ids[anchor] == -1 or ids[other] != ids[anchor]:
                wanted.append((other, "other_cluster"))
                continue
            found += 1
            wanted.append((other, "" if similarity >= 0.5 else "min_similarity"))
        mine = [row for row in rows if row["anchor_id"] == anchor]
        assert [(row["other_id"], row["reason"]) for row in mine] == wanted
    assert {row["reason"] for row in rows} == {"", "other_cluster", "min_similarity"}


def test_without_clusters_knn_is_what_it_was(make_world):
    world = make_world().build()
    cluster(world, k=4)
    rows = mined(world, Knn(k=4), "graph:image>image")
    ids, _ = world.neighbors()
    assert [row["other_id"] for row in rows] == [i for i in ids[:, :4].reshape(-1) if i >= 0]


def test_parts_of_another_size_draw_the_same(make_world):
    found = []
    for size in (17, 1000):
        world = make_world(part_rows=size).build()
        cluster(world, levels=(9, 3))
        found.append(mined(world, Cluster(clusters="c", level=1)))
    assert found[0] == found[1]
