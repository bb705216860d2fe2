"""Calibration against the min-max formula of isotonic regression, and where it must give up."""

from __future__ import annotations

import numpy as np
import pytest

from curate.manifests.errors import DataError
from curate.stages.mining.calibrate import Calibrate, curve, fit_precision, thresholds
from curate.stages.mining.false_negatives.topk_threshold import TopkThreshold
from curate.stages.mining.stage import Mine

GRAPH = "graph:image>image"


def calibrate(world, captions=True):
    needs = ("vectors:caption",) if captions else ()
    return world.run(Calibrate(graph="image>image"), "calibrate", *needs, graph=GRAPH)


def min_max(values, same):
    """Barlow et al. 1972: the fit at x is max over a <= x of min over b >= x of the mean."""
    return [
        max(
            min(same[(values >= a) & (values <= b)].mean() for b in values[values >= x])
            for a in values[values <= x]
        )
        for x in values
    ]


@pytest.mark.parametrize("seed", range(5))
def test_the_fit_equals_the_min_max_formula(seed):
    rng = np.random.default_rng(seed)
    similar = np.sort(rng.integers(0, 25, 60) / 25).astype(np.float32)
    same = rng.random(60) < similar
    fitted = fit_precision(similar, same)
    np.testing.assert_allclose(fitted, min_max(similar, same), atol=1e-12)


def test_a_threshold_is_the_least_similarity_that_is_precise_enough():
    similar = np.linspace(0, 1, 1001, dtype=np.float32)
    found = thresholds(similar, similar.astype(np.float64))
    assert found["attract"] == pytest.approx(0.9, abs=2e-3)
    assert found["eliminate"] == pytest.approx(0.5, abs=2e-3)
    assert thresholds(similar, np.full(1001, 0.49)) == {"attract": None, "eliminate": None}
    few = np.where(np.arange(1001) > 990, 1.0, 0.2)
    assert thresholds(similar, few)["attract"] is None, "ten pairs prove nothing"
    assert thresholds(np.zeros(0, np.float32), np.zeros(0)) == {"attract": None, "eliminate": None}


def test_labels_are_the_truth_where_there_are_any(make_world):
    world = make_world(n=200, dim=4).build()
    artifact = calibrate(world)
    facts = artifact.receipts[0].facts
    assert facts["truth"] == "label"
    table = artifact.table("part-00000").to_pydict()
    sets, cosines = [set(x) for x in world.labels], world.cosines()
    for i, j, s, same in zip(*(table[c] for c in list(table)[:4]), strict=True):
        assert sets[i]
        assert sets[j]
        assert i < j
        assert same == bool(sets[i] & sets[j])
        assert s == cosines[i, j]
    similar, same = np.array(table["similarity"], np.float32), np.array(table["same"])
    assert (np.diff(similar) >= 0).all()
    fitted = fit_precision(similar, same)
    np.testing.assert_allclose(fitted, table["precision"])
    again = thresholds(similar, np.array(table["precision"]))
    assert again == {name: facts[name] for name in again}
    assert facts["eliminate"] <= (facts["attract"] or 1)
    assert sum(step[2] for step in facts["curve"]) == facts["judged"] == len(similar)
    assert [step[1] for step in facts["curve"]] == sorted(step[1] for step in facts["curve"])


def test_captions_are_the_truth_where_labels_are_not(make_world):
    for labels in ([[]] * 300, [["one"]] * 300):
        world = make_world(n=300, dim=4, labels=labels).build()
        facts = calibrate(world).receipts[0].facts
        assert facts["truth"] == "caption"
        rows = world.vectors["caption"].astype(np.float32)
        cosines = (rows @ rows.T)[np.triu_indices(300, 1)]
        share = (cosines >= facts["caption_cut"]).mean()
        assert 0.0003 < share < 0.003, "the 99.9 % quantile of random pairs"


def test_captions_that_all_say_the_same_are_no_truth(make_world):
    same = np.tile(np.array([[1.0, 0.0]], np.float16), (300, 1))
    world = make_world(n=300, labels=[[]] * 300)
    world.vectors["caption"] = same
    facts = calibrate(world.build()).receipts[0].facts
    assert facts["truth"] == "none"
    assert "captions that say the same" in facts["why"]
    assert facts["attract"] is facts["eliminate"] is None


def test_nothing_to_judge_by_stops_a_miner_that_needs_it(make_world):
    world = make_world(n=100, labels=[[]] * 100).build()
    world.made["calibrate:image>image"] = calibrate(world, captions=False)
    facts = world.made["calibrate"].receipts[0].facts
    assert (facts["truth"], facts["judged"], facts["curve"]) == ("none", 0, [])
    needs = (GRAPH, "calibrate:image>image")
    with pytest.raises(DataError, match=r"no threshold can be calibrated .*uncalibrated: skip"):
        world.run(Mine(miner=TopkThreshold(), id="fn"), "edges:fn", *needs)
    stage = Mine(miner=TopkThreshold(uncalibrated="skip"), id="fn")
    found = world.run(stage, "edges:fn", *needs)
    assert found.rows == 0
    stage.check(found)


def test_a_space_that_is_never_precise_enough_masks_nothing_and_says_so(make_world):
    labels = [[f"c{i % 40}"] for i in range(200)]
    world = make_world(n=200, dim=16, labels=labels).build()
    world.made["calibrate:image>image"] = calibrate(world)
    facts = world.made["calibrate"].receipts[0].facts
    assert (facts["truth"], facts["attract"], facts["eliminate"]) == ("label", None, None)
    stage = Mine(miner=TopkThreshold(), id="fn")
    found = world.run(stage, "edges:fn", GRAPH, "calibrate:image>image")
    stage.check(found)
    assert found.rows == 0
    assert {receipt.facts["threshold"] for receipt in found.receipts} == {None}


@pytest.mark.parametrize("action", ["attract", "eliminate", "review"])
def test_the_miner_uses_the_threshold_of_its_action(make_world, action):
    world = make_world(n=200, dim=4, classes=3).build()
    world.made["calibrate:image>image"] = calibrate(world)
    facts = world.made["calibrate"].receipts[0].facts
    stage = Mine(miner=TopkThreshold(action=action), id="fn")
    found = world.run(stage, "edges:fn", GRAPH, "calibrate:image>image")
    used = facts["attract" if action == "attract" else "eliminate"]
    assert {receipt.facts["threshold"] for receipt in found.receipts} == {used}
    for table in found.tables():
        for row in table.to_pylist():
            assert (row["similarity"] >= used) == (row["role"] != "refused")


def test_twice_the_same(make_world):
    digests = []
    for rows in (32, 77):
        artifact = calibrate(make_world(n=150, part_rows=rows).build())
        digests.append(artifact.receipts[0].files[0]["sha256"])
    assert digests[0] == digests[1]


def test_the_curve_is_small():
    similar = np.linspace(0, 1, 10_000, dtype=np.float32)
    steps = curve(similar, np.floor(similar * 10) / 10)
    assert len(steps) == 11
