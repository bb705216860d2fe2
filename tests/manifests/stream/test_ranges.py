import numpy as np
import pytest

from curate.manifests.stream.ranges import coalesce


def by_hand(places, gap, limit):
    """Return requests as (shard, start, stop, members), one payload after the other."""
    out = []
    for shard, start, size, at in sorted((s, o, z, i) for i, (s, o, z) in enumerate(places)):
        stop = start + size
        last = out[-1] if out else None
        if last is None or last["shard"] != shard or start - last["reach"] > gap:
            out.append({"shard": shard, "run": start, "reach": stop, "parts": {}})
            last = out[-1]
        last["reach"] = max(last["reach"], stop)
        last["parts"].setdefault((start - last["run"]) // limit, []).append((start, stop, at))
    pieces = []
    for run in out:
        for part in run["parts"].values():
            low, high = min(p[0] for p in part), max(p[1] for p in part)
            pieces.append((run["shard"], low, high, sorted(p[2] for p in part)))
    return pieces


@pytest.mark.parametrize("gap", [0, 10, 300, 10**9])
@pytest.mark.parametrize("limit", [1, 200, 10**9])
def test_neighbours_become_one_request_that_holds_them(gap, limit):
    rng = np.random.default_rng(gap + limit)
    shard, offset = rng.integers(0, 5, 200), rng.integers(0, 5000, 200)
    size = rng.integers(1, 60, 200)  # some overlap, some are equal, some are inside others
    found = coalesce(shard, offset, size, gap, limit)
    expected = by_hand(
        list(zip(shard.tolist(), offset.tolist(), size.tolist(), strict=True)), gap, limit
    )
    members = [sorted(np.flatnonzero(found.of == r).tolist()) for r in range(len(found))]
    got = zip(found.shard.tolist(), found.start.tolist(), found.stop.tolist(), members, strict=True)
    assert sorted(got) == sorted(expected)
    assert (found.start[found.of] <= offset).all()
    assert (found.stop[found.of] >= offset + size).all()
    assert (found.shard[found.of] == shard).all()
    assert (found.stop - found.start <= limit + size.max()).all()


def test_nothing_asks_for_nothing():
    none = np.zeros(0, np.int64)
    assert len(coalesce(none, none, none, 10, 10)) == 0


def test_offsets_beyond_four_gigabytes():
    far = np.array([6 << 40, (6 << 40) + 100, 5])
    found = coalesce(np.array([3, 3, 900_000]), far, np.array([50, 50, 5]), 50, 1000)
    assert found.start.tolist() == [6 << 40, 5]
    assert found.stop.tolist() == [(6 << 40) + 150, 10]
