"""Incremental false negatives against a loop that raises the progress step by step."""

import numpy as np
import pytest

from curate.stages.clusters.assign import Assign
from curate.stages.clusters.ranks import Ranks
from curate.stages.clusters.settings import ClusterSettings
from curate.stages.clusters.train import Train
from curate.stages.mining.false_negatives.ifnd import Ifnd
from curate.stages.mining.positives.knn import Knn
from curate.stages.mining.stage import Mine


def mined(world, miner):
    settings = ClusterSettings(space="image", levels=(9, 3))
    world.run(Train(settings=settings), "centroids:c", vectors="vectors:image")
    world.run(
        Assign(settings=settings), "clusters:c", vectors="vectors:image", trained="centroids:c"
    )
    world.run(Ranks(), "ranks:c", clusters="clusters:c")
    world.run(Mine(miner=Knn(k=1), id="knn"), "edges:knn", "graph:image>image")
    needs = ("graph:image>image", "clusters:c", "ranks:c", "edges:knn")
    made = world.run(Mine(miner=miner, id="ifnd"), "mined", *needs)
    ids, ranks = world.made["clusters:c"], world.made["ranks:c"]
    return (
        [row for table in made.tables() for row in table.to_pylist()],
        np.concatenate([ids.array(part, "ids.npy") for part in ids.parts])[:, miner.level],
        ranks.array("part-00000", f"rank-{miner.level}.npy"),
    )


@pytest.mark.parametrize(
    ("level", "first", "last"), [(0, 0.0, 1.0), (1, 0.0, 0.6), (1, 0.25, 0.75), (0, 0.5, 0.5)]
)
def test_masked_exactly_from_when_both_are_accepted(make_world, level, first, last):
    world = make_world(n=150).build()
    miner = Ifnd(clusters="c", level=level, first=first, last=last, k=12)
    rows, ids, ranks = mined(world, miner)
    n = int((ids >= 0).sum())

    def masked(row, progress):
        a, b = row["anchor_id"], row["other_id"]
        limit = int(np.floor((first + (last - first) * progress) * n))
        return ids[a] == ids[b] >= 0 and ranks[a] < limit and ranks[b] < limit

    seen = set()
    for row in rows:
        held = row["reason"] != "positive"
        seen.add(row["reason"])
        if row["role"] == "false_negative":
            assert row["action"] == "eliminate"
            assert masked(row, row["valid_from"] + 1e-7)
            assert not masked(row, row["valid_from"] - 1e-6) or row["valid_from"] == 0
        elif held:
            assert not masked(row, 1.0)
            same = ids[row["anchor_id"]] == ids[row["other_id"]] != -1
            assert row["reason"] == ("not_accepted" if same else "other_cluster")
    assert {"", "positive", "other_cluster"} <= seen
    assert ("not_accepted" in seen) == (last < 1)


def test_nothing_holds_at_the_start_and_more_later(make_world):
    world = make_world(n=150).build()
    rows, _, _ = mined(world, Ifnd(clusters="c", k=12))
    valid = np.array([row["valid_from"] for row in rows if row["role"] == "false_negative"])
    assert valid.min() > 0
    assert valid.max() <= 1
    counts = [(valid <= p).sum() for p in np.linspace(0, 1, 11)]
    assert counts == sorted(counts)
    assert counts[0] == 0
    assert counts[-1] == len(valid)


def test_every_neighbour_is_looked_at(make_world):
    world = make_world(n=90).build()
    rows, _, _ = mined(world, Ifnd(clusters="c", k=7))
    ids, _ = world.neighbors()
    assert [r["other_id"] for r in rows] == [i for i in ids[:, :7].reshape(-1) if i >= 0]


def test_a_schedule_that_shrinks_is_refused():
    with pytest.raises(ValueError, match="must not be below"):
        Ifnd(first=0.9, last=0.1)
