import hashlib

import numpy as np
import pytest

from curate.manifests.errors import UsageError
from curate.manifests.stream.order import (
    BlockOrder,
    GlobalOrder,
    OrderSettings,
    PlanOrder,
    permute,
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
