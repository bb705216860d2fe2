"""Sequence positives against a plain walk over the frames of each camera."""

import pyarrow as pa
import pytest

from curate.stages.mining.positives.sequence import Sequence


def walk(world, window, both):
    """Return for each anchor its expected positives: before and after, nearest first."""
    n = len(world)
    camera = world.attributes["camera"].to_pylist()
    time = [t.timestamp() if t else None for t in world.attributes["time"].to_pylist()]
    expected = []
    for i in range(n):
        mates = [
            j
            for j in range(n)
            if camera[j] is not None
            and camera[i] == camera[j]
            and world.splits[i] == world.splits[j]
            and time[i] is not None
            and time[j] is not None
        ]
        mates.sort(key=lambda j: (time[j], j))
        found = []
        if i in mates:
            at = mates.index(i)
            for side in (mates[:at][::-1], mates[at + 1 :]):
                near = [j for j in side if abs(time[j] - time[i]) <= window]
                near = [j for j in near if world.groups[j] != world.groups[i]]
                found += near[:1] if both else near
        expected.append(sorted(found, key=lambda j, i=i: (abs(time[j] - time[i]), j)))
    return expected


def taken(rows, n):
    return [
        [r["other_id"] for r in rows if r["anchor_id"] == i and r["role"] == "positive"]
        for i in range(n)
    ]


@pytest.mark.parametrize("window", [0, 1, 5, 1000])
def test_nearest_before_and_after(make_cameras, window):
    world = make_cameras(n=150).build()
    rows = world.mine(Sequence(location="camera", window_s=window))
    expected = walk(world, window, True)
    assert taken(rows, 150) == expected
    assert sum(map(len, expected)) > 10


@pytest.mark.parametrize("count", [1, 4, 64])
@pytest.mark.parametrize("window", [0, 5, 30])
def test_all_within_the_window(make_cameras, window, count):
    world = make_cameras(n=150).build()
    rows = world.mine(
        Sequence(location="camera", window_s=window, take="all", count=count, reach=200)
    )
    assert taken(rows, 150) == [found[:count] for found in walk(world, window, False)]


def test_what_is_refused_says_why(make_cameras):
    world = make_cameras(n=150).build()
    time = world.attributes["time"].to_pylist()
    rows = world.mine(Sequence(location="camera", window_s=3))
    refused = [row for row in rows if row["role"] == "refused"]
    assert {row["reason"] for row in refused} == {"time_gap", "duplicate"}
    for row in refused:
        i, j = row["anchor_id"], row["other_id"]
        if row["reason"] == "time_gap":
            assert abs((time[i] - time[j]).total_seconds()) > 3
        else:
            assert world.groups[i] == world.groups[j]


def test_a_corpus_of_one_camera_needs_no_location(make_cameras):
    world = make_cameras(n=80).build()
    rows = world.mine(Sequence(location=None, window_s=5))
    world.attributes["camera"] = pa.array(["one"] * 80)
    assert taken(rows, 80) == walk(world, 5, True)
