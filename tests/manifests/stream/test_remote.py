import asyncio
import pickle
import threading
import time
from concurrent.futures import CancelledError

import fsspec
import pytest
from byte_server import serving

from curate.manifests import storage
from curate.manifests.errors import DataError
from curate.manifests.stream.remote import RemoteReader, in_daemon

pytest.importorskip("aiohttp")
DATA = bytes(range(256)) * 8


@pytest.fixture(autouse=True)
def no_waits(monkeypatch):
    monkeypatch.setattr(storage, "_WAIT_S", 0.001)


@pytest.fixture
def server(tmp_path):
    (tmp_path / "a.tar").write_bytes(DATA)
    with serving(tmp_path) as server:
        yield server


def reader(requests=4, tries=3, timeout_s=10.0, options=None):
    return RemoteReader(requests, tries, timeout_s, options or {})


def test_reads_many_ranges_but_few_at_once(server):
    server.wait_s = 0.02
    one, url = reader(requests=3), f"{server.url}/a.tar"
    futures = [one.read(url, start, start + 10) for start in range(0, 200, 10)]
    assert b"".join(f.result() for f in futures) == DATA[:200]
    assert len(server.requests) == 20
    assert 2 <= server.most <= 3
    assert one.size(url).result() == len(DATA)


@pytest.mark.parametrize("trouble", ["fail", "truncate", "short"])
def test_a_passing_trouble_is_waited_out(server, trouble):
    server.trouble = lambda path, start, earlier: trouble if earlier < 2 else ""
    assert reader().read(f"{server.url}/a.tar", 7, 99).result() == DATA[7:99]
    assert len(server.requests) == 3


def test_a_lasting_trouble_is_an_error_with_its_url(server):
    server.trouble = lambda path, start, earlier: "fail"
    with pytest.raises(OSError, match=r"a\.tar: .*503"):
        reader().read(f"{server.url}/a.tar", 0, 9).result()
    assert len(server.requests) == 3


def test_what_another_try_cannot_mend_is_not_tried_again(server):
    with pytest.raises(OSError, match=r"none\.tar: FileNotFoundError"):
        reader().read(f"{server.url}/none.tar", 0, 9).result()
    server.trouble = lambda path, start, earlier: "whole"
    with pytest.raises(DataError, match="does not serve ranges"):
        reader().read(f"{server.url}/a.tar", 0, 9).result()
    assert len(server.requests) == 1


def test_the_end_of_a_file_is_a_short_answer(server):
    assert reader().read(f"{server.url}/a.tar", len(DATA) - 5, len(DATA) + 5).result() == DATA[-5:]


def test_a_store_that_never_answers_ends_in_time(server):
    server.trouble = lambda path, start, earlier: "stall"
    one, begun = reader(tries=2, timeout_s=0.2), time.monotonic()
    with pytest.raises(OSError, match=r"no answer within 0\.2 s, 2 times"):
        one.read(f"{server.url}/a.tar", 0, 9).result()
    assert 0.4 <= time.monotonic() - begun < 5
    server.trouble = lambda path, start, earlier: "stall" if start else ""
    stalled = [one.read(f"{server.url}/a.tar", 1, 9) for _ in range(4)]
    assert one.read(f"{server.url}/a.tar", 0, 9).result() == DATA[:9]  # waits for its turn
    assert all(isinstance(future.exception(), OSError) for future in stalled)


def test_a_request_can_be_given_up(server):
    server.trouble = lambda path, start, earlier: "stall"
    future = reader().read(f"{server.url}/a.tar", 0, 9)
    while not server.requests:
        time.sleep(0.01)
    assert future.cancel()
    with pytest.raises(CancelledError):
        future.result()


def test_file_systems_without_coroutines_have_deadlines_too(monkeypatch):
    fs = fsspec.filesystem("memory")
    fs.pipe("/remote/a.tar", DATA)
    one, url = reader(tries=1, timeout_s=0.2), "memory://remote/a.tar"
    assert one.read(url, 5, 9).result() == DATA[5:9]
    assert one.size(url).result() == len(DATA)
    hold = threading.Event()
    monkeypatch.setattr(type(fs), "cat_file", lambda *a, **k: hold.wait(30))
    with pytest.raises(OSError, match="no answer"):
        one.read(url, 5, 9).result()
    hold.set()


def test_options_reach_the_file_system_and_travel(server):
    one = reader(options={"headers": {"X-Who": "me"}})
    other = pickle.loads(pickle.dumps(one))
    assert other.read(f"{server.url}/a.tar", 0, 3).result() == DATA[:3]
    fs, _ = other._filesystem(f"{server.url}/a.tar")
    assert fs.kwargs["headers"] == {"X-Who": "me"}
    pytest.importorskip("s3fs")
    store, _ = reader(requests=64)._filesystem("s3://bucket/a.tar")
    assert store.config_kwargs == {"max_pool_connections": 64}


def test_what_a_daemon_raises_is_raised_where_it_is_asked_for():
    assert in_daemon(lambda: 3).result() == 3
    with pytest.raises(ZeroDivisionError):
        in_daemon(lambda: 1 // 0).result()

    async def waits():
        async with asyncio.timeout(0.05):
            await asyncio.wrap_future(in_daemon(lambda: time.sleep(0.3)))

    with pytest.raises(TimeoutError):
        asyncio.run(waits())
