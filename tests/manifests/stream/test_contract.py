"""The contract of the stream, A1 to A10 (design/streaming.md §1), with real worker processes."""

import json
import multiprocessing
import os
import shutil
import signal
import time

import pytest
from ranks import Ranks, content, noisy
from tiny_pairset import edit_manifest
from torch.utils.data import DataLoader

from curate.manifests import ImageTransform, PairStream, StateMismatch
from curate.manifests.errors import UsageError

# The machine may have fewer cores than a topology has workers; that is no matter here.
pytestmark = pytest.mark.filterwarnings("ignore:This DataLoader will create")
G = 24
SMALL = ImageTransform(4)
ORDERS = {
    "global": {},
    "block": {"order": "block", "window": 2},
    "clusters": {"order": "clusters", "clusters": 4},
    "plan": {"order": "plan", "plan": "b3"},
}
orders = pytest.mark.parametrize("order", list(ORDERS))
MATRIX = [(world, workers) for world in (1, 2, 4, 8) for workers in (0, 1, 3)]


@pytest.fixture(scope="module")
def expected(clustered):
    """The global batches of the epochs 0 and 1 in each order, by one process alone."""
    out = {}
    for order, settings in ORDERS.items():
        alone = Ranks(clustered[0], G, 1, 0, **settings)
        out[order] = [alone.run(), alone.run()]
        assert out[order][0] != out[order][1]
    return out


@orders
def test_a1_a_state_goes_on_bit_for_bit_on_another_topology_twice(clustered, expected, order):
    root, settings = clustered[0], ORDERS[order]
    first = Ranks(root, G, 4, 1, **settings)
    got = first.run(2)
    second = Ranks(root, G, 8, 0, json.loads(json.dumps(first.state())), **settings)
    got += second.run(1)
    third = Ranks(root, G, 1, 3, second.state(), **settings)
    got += third.run()
    at_the_boundary = third.state()
    assert (at_the_boundary["epoch"], at_the_boundary["samples_in_epoch"]) == (1, 0)
    got += third.run(1)  # the same workers go on into the next epoch
    fourth = Ranks(root, G, 2, 1, at_the_boundary, **settings)
    assert fourth.run(2) == expected[order][1][:2]
    fifth = Ranks(root, G, 2, 0, third.state(), **settings)
    got += fifth.run()
    assert got == expected[order][0] + expected[order][1]


def _train(root, path):
    stream = PairStream(root, G, seed=3, transform=noisy, rank=0, world_size=1)
    loader = stream.loader(2, prefetch_factor=2)
    while True:
        for batch in loader:
            with open(path, "a") as file:
                print(json.dumps([batch.pair_id.tolist(), loader.state_dict()]), file=file)


def test_a1_a_killed_job_goes_on_where_its_last_state_says(clustered, expected, tmp_path):
    path = tmp_path / "log"
    job = multiprocessing.get_context("fork").Process(target=_train, args=(clustered[0], path))
    job.start()
    while not path.exists() or path.read_text().count("\n") < 9:  # in the second epoch
        time.sleep(0.02)
        assert job.is_alive()
    os.kill(job.pid, signal.SIGKILL)
    job.join()
    lines = [json.loads(line) for line in path.read_text().split("\n")[:-1]]
    whole = [[pair[0] for pair in batch] for epoch in expected["global"] for batch in epoch]
    for at in (3, len(expected["global"][0]) - 1, 8):
        assert [line[0] for line in lines[: at + 1]] == whole[: at + 1]
        again = Ranks(clustered[0], G, 2, 1, lines[at][1])
        rest = [[pair[0] for pair in batch] for batch in again.run()]
        assert rest == whole[at + 1 :][: len(rest)]
        assert rest


def test_a2_every_topology_gives_the_same_batches(clustered, expected):
    for world, workers in MATRIX:
        assert Ranks(clustered[0], G, world, workers).run() == expected["global"][0]


@pytest.mark.parametrize("order", ["block", "clusters", "plan"])
def test_a2_every_order_is_one_order_on_some_topologies(clustered, expected, order):
    for world, workers in [(1, 3), (2, 1), (8, 0)]:
        got = Ranks(clustered[0], G, world, workers, **ORDERS[order]).run()
        assert got == expected[order][0], (world, workers)


@pytest.mark.slow
@pytest.mark.parametrize("order", ["block", "clusters", "plan"])
def test_a2_every_order_is_one_order_on_every_topology(clustered, expected, order):
    for world, workers in MATRIX:
        got = Ranks(clustered[0], G, world, workers, **ORDERS[order]).run()
        assert got == expected[order][0], (world, workers)


