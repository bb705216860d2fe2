"""Temporal positives: the same place at another time, against SQL and the haversine formula."""

import math

import numpy as np
import pyarrow as pa
import pytest

from curate.manifests.errors import ConfigError
from curate.stages.mining.positives.place import Place

SQL = """
    select a.id, b.id from samples a join samples b
      on a.camera = b.camera and a.split = b.split and a.group_id <> b.group_id
    where a.time <> b.time and abs(epoch(a.time) - epoch(b.time)) >= {least}
      and abs(epoch(a.time) - epoch(b.time)) <= {most}
"""


def taken(rows):
    return [(r["anchor_id"], r["other_id"]) for r in rows if r["role"] == "positive"]


def by_anchor(allowed, n):
    return [{b for a, b in allowed if a == i} for i in range(n)]


@pytest.mark.parametrize("count", [1, 3, 64])
@pytest.mark.parametrize(("least", "most"), [(0, None), (10, None), (5, 20), (7, 7)])
def test_it_draws_what_sql_allows(make_cameras, count, least, most):
    world = make_cameras(cameras=3).build()
    miner = Place(location="camera", count=count, min_gap_s=least, max_gap_s=most)
    rows = world.mine(miner)
    allowed = by_anchor(
        world.sql().execute(SQL.format(least=least, most=1e9 if most is None else most)).fetchall(),
        len(world),
    )
    found = by_anchor(taken(rows), len(world))
    assert len(taken(rows)) == len(set(taken(rows)))
    assert sum(map(len, allowed)) > 20
    for there, ours in zip(allowed, found, strict=True):
        assert ours <= there
        assert len(ours) == min(count, len(there))
    for row in rows:
        if row["role"] == "refused":
            assert row["reason"] == "duplicate"
            assert world.groups[row["anchor_id"]] == world.groups[row["other_id"]]


def test_without_a_time_every_other_image_of_the_place_is_allowed(make_cameras):
    world = make_cameras().build()
    rows = world.mine(Place(location="camera", time=None, count=64))
    sql = """select a.id, b.id from samples a join samples b
        on a.camera = b.camera and a.split = b.split and a.group_id <> b.group_id"""
    assert set(taken(rows)) == set(world.sql().execute(sql).fetchall())


def test_it_draws_evenly(make_cameras):
    n = 12
    world = make_cameras(
        n=n,
        splits=["x"] * n,
        groups=np.arange(n),
        labels=[[]] * n,
        more={
            "camera": pa.array(["c"] * n),
            "time": pa.array(np.arange(n) * 10**6 + 10**15).cast(pa.timestamp("us", tz="UTC")),
        },
    ).build()
    counts = np.zeros((n, n))
    for seed in range(500):
        for a, b in taken(world.mine(Place(location="camera", count=2, max_gap_s=5), seed=seed)):
            counts[a, b] += 1
    assert (counts[0, 6:] == 0).all()
    expected = 500 * 2 / 10
    # Anchor 5 has ten within 5 s; 9 degrees of freedom, p = 0.001.
    chi = ((np.delete(counts[5, :11], 5) - expected) ** 2 / expected).sum()
    assert chi < 27.9


def haversine(a, b):
    lat1, lon1, lat2, lon2 = map(math.radians, (*a, *b))
    h = math.sin((lat2 - lat1) / 2) ** 2
    h += math.cos(lat1) * math.cos(lat2) * math.sin((lon2 - lon1) / 2) ** 2
    return 2 * 6_371_008.8 * math.asin(math.sqrt(min(1, h)))


def scattered(n, seed=1):
    """Points around the dateline, both poles and elsewhere, a few kilometres apart."""
    rng = np.random.default_rng(seed)
    centres = np.array([[10, 180], [10, -180], [90, 0], [89.99, 77], [-90, 5], [48, 11]])
    at = centres[rng.integers(0, len(centres), n)] + rng.normal(size=(n, 2)) * 0.01
    lat, lon = np.clip(at[:, 0], -90, 90), at[:, 1]
    lat[::19] = np.nan
    lat[5] = 91
    return lat, lon


@pytest.mark.parametrize("metres", [300, 1500, 10_000_000])
@pytest.mark.parametrize("time", ["time", None])
def test_places_by_distance_equal_the_haversine_formula(make_cameras, metres, time):
    n = 120
    lat, lon = scattered(n)
    world = make_cameras(
        n=n, more={"lat": pa.array(lat, from_pandas=True), "lon": pa.array(lon)}
    ).build()
    miner = Place(coordinates=("lat", "lon"), metres=metres, time=time, count=64)
    found = by_anchor(taken(world.mine(miner)), n)
    stamps = world.attributes["time"].to_pylist()
    seen = 0
    for i in range(n):
        allowed = {
            j
            for j in range(n)
            if world.splits[i] == world.splits[j]
            and world.groups[i] != world.groups[j]
            and abs(lat[i]) <= 90
            and abs(lat[j]) <= 90
            and haversine((lat[i], lon[i]), (lat[j], lon[j])) <= metres
            and (time is None or (stamps[i] and stamps[j] and stamps[i] != stamps[j]))
        }
        assert found[i] <= allowed
        assert len(found[i]) == min(64, len(allowed))
        seen += any(abs(lon[i] - lon[j]) > 300 for j in found[i])
    assert metres < 1000 or seen, "no pair over the dateline was tried"


def test_pieces_do_not_change_the_draws(make_cameras, monkeypatch):
    lat, lon = scattered(120)
    world = make_cameras(
        more={"lat": pa.array(lat, from_pandas=True), "lon": pa.array(lon)}
    ).build()
    miner = Place(coordinates=("lat", "lon"), metres=5000, count=3)
    whole = world.mine(miner, "whole")
    monkeypatch.setattr("curate.stages.mining.positives.place._HELD", 5)
    again = world.mine(miner, "whole")
    assert again == whole


def test_bad_settings_and_columns(make_cameras):
    with pytest.raises(ValueError, match="max_gap_s 1 is below min_gap_s 5"):
        Place(min_gap_s=5, max_gap_s=1)
    with pytest.raises(ValueError, match="need the attribute `time`"):
        Place(time=None, min_gap_s=5)
    world = make_cameras(n=20).build()
    with pytest.raises(ConfigError, match="no column 'attr_location'"):
        world.mine(Place())
    with pytest.raises(ConfigError, match="'attr_camera' of samples holds string"):
        world.mine(Place(location="camera", time="camera"))
