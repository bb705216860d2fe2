"""Where a stream stands, seen from its workers and from other processes."""

import multiprocessing

import pytest
import torch

from curate.manifests import PairStream
from curate.manifests.errors import UsageError
from curate.manifests.stream import topology
from curate.manifests.stream.place import Place


def _elsewhere(place, queue):
    place.move(7, 3)
    place.set_progress(0.5)
    queue.put((place.now, place.progress))


def test_another_process_moves_only_itself():
    place, fork = Place(), multiprocessing.get_context("fork")
    place.move(1, 2)
    place.set_progress(0.25)
    queue = fork.Queue()
    rank = fork.Process(target=_elsewhere, args=(place, queue))
    rank.start()
    assert queue.get(timeout=60) == ((7, 3), 0.5)
    rank.join()
    assert (place.now, place.progress) == ((1, 2), 0.25)


def test_the_launcher_says_who_we_are(tiny, monkeypatch):
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "3")
    stream = PairStream(tiny.root, 24)
    assert stream.ranks() == (1, 3)
    assert len(next(iter(stream)).pair_id) == 8
    assert PairStream(tiny.root, 24, rank=0, world_size=1).ranks() == (0, 1)
    with pytest.raises(UsageError, match="multiple of world_size=3"):
        PairStream(tiny.root, 25)
    monkeypatch.setenv("WORLD_SIZE", "three")
    with pytest.raises(UsageError, match="are no numbers"):
        PairStream(tiny.root, 24)
    monkeypatch.delenv("RANK")
    assert PairStream(tiny.root, 24).ranks() == (0, 1)


def test_a_job_that_is_found_late_is_found_and_spawned_workers_are_told(tiny, monkeypatch):
    stream = PairStream(tiny.root, 24)
    assert stream.ranks() == (0, 1)
    monkeypatch.setattr(torch.distributed, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.distributed, "get_rank", lambda: 2)
    monkeypatch.setattr(torch.distributed, "get_world_size", lambda: 4)
    assert stream.ranks() == (2, 4)
    told = PairStream.__new__(PairStream)
    told.__dict__.update(stream.__getstate__())
    monkeypatch.setattr(torch.distributed, "get_world_size", lambda: 5)
    with pytest.raises(UsageError, match="multiple of world_size=5"):
        iter(stream)
    monkeypatch.setattr(torch.distributed, "is_initialized", lambda: False)
    assert told.ranks() == (2, 4)
    assert topology.found_ranks() is None