@orders
@pytest.mark.parametrize("drop_last", [True, False])
def test_a3_ranks_have_as_many_batches_of_one_size_and_len_is_exact(clustered, order, drop_last):
    root, _, planned = clustered
    for world in (1, 8):
        ranks = Ranks(root, G, world, 0, drop_last=drop_last, transform=SMALL, **ORDERS[order])
        batches = ranks.run()  # which holds the ranks against each other
        assert len(batches) == len(ranks.loaders[-1])
        assert {len(batch) for batch in batches} == {G}
    pairs = planned.size if order == "plan" else ranks.loaders[0].stream.pairs
    assert len(batches) == (pairs // G if drop_last else -(-pairs // G))


@orders
def test_a4_every_pair_comes_once_and_the_tail_is_another_each_epoch(clustered, tiny, order):
    root, _, planned = clustered
    train = {row for row, split in enumerate(tiny.splits) if split == "train"}
    every = set(planned.ravel().tolist()) if order == "plan" else train
    tails, pads = set(), set()
    for epoch in range(4):
        settings = {"seed": 1, "transform": SMALL, **ORDERS[order]}
        state = PairStream(root, G, **settings).state_at(epoch, 0)
        seen = [
            pair
            for batch in Ranks(root, G, 2, 0, state, **settings).run()
            for pair, valid, *_ in batch
            if valid
        ]
        assert len(set(seen)) == len(seen) == len(every) // G * G
        tails.add(frozenset(every - set(seen)))
        last = Ranks(root, G, 2, 0, state, drop_last=False, **settings)
        batches = last.run()
        whole = [pair for batch in batches for pair, valid, *_ in batch if valid]
        assert sorted(whole) == sorted(every)
        pads.add(tuple(pair for pair, valid, *_ in batches[-1] if not valid))
        assert len(batches[-1]) == G
    assert all(len(tail) == len(every) % G for tail in tails)
    assert len(tails) == len(pads) == (4 if len(every) % G else 1)


def test_a5_a_new_epoch_reaches_living_workers(clustered):
    root = clustered[0]
    quiet = PairStream(root, G, transform=SMALL)
    epochs = {}
    for epoch in (0, 1, 5):
        quiet.seek(epoch)
        epochs[epoch] = [batch.pair_id.tolist() for batch in quiet]
    assert epochs[0] != epochs[1] != epochs[5]
    stream = PairStream(root, G, transform=SMALL)
    ours, plain = (
        PairStream(root, G, transform=SMALL).loader(2),
        DataLoader(stream, batch_size=None, num_workers=2, persistent_workers=True),
    )
    for epoch in (0, 1, 5, 0):
        ours.set_epoch(epoch)
        stream.set_epoch(epoch)
        assert [batch.pair_id.tolist() for batch in ours] == epochs[epoch]
        assert [batch.pair_id.tolist() for batch in plain] == epochs[epoch]
    state = PairStream(root, G, transform=SMALL).loader().state_dict()
    assert (state["epoch"], ours.state_dict()["epoch"]) == (0, 1)


def test_a6_batches_count_when_they_are_handed_out(clustered):
    loader = PairStream(clustered[0], G, transform=SMALL).loader(3, prefetch_factor=2)
    for done, batch in enumerate(loader, 1):
        time.sleep(0.05)  # the workers read ahead
        epoch, at = divmod(done, len(loader))
        state = loader.state_dict()
        assert (state["epoch"], state["samples_in_epoch"]) == (epoch, at * G)
        del batch


@pytest.mark.parametrize("mode", ["mask", "replace"])
def test_a7_bad_images_move_nothing_and_shorten_no_rank(clustered, tmp_path, damage, mode):
    root = shutil.copytree(clustered[0], tmp_path / "out")
    damage(root, range(3, 200, 9))
    settings = {"on_bad_image": mode, "max_bad_fraction": 0.9, "drop_last": False}
    good = Ranks(clustered[0], G, 1, 0, drop_last=False).run()
    bad = Ranks(root, G, 1, 0, **settings).run()
    assert Ranks(root, G, 4, 1, **settings).run() == bad
    assert [len(batch) for batch in bad] == [len(batch) for batch in good]
    before, after = ([pair for batch in run for pair in batch] for run in (good, bad))
    changed = [at for at in range(len(before)) if before[at][0] != after[at][0]]
    assert changed == [at for at in range(len(before)) if after[at][2]]
    lost = [at for at in range(len(before)) if before[at][1] and not after[at][1]]
    assert bool(changed) == (mode == "replace")
    assert bool(lost) == (mode == "mask")
    state = PairStream(root, G, seed=3).state_at(0, 3)
    assert Ranks(root, G, 2, 0, state, **settings).run() == bad[3:]


@orders
def test_a8_a_resumed_stream_reads_only_what_it_hands_out(clustered, order):
    reads = []

    def counting(image, draw):
        reads.append(draw)
        return SMALL(image, draw)

    whole = PairStream(clustered[0], G, transform=counting, **ORDERS[order])
    stream = PairStream(clustered[0], G, transform=counting, **ORDERS[order])
    stream.load_state_dict(whole.state_at(3, 4))
    batch = next(iter(stream))
    assert len(reads) == len(batch.images)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"seed": 4}, "seed: 3 in the state, 4 here"),
        ({"split": "val", "batch_size": 4}, "split: 'train' in the state, 'val' here"),
        ({"batch_size": 20}, "does not divide the 48 pairs"),
        ({"order": "block"}, "order: 'global' in the state, 'block:64' here"),
        ({"order": "clusters", "clusters": 6}, "'global' in the state, 'clusters:6x4' here"),
        ({"order": "plan", "plan": "b3"}, "order: 'global' in the state, 'plan:b3' here"),
    ],
)
def test_a9_a_state_of_another_stream_is_refused_unless_not_strict(clustered, change, text):
    root = clustered[0]
    state = PairStream(root, G, seed=3).state_at(2, 2)
    other = PairStream(**{"root": root, "batch_size": G, "seed": 3, **change})
    for loads in (other, other.loader()):
        with pytest.raises(StateMismatch, match=text):
            loads.load_state_dict(state)
        loads.load_state_dict(state, strict=False)
        assert loads.state_dict()["epoch"] in (2, 3)


