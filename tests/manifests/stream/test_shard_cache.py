import hashlib
import multiprocessing
import os
import threading
import time
from concurrent.futures import CancelledError
from types import SimpleNamespace

import pytest
from byte_server import serving

from curate.manifests import storage
from curate.manifests.stream import shard_cache
from curate.manifests.stream.remote import RemoteReader
from curate.manifests.stream.shard_cache import CachedShard, ShardCache

pytest.importorskip("aiohttp")
SIZE = 1000


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch):
    monkeypatch.setattr(storage, "_WAIT_S", 0.001)
    monkeypatch.setattr(shard_cache, "_CHUNK", 300)


@pytest.fixture
def server(tmp_path):
    (tmp_path / "remote").mkdir()
    for number in range(6):
        (tmp_path / "remote" / f"{number}.tar").write_bytes(content(number))
    with serving(tmp_path / "remote") as server:
        yield server


def content(number):
    return bytes([number]) * (SIZE - 1) + b"!"


def shard(server, number, **changes):
    digest = hashlib.sha256(content(number)).hexdigest()
    known = {"bytes": SIZE, "sha256": digest}
    return CachedShard(f"{server.url}/{number}.tar", digest, **{**known, **changes})


def cache(tmp_path, shards=3.5, tries=2):
    return ShardCache(tmp_path / "cache", int(shards * SIZE), RemoteReader(4, tries, 5.0, {}))


def lease(store, what):
    return store.lease(what, threading.Event())


def names(tmp_path):
    return {path.name for path in (tmp_path / "cache").iterdir() if path.suffix != ".lock"}


def test_a_shard_is_fetched_once_and_then_needs_no_request(server, tmp_path):
    for _ in range(2):
        held = lease(cache(tmp_path), shard(server, 1))
        assert held.read(10, 3) == b"\1\1\1"
        assert held.read(SIZE - 1, 5) == b"!"
        held.close()
        assert sorted(r[1:] for r in server.requests) == [
            (0, 300),
            (300, 600),
            (600, 900),
            (900, SIZE),
        ]
    assert server.heads == []
    assert names(tmp_path) == {f"{shard(server, 1).name}.shard"}


def test_a_length_that_nobody_knows_is_asked_for(server, tmp_path):
    held = lease(cache(tmp_path), shard(server, 2, bytes=None, sha256=None))
    assert held.read(0, SIZE) == content(2)
    assert server.heads


def test_damaged_bytes_are_fetched_again_and_never_published(server, tmp_path):
    server.trouble = lambda path, start, earlier: "corrupt" if earlier == 2 else ""
    assert lease(cache(tmp_path), shard(server, 1)).read(0, SIZE) == content(1)
    assert len(server.requests) == 8
    server.trouble = lambda path, start, earlier: "corrupt" if start == 600 else ""
    with pytest.raises(OSError, match=r"sha256 .* came, the manifest says"):
        lease(cache(tmp_path), shard(server, 2))
    assert names(tmp_path) == {f"{shard(server, 1).name}.shard"}
    server.trouble = lambda path, start, earlier: ""
    seen = []
    wrong = shard(server, 3, check=lambda path: seen.append(path.read_bytes()))
    assert lease(cache(tmp_path), wrong)
    assert seen == [content(3)]


def test_a_file_that_is_shorter_than_the_manifest_says_is_refused(server, tmp_path):
    with pytest.raises(OSError, match="ends before byte 1100"):
        lease(cache(tmp_path), shard(server, 1, bytes=SIZE + 100))
    assert names(tmp_path) == set()


def test_a_fetch_that_fails_leaves_nothing_and_may_succeed_later(server, tmp_path):
    server.trouble = lambda path, start, earlier: "fail" if start else ""
    with pytest.raises(OSError, match="503"):
        lease(cache(tmp_path), shard(server, 1))
    assert names(tmp_path) == set()
    server.trouble = lambda path, start, earlier: ""
    assert lease(cache(tmp_path), shard(server, 1))


def test_the_longest_unused_goes_first_and_what_is_leased_stays(server, tmp_path):
    store = cache(tmp_path)
    held = {number: lease(store, shard(server, number)) for number in (0, 1, 2)}
    held.pop(1).close()
    held.pop(2).close()
    time.sleep(0.01)
    lease(store, shard(server, 1)).close()  # used again, so 2 is the longest unused but for 0
    held[3] = lease(store, shard(server, 3))
    here = {n for n in range(6) if f"{shard(server, n).name}.shard" in names(tmp_path)}
    assert here == {0, 1, 3}
    assert held[0].read(0, 1) == b"\0"
    held[4] = lease(store, shard(server, 4))
    asked = len(server.requests)
    assert lease(store, shard(server, 5)) is None  # 0, 3 and 4 are in use
    assert len(server.requests) == asked
    assert lease(cache(tmp_path, shards=0.5), shard(server, 5)) is None
    total = sum(path.stat().st_size for path in (tmp_path / "cache").iterdir())
    assert total <= 3.5 * SIZE


def test_a_lease_outlives_the_name_of_its_shard(server, tmp_path):
    held = lease(cache(tmp_path), shard(server, 0))
    for path in (tmp_path / "cache").glob("*.shard"):
        path.unlink()
    assert held.read(0, SIZE) == content(0)


def test_what_a_killed_process_left_is_swept_and_what_one_writes_counts(server, tmp_path):
    folder = tmp_path / "cache"
    folder.mkdir()
    stale = folder / f"x.shard{storage.SCRATCH}1-2"
    stale.write_bytes(b"\0" * 2 * SIZE)
    writing = folder / f"y.shard{storage.SCRATCH}1-3"
    writing.write_bytes(b"\0" * 2 * SIZE)
    number = os.open(writing, os.O_RDONLY)
    assert shard_cache.hold(number, alone=True)
    assert lease(cache(tmp_path, shards=3), shard(server, 0))
    assert not stale.exists()
    assert writing.exists()
    os.close(number)


def test_a_stop_ends_a_fetch(server, tmp_path):
    stop = threading.Event()
    stop.set()
    with pytest.raises(CancelledError):
        cache(tmp_path).lease(shard(server, 0), stop)
    assert names(tmp_path) == set()


def fetch(url, folder, numbers, out):
    store = ShardCache(folder, 100 * SIZE, RemoteReader(4, 2, 5.0, {}))
    server = SimpleNamespace(url=url)
    out.put([lease(store, shard(server, n)).read(0, SIZE) == content(n) for n in numbers])


def test_processes_that_want_one_shard_fetch_it_once(server, tmp_path):
    server.wait_s = 0.05
    context = multiprocessing.get_context("fork")
    out = context.Queue()
    arguments = (server.url, tmp_path / "cache", [1, 2], out)
    workers = [context.Process(target=fetch, args=arguments) for _ in range(3)]
    for worker in workers:
        worker.start()
    assert [out.get(timeout=60) for _ in workers] == [[True, True]] * 3
    for worker in workers:
        worker.join(10)
        assert worker.exitcode == 0
    spans = [(path, start) for path, start, _ in server.requests]
    assert len(spans) == len(set(spans)) == 8
    assert len(names(tmp_path)) == 2
