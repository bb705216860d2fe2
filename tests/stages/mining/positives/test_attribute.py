"""General attribute pairing against SQL."""

import numpy as np
import pytest

from curate.stages.mining.negatives.hard import Hard
from curate.stages.mining.positives.attribute import Attribute, gini

BASE = """
    select a.id, b.id from samples a join samples b
      on a.split = b.split and a.group_id <> b.group_id
    where {rule}
"""
DEEP = "len(string_split(a.taxon, '/')) >= 2 and (string_split(a.taxon, '/'))[:2]"
RULES = [
    ({"equal": ("camera",)}, "a.camera = b.camera"),
    ({"equal": ("camera", "height")}, "a.camera = b.camera and a.height = b.height"),
    ({"equal": ("height", "camera")}, "a.camera = b.camera and a.height = b.height"),
    ({"equal": (), "near": "height", "within": 2}, "abs(a.height - b.height) <= 2"),
    ({"equal": (), "near": "height"}, "a.height = b.height"),
    (
        {"equal": ("camera",), "near": "time", "within": 9},
        "a.camera = b.camera and abs(epoch(a.time) - epoch(b.time)) <= 9",
    ),
    ({"equal": ("taxon/2",)}, f"{DEEP} = (string_split(b.taxon, '/'))[:2]"),
    ({"equal": ("taxon",)}, "a.taxon = b.taxon"),
]


def taken(rows):
    return [(r["anchor_id"], r["other_id"]) for r in rows if r["role"] == "positive"]


@pytest.mark.parametrize("count", [1, 4, 64])
@pytest.mark.parametrize(("settings", "rule"), RULES, ids=lambda item: str(item)[:40])
def test_it_draws_what_sql_allows(make_cameras, settings, rule, count):
    world = make_cameras(n=150, cameras=4).build()
    found = taken(world.mine(Attribute(count=count, **settings)))
    allowed = set(world.sql().execute(BASE.format(rule=rule)).fetchall())
    assert len(found) == len(set(found))
    assert set(found) <= allowed
    assert len(allowed) > 10
    for i in range(150):
        there = sum(a == i for a, _ in allowed)
        assert sum(a == i for a, _ in found) == min(count, there)


def test_weights_and_caps_by_value(make_cameras):
    world = make_cameras(n=200, cameras=5).build()
    miner = Attribute(equal=("taxon",), balance="camera", gamma=0.5, max_per_value=2, count=8)
    rows = world.mine(miner)
    camera = world.attributes["camera"].to_pylist()
    counts = {name: camera.count(name) for name in set(camera) - {None}}
    assert {row["reason"] for row in rows} >= {"", "value_cap"}
    seen = {}
    for row in rows:
        here = seen.setdefault(row["anchor_id"], {})
        name = camera[row["other_id"]]
        if not row["reason"]:
            assert row["weight"] == pytest.approx(counts.get(name, 1) ** -0.5)
            here[name] = here.get(name, 0) + 1
            assert name is None or here[name] <= 2
        elif row["reason"] == "value_cap":
            assert here[name] == 2


def test_facts(make_cameras):
    world = make_cameras(n=200, cameras=5).build()
    world.mine(Attribute(equal=("camera", "taxon")))
    facts = world.made["edges:m"].receipts[0].facts
    sql = """select count(*) from samples where camera is not null and taxon is not null
        group by camera, taxon"""
    sizes = [n for (n,) in world.sql().execute(sql).fetchall()]
    assert facts["values"] == len(sizes)
    assert facts["coverage"] == pytest.approx(sum(sizes) / 200)
    # Half the mean absolute difference over the mean.
    spread = np.abs(np.subtract.outer(sizes, sizes)).mean() / (2 * np.mean(sizes))
    assert facts["gini"] == pytest.approx(spread, abs=1e-6)


def test_gini():
    assert gini(np.array([3, 3, 3])) == pytest.approx(0)
    assert gini(np.array([0, 0, 0, 8])) == pytest.approx(0.75)
    assert gini(np.zeros(0, np.int64)) == 0


def test_bad_settings():
    for settings, message in (
        ({"equal": ()}, "at least one attribute"),
        ({"within": 3}, "within needs `near`"),
        ({"gamma": 0.5}, "need `balance`"),
        ({"balance": "camera"}, "balance does nothing"),
    ):
        with pytest.raises(ValueError, match=message):
            Attribute(**settings)


def test_hard_negatives_leave_out_those_that_share_an_attribute(make_cameras):
    world = make_cameras(n=150, cameras=3, k=40).build()
    miner = Hard(ranks=(0, 40), count=1000, exclude_attributes=("camera", "height"))
    rows = world.mine(miner, "m", "graph:image>image", "vectors:image")
    camera, height = (world.attributes[n].to_pylist() for n in ("camera", "height"))
    assert {row["reason"] for row in rows} == {"", "same_attribute"}
    for row in rows:
        i, j = row["anchor_id"], row["other_id"]
        same = any(v[i] is not None and v[i] == v[j] for v in (camera, height))
        assert same == (row["reason"] == "same_attribute")