def test_a9_runs_of_other_lengths_are_other_orders(clustered):
    state = PairStream(clustered[0], G, order="clusters", clusters=6).state_at(0, 2)
    other = PairStream(clustered[0], G // 2, order="clusters", clusters=6)
    with pytest.raises(StateMismatch, match=r"'clusters:6x4' in the state, 'clusters:6x2' here"):
        other.load_state_dict(state)


def test_a9_a_state_of_another_pairset_or_version_is_refused(clustered, copy):
    state = PairStream(clustered[0], G).state_at(0, 2)
    with edit_manifest(copy) as manifest:
        manifest["created_by"] = "somebody else"
    with pytest.raises(StateMismatch, match="manifest_id"):
        PairStream(copy, G).load_state_dict(state)
    with pytest.raises(StateMismatch, match="version 2"):
        PairStream(clustered[0], G).load_state_dict({**state, "v": 2})
    other_order = {"algo": "feistel9", "mode": "global"}
    with pytest.raises(StateMismatch, match="feistel9"):
        PairStream(clustered[0], G).load_state_dict({**state, "order": other_order})


@pytest.mark.parametrize(
    ("method", "place", "order"),
    [
        ("fork", "memory", "global"),
        ("fork", "mapped", "clusters"),
        ("forkserver", "mapped", "clusters"),
        ("spawn", "memory", "plan"),
    ],
)
def test_a10_workers_start_in_every_way_and_open_files_themselves(
    clustered, tmp_path, method, place, order
):
    named = set(os.listdir("/dev/shm")) if os.path.isdir("/dev/shm") else set()
    settings = {"transform": SMALL, "captions": True, "cache": tmp_path, **ORDERS[order]}
    settings["memory_budget"] = 0 if place == "mapped" else 1 << 30
    stream = PairStream(clustered[0], G, **settings)
    assert (stream.columns.place == "memory") == (place == "memory")
    expected = [(content(batch), batch.captions) for batch in stream]
    loader = stream.loader(1, multiprocessing_context=method)
    assert [(content(batch), batch.captions) for batch in loader] == expected
    state = stream.__getstate__()
    assert state["_columns"] is state["_images"] is state["_planned"] is None
    if named:
        left = {name for name in set(os.listdir("/dev/shm")) - named if "curate" in name}
        assert not left


def test_a_batch_that_the_ranks_cannot_share_is_refused_at_once(clustered):
    with pytest.raises(UsageError, match="positive multiple of world_size=5"):
        PairStream(clustered[0], G, rank=0, world_size=5)
