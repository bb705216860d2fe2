import hashlib

import numpy as np
import pytest

from curate.manifests.errors import UsageError
from curate.manifests.stream.order import (
    BlockOrder,
    ClusterOrder,
    GlobalOrder,
    OrderSettings,
    PlanOrder,
    permute,
    permute_each,
    round_keys,
)


def scalar_feistel(position, count, seed, epoch):
    """feistel4-v1 from its description, one Python int at a time."""
    digest = hashlib.blake2b(f"feistel4-v1/global/{seed}/{epoch}".encode(), digest_size=32).digest()
    keys = [int.from_bytes(digest[i : i + 8], "little") for i in range(0, 32, 8)]
    half = 1
    while 4**half < count:
        half += 1
    wide, mask = 2**64 - 1, 2**half - 1

    def mix(x):
        x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) & wide
        x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) & wide
        return x ^ (x >> 31)

    value = position
    while True:
        left, right = value >> half, value & mask
        for key in keys:
            left, right = right, left ^ (mix(right ^ key) & mask)
        value = (left << half) | right
        if value < count:
            return value


@pytest.mark.parametrize("count", [*range(1, 34), 63, 64, 65, 100, 255, 257, 1000, 4096, 4097])
def test_every_row_is_met_once(count):
    for epoch in (0, 1):
        rows = GlobalOrder(5, epoch, count).ordinals(np.arange(count))
        assert sorted(rows.tolist()) == list(range(count))


@pytest.mark.parametrize(("count", "seed", "epoch"), [(1, 0, 0), (100, 3, 2), (5000, 2**62, 11)])
def test_equals_the_scalar_description(count, seed, epoch):
    positions = np.unique(np.linspace(0, count - 1, 60).astype(np.int64))
    expected = [scalar_feistel(int(p), count, seed, epoch) for p in positions]
    assert GlobalOrder(seed, epoch, count).ordinals(positions).tolist() == expected


def test_a_row_does_not_depend_on_what_is_asked_with_it():
    order = GlobalOrder(0, 0, 10_007)
    whole = order.ordinals(np.arange(10_007))
    assert np.array_equal(
        np.concatenate(
            [order.ordinals(np.arange(i, min(i + 97, 10_007))) for i in range(0, 10_007, 97)]
        ),
        whole,
    )
    assert np.array_equal(order.ordinals(np.arange(6).reshape(2, 3)), whole[:6].reshape(2, 3))
    assert order.ordinals(np.zeros(0, np.int64)).shape == (0,)


