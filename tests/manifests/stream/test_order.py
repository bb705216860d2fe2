import hashlib

import numpy as np
import pytest

from curate.manifests.errors import UsageError
from curate.manifests.stream.order import order_named, permute, round_keys


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
        rows = order_named("global", 5, epoch, count).ordinals(np.arange(count))
        assert sorted(rows.tolist()) == list(range(count))


@pytest.mark.parametrize(("count", "seed", "epoch"), [(1, 0, 0), (100, 3, 2), (5000, 2**62, 11)])
def test_equals_the_scalar_description(count, seed, epoch):
    positions = np.unique(np.linspace(0, count - 1, 60).astype(np.int64))
    expected = [scalar_feistel(int(p), count, seed, epoch) for p in positions]
    assert order_named("global", seed, epoch, count).ordinals(positions).tolist() == expected


def test_a_row_does_not_depend_on_what_is_asked_with_it():
    order = order_named("global", 0, 0, 10_007)
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
    rows = order_named("global", 1, 0, count).ordinals(np.arange(count))
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
    first = [order_named("global", 0, e, count).ordinals(np.array([0]))[0] for e in range(epochs)]
    seen = np.bincount(first, minlength=count)
    assert ((seen - epochs / count) ** 2 / (epochs / count)).sum() < 30  # chi2, 9 d.o.f., p ~ 4e-4


def test_epochs_and_seeds_are_mixed_and_not_added():
    def walk(seed, epoch):
        return order_named("global", seed, epoch, 500).ordinals(np.arange(500)).tolist()

    assert len({tuple(walk(s, e)) for s in range(4) for e in range(4)}) == 16
    assert walk(1, 1) != walk(2, 0)


def test_refuses_what_it_does_not_know():
    with pytest.raises(UsageError, match="allowed: global"):
        order_named("blok", 0, 0, 10)
    keys = round_keys(0, 0, "global")
    for wrong in ([-1], [10]):
        with pytest.raises(ValueError, match=r"0\.\.9"):
            permute(np.array(wrong), 10, keys)
