"""Context positives against the softmax written out, frame by frame."""

import datetime
import math

import numpy as np
import pyarrow as pa
import pytest

from curate.pipeline.quality import miner_facts
from curate.stages.mining.positives.context import Context

UTC = datetime.UTC


def contexts(times):
    """Return the context of each time (None: missing), by the standard library's calendar."""
    years = [t.year for t in times if t is not None]
    low, high = min(years), max(years)
    out = []
    for t in times:
        if t is None:
            out.append(None)
            continue
        day = datetime.date(2020, t.month, t.day).timetuple().tm_yday - 1
        vector = [(t.year - low) / (high - low) if high > low else 0.0]
        for x in (day / 366, t.hour / 23, t.minute / 59, t.second / 59):
            angle = math.pi * (2 * x - 1)
            vector += [(math.sin(angle) + 1) / 2, (math.cos(angle) + 1) / 2]
        out.append(vector)
    return out


def years_of_frames(n, seed=3):
    rng = np.random.default_rng(seed)
    start = datetime.datetime(2019, 1, 1, tzinfo=UTC)
    steps = rng.integers(0, 3 * 365 * 24, n)
    times = [start + datetime.timedelta(hours=int(h), seconds=int(h) % 7) for h in steps]
    times[10] = times[11]
    for i in range(0, n, 23):
        times[i] = None
    return times


def softmax(world, t, i, strength=None):
    """Return {j: probability}, the self included, over the anchor's location and split."""
    times = world.attributes["time"].to_pylist()
    camera = world.attributes["camera"].to_pylist()
    vectors = contexts(times)
    if vectors[i] is None or camera[i] is None:
        return {}
    terms = {}
    for j in range(len(world)):
        if camera[j] != camera[i] or vectors[j] is None or world.splits[i] != world.splits[j]:
            continue
        if j != i and world.groups[i] == world.groups[j]:
            continue
        terms[j] = math.exp(-math.dist(vectors[i], vectors[j]) / t)
        if strength is not None:
            terms[j] *= math.exp(float(strength[i, j]) / 0.5)
    total = sum(terms.values())
    return {j: term / total for j, term in terms.items()}


@pytest.fixture
def frames(make_cameras):
    n = 150
    times = pa.array(years_of_frames(n), pa.timestamp("us", tz="UTC"))
    return make_cameras(n=n, cameras=3, more={"time": times}).build()


@pytest.mark.parametrize("t", [0.05, 0.5])
@pytest.mark.parametrize("count", [3, 64])
def test_weights_are_the_probabilities(frames, t, count):
    rows = frames.mine(Context(location="camera", t=t, count=count))
    for i in range(len(frames)):
        expected = softmax(frames, t, i)
        found = {
            r["other_id"]: r["weight"] for r in rows if r["anchor_id"] == i and not r["reason"]
        }
        best = sorted((p for j, p in expected.items() if j != i and p >= 1e-9), reverse=True)[
            :count
        ]
        assert (i in found) == (i in expected)
        assert len(found) == len(best) + (i in expected)
        for j, weight in found.items():
            assert weight == pytest.approx(expected[j], rel=1e-5)
        assert sorted((w for j, w in found.items() if j != i), reverse=True) == pytest.approx(
            best, rel=1e-5
        )


def test_facts_add_up(frames):
    t = 0.5
    world = frames
    found = world.mine(Context(location="camera", t=t, count=4))
    facts = miner_facts(world.made["edges:m"])
    expected = [softmax(world, t, i) for i in range(len(world))]
    known = sum(bool(item) for item in expected)
    own = sum(item.get(i, 0) for i, item in enumerate(expected)) / known
    listed = sum(r["weight"] for r in found if not r["reason"] and r["anchor_id"] != r["other_id"])
    assert facts["self_probability"] == pytest.approx(own, rel=1e-4)
    assert facts["non_self_rate"] == pytest.approx(1 - own, rel=1e-4)
    assert facts["listed_probability"] == pytest.approx(listed / known, rel=1e-4)
    assert facts["truncated_probability"] == pytest.approx(1 - own - listed / known, rel=1e-3)
    assert (facts["anchors"], facts["anchors_with_edges"]) == (len(world), known)


def test_context_times_embedding(frames):
    strength = frames.cosines()
    miner = Context(location="camera", t=0.3, count=5, mode="context_embedding", pool=200)
    rows = frames.mine(miner, "m", "vectors:image")
    for i in range(len(frames)):
        expected = softmax(frames, 0.3, i, strength)
        found = {
            r["other_id"]: r["weight"] for r in rows if r["anchor_id"] == i and not r["reason"]
        }
        best = sorted((p for j, p in expected.items() if j != i), reverse=True)[:5]
        others = [w for j, w in found.items() if j != i]
        assert others == pytest.approx(best, rel=1e-3)
        for j, weight in found.items():
            assert weight == pytest.approx(expected[j], rel=1e-3)


def test_a_large_location_is_compared_in_windows_of_time(frames):
    window = 16
    rows = frames.mine(
        Context(location="camera", t=0.5, count=64, window=window, min_probability=1e-30)
    )
    camera = frames.attributes["camera"].to_pylist()
    time = frames.attributes["time"].to_pylist()
    for name in {c for c in camera if c}:
        for split in ("train", "test"):
            line = sorted(
                (time[i], i)
                for i in range(len(frames))
                if camera[i] == name and frames.splits[i] == split and time[i]
            )
            line = [i for _, i in line]
            pieces = np.array_split(line, max(-(-len(line) // window), 1))
            sizes = {len(piece) for piece in pieces}
            assert max(sizes) <= window
            where = {
                int(i): number
                for number, piece in enumerate(
                    [
                        line[
                            len(line) * p // len(pieces)
                            if len(line) * p % len(pieces) == 0
                            else len(line) * p // len(pieces) + 1 : -(
                                -len(line) * (p + 1) // len(pieces)
                            )
                        ]
                        for p in range(len(pieces))
                    ]
                )
                for i in piece
            }
            for i in line:
                mates = {
                    j
                    for j in line
                    if where[j] == where[i] and j != i and frames.groups[i] != frames.groups[j]
                }
                found = {r["other_id"] for r in rows if r["anchor_id"] == i}
                assert found == mates | {i}


def test_improbable_ones_and_the_self_can_be_left_out(frames):
    rows = frames.mine(
        Context(location="camera", include_self=False, min_probability=0.01, count=64)
    )
    assert rows
    for row in rows:
        assert row["anchor_id"] != row["other_id"]
        assert (row["weight"] < 0.01) == (row["reason"] == "improbable")


def test_blocks_of_rows_do_not_change_anything(frames, monkeypatch):
    miner = Context(location="camera", t=0.2)
    whole = frames.mine(miner)
    monkeypatch.setattr("curate.stages.mining.positives.context._CELLS", 1)
    assert frames.mine(miner) == whole