def test_shuffles_as_a_random_permutation_does():
    count = 200_000
    rows = GlobalOrder(1, 0, count).ordinals(np.arange(count))
    displacement = np.abs(rows - np.arange(count)).mean() / count
    assert abs(displacement - 1 / 3) < 0.005
    assert abs(np.corrcoef(rows[:-1], rows[1:])[0, 1]) < 0.01
    # Clusters of 100 consecutive rows: partners of one cluster in a batch, 0.10 for iid batches.
    clusters = np.sort(rows[: 1024 * 150].reshape(150, 1024) // 100, axis=1)
    distinct = (np.diff(clusters, axis=1) != 0).sum(1) + 1
    iid = 2000 * (1 - (1 - 1 / 2000) ** 1024)
    assert abs(distinct.mean() - iid) < 10


def test_the_first_row_is_uniform_over_epochs():
    count, epochs = 10, 3000
    first = [GlobalOrder(0, e, count).ordinals(np.array([0]))[0] for e in range(epochs)]
    seen = np.bincount(first, minlength=count)
    assert ((seen - epochs / count) ** 2 / (epochs / count)).sum() < 30  # chi2, 9 d.o.f., p ~ 4e-4


def test_epochs_and_seeds_are_mixed_and_not_added():
    def walk(seed, epoch):
        return GlobalOrder(seed, epoch, 500).ordinals(np.arange(500)).tolist()

    assert len({tuple(walk(s, e)) for s in range(4) for e in range(4)}) == 16
    assert walk(1, 1) != walk(2, 0)


def test_refuses_what_it_does_not_know():
    with pytest.raises(UsageError, match="allowed: block, clusters, global, plan"):
        OrderSettings("blok")
    for wrong in ({"mode": "plan"}, {"plan": "b3"}, {"mode": "block", "plan": "b3"}):
        with pytest.raises(UsageError, match="go together"):
            OrderSettings(**wrong)
    with pytest.raises(UsageError, match="window=0"):
        OrderSettings("block", 0)
    keys = round_keys(0, 0, "global")
    for wrong in ([-1], [10]):
        with pytest.raises(ValueError, match=r"0\.\.9"):
            permute(np.array(wrong), 10, keys)


@pytest.mark.parametrize(("rows", "window"), [(10, 3), (7, 1), (1000, 2), (1, 5)])
@pytest.mark.parametrize("count", [1, 2, 9, 10, 11, 57, 60, 300])
def test_a_block_order_meets_every_row_once_and_stays_in_its_windows(count, rows, window):
    order = BlockOrder(3, 1, count, window, rows)
    found = order.ordinals(np.arange(count))
    assert sorted(found.tolist()) == list(range(count))
    assert np.array_equal(
        np.concatenate([order.ordinals(np.array([p])) for p in range(count)]), found
    )
    # Walk by hand: the blocks of a window come one window after the other.
    left = list(range(-(-count // rows)))
    at = 0
    while left:
        blocks, stop = set(), at
        while stop < count and len(blocks | {int(found[stop]) // rows}) <= window:
            blocks.add(int(found[stop]) // rows)
            stop += 1
        size = sum(min(rows, count - block * rows) for block in blocks)
        assert stop - at >= size or len(blocks) < window
        assert sorted(found[at : at + size].tolist()) == sorted(
            row for b in blocks for row in range(b * rows, min((b + 1) * rows, count))
        )
        left = [block for block in left if block not in blocks]
        at += size


def test_block_orders_of_two_epochs_and_windows_differ():
    def walk(epoch, window):
        return BlockOrder(0, epoch, 400, window, 20).ordinals(np.arange(400)).tolist()

    assert len({tuple(walk(e, w)) for e in range(3) for w in (1, 2, 4)}) == 9
    assert [row // 20 for row in walk(0, 1)][::20] != sorted(range(20))


def test_a_plan_order_moves_whole_batches():
    order = PlanOrder(5, 2, 120, 8)
    found = order.ordinals(np.arange(120)).reshape(15, 8)
    assert (found % 8 == np.arange(8)).all()
    assert sorted((found[:, 0] // 8).tolist()) == list(range(15))
    assert (found[:, 0] // 8 != np.arange(15)).any()
    assert (PlanOrder(5, 3, 120, 8).ordinals(np.arange(120)) != found.reshape(-1)).any()


@pytest.mark.parametrize("size", [1, 3, 8, 40])
@pytest.mark.parametrize("sizes", [[1], [5], [8, 8], [3, 0, 17, 1, 30], [1] * 20, [100, 2]])
def test_a_cluster_order_meets_every_row_once_in_runs_of_one_cluster(sizes, size):
    starts = np.cumsum([0, *sizes])
    count = int(starts[-1])
    own = np.repeat(np.arange(len(sizes)), sizes)
    walks = set()
    for epoch in range(3):
        order = ClusterOrder(3, epoch, count, size, starts)
        found = order.ordinals(np.arange(count))
        assert sorted(found.tolist()) == list(range(count))
        alone = [order.ordinals(np.array([p])) for p in range(count)]
        assert np.array_equal(np.concatenate(alone), found)
        runs = [own[found[at : at + size]] for at in range(0, count - size + 1, size)]
        pure = sum(len(set(run.tolist())) == 1 for run in runs)
        assert pure >= sum(m // size for m in sizes)
        walks.add(tuple(found.tolist()))
    assert len(walks) == 3 or count < 5


def test_clusters_are_shuffled_within_and_runs_among_themselves():
    starts = np.arange(0, 1001, 100)
    found = ClusterOrder(0, 0, 1000, 10, starts).ordinals(np.arange(1000)).reshape(100, 10)
    assert (found // 100 == found[:, :1] // 100).all()
    assert abs(np.corrcoef(np.arange(100), found[:, 0] // 100)[0, 1]) < 0.3
    assert (np.sort(found % 100, axis=1) != np.arange(10)).any(axis=1).all()


def test_ranges_of_their_own_are_permuted_as_one_range_is():
    keys = round_keys(4, 2, "x")
    for count in (1, 2, 3, 64, 65, 4097):
        positions = np.arange(min(count, 300))
        each = permute_each(
            positions, np.full_like(positions, count), np.tile(keys[:, None], len(positions))
        )
        assert np.array_equal(each, permute(positions, count, keys))
