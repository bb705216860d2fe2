"""False negatives over support crops: the k best of the corpus by a loop over all pairs."""

import numpy as np
import pytest
from mined import by_anchor, edges, mine, pairs

from curate.stages.mining.calibrate import Calibrate
from curate.stages.mining.false_negatives.topk_threshold import TopkThreshold

pytestmark = pytest.mark.filterwarnings("ignore:(All-NaN|Mean of empty)")
VIEWS = ("image-view1", "image-view2")
GRAPHS = ("image>image", *(f"{view}>image" for view in VIEWS))
NEEDS = (*(f"graph:{graph}" for graph in GRAPHS), "vectors:image", *(f"vectors:{v}" for v in VIEWS))


@pytest.fixture
def world(make_world):
    made = make_world()
    rng = np.random.default_rng(5)
    for view in VIEWS:
        noisy = made.vectors["image"] + 0.4 * rng.normal(size=made.vectors["image"].shape)
        rows = noisy / np.linalg.norm(noisy, axis=1, keepdims=True)
        made.vectors[view] = np.where(made.vectors["image"].any(axis=1)[:, None], rows, 0).astype(
            np.float16
        )
    made.vectors["image-view2"][30:40] = 0
    return made.build(GRAPHS)


def scores(world, join):
    """Return float32 [N, N]: the views' cosines joined; views without a vector do not count."""
    every = []
    for graph in GRAPHS:
        cosines = world.cosines(graph).astype(np.float64)
        cosines[~world.vectors[graph.split(">")[0]].any(axis=1)] = np.nan
        every.append(cosines)
    return join(np.stack(every), axis=0)


def test_the_largest_over_views_gives_the_k_best_of_the_corpus(world):
    k, cut = 6, 0.8
    found = by_anchor(mine(world, TopkThreshold(k=k, threshold=cut, views=2), "f", *NEEDS))
    joined, allowed = scores(world, np.nanmax), world.allowed()
    moved = taken = 0
    for anchor in range(len(world)):
        others = [j for j in range(len(world)) if allowed[anchor, j]]
        others.sort(key=lambda j, a=anchor: (-np.float32(joined[a, j]), j))
        rows = found.get(anchor, [])
        assert [row["other_id"] for row in rows] == others[:k]
        for row in rows:
            score = joined[anchor, row["other_id"]]
            assert row["corrected_similarity"] == pytest.approx(score, abs=1e-6)
            assert row["similarity"] == world.cosines()[anchor, row["other_id"]]
            assert (row["role"] == "false_negative") == (row["corrected_similarity"] >= cut)
            assert row["reason"] in ("", "threshold")
            taken += row["role"] == "false_negative"
        plain = world.neighbors()[0][anchor, :k]
        moved += {int(j) for j in plain if j >= 0} != set(others[:k])
    assert taken > 50
    assert moved > 20


def test_the_mean_over_views_ranks_what_some_view_lists(world):
    k = 5
    miner = TopkThreshold(k=k, threshold=-1, views=2, aggregate="mean")
    found = by_anchor(mine(world, miner, "f", *NEEDS))
    joined = scores(world, np.nanmean)
    lists = [world.neighbors(graph)[0] for graph in GRAPHS]
    for anchor, rows in found.items():
        listed = sorted({int(j) for ids in lists for j in ids[anchor, :k] if j >= 0})
        listed.sort(key=lambda j, a=anchor: (-np.float32(joined[a, j]), j))
        assert [row["other_id"] for row in rows] == listed[:k]


def test_no_view_is_the_plain_rule(world):
    one = edges(mine(world, TopkThreshold(k=6, threshold=0.8), "f", *NEEDS))
    two = edges(mine(world, TopkThreshold(k=6, threshold=0.8, aggregate="mean"), "f", *NEEDS))
    assert one == two
    assert {row["corrected_similarity"] for row in one} == {None}


def test_scores_are_calibrated_for_themselves(world):
    inputs = {"graph": "graph:image>image", "of:image": "vectors:image"}
    inputs |= {f"of:{view}": f"vectors:{view}" for view in VIEWS}
    stage = Calibrate(graph="image>image", views=2, pairs=2000)
    made = world.run(stage, "calibrate:image>image+max2", **inputs)
    rows = made.table(made.parts[0]).to_pylist()
    joined = scores(world, np.nanmax)
    assert len(rows) > 200
    for row in rows:
        score = joined[row["anchor_id"], row["other_id"]]
        assert row["similarity"] == pytest.approx(score, abs=1e-6)
    cut = made.receipts[0].facts["eliminate"]
    assert cut is not None
    miner = TopkThreshold(k=6, views=2)
    name = "calibrate:image>image+max2"
    calibrated = mine(world, miner, "c", *NEEDS, name)
    fixed = mine(world, TopkThreshold(k=6, views=2, threshold=cut), "c", *NEEDS)
    assert pairs(calibrated, "false_negative") == pairs(fixed, "false_negative") != set()


def test_parts_of_other_sizes_give_the_same_edges(world, make_world):
    miner = TopkThreshold(k=6, threshold=0.7, views=2)
    other = make_world(part_rows=500, vectors=world.vectors).build(GRAPHS)
    assert edges(mine(world, miner, "f", *NEEDS)) == edges(mine(other, miner, "f", *NEEDS)) != []


def test_a_symmetric_rule_over_views_is_refused():
    with pytest.raises(ValueError, match="cannot go with views"):
        TopkThreshold(views=2, symmetrise="and")
