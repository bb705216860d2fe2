import os
import pickle
from concurrent.futures import ThreadPoolExecutor

import fsspec
import pytest

from curate.manifests import storage
from curate.manifests.errors import DataError
from curate.manifests.shards import ShardReader


@pytest.fixture
def shards(tmp_path):
    for number in range(6):
        (tmp_path / f"{number}.tar").write_bytes(bytes(range(100 + number)))
    return [str(tmp_path / f"{number}.tar") for number in range(6)]


def open_files(shards):
    links = [f"/proc/self/fd/{name}" for name in os.listdir("/proc/self/fd")]
    return sum(os.path.realpath(link) in shards for link in links if os.path.islink(link))


def test_reads_spans_and_keeps_few_files_open(shards):
    reader = ShardReader(max_open=2)
    assert open_files(shards) == 0
    for _ in range(2):
        for number in range(6):
            assert reader.read(shards[number], 3, 5) == bytes([3, 4, 5, 6, 7])
            assert open_files(shards) <= 2
    reader.close()
    assert open_files(shards) == 0
    assert reader.read(shards[5], 104, 1) == b"\x68"


def test_a_used_reader_travels_without_its_files(shards):
    reader = ShardReader()
    reader.read(shards[0], 0, 1)
    other = pickle.loads(pickle.dumps(reader))
    reader.close()
    assert other.read(shards[0], 1, 2) == b"\x01\x02"


def test_says_what_is_missing(shards, tmp_path):
    reader = ShardReader()
    with pytest.raises(EOFError, match="5 bytes wanted at 98, 2 there"):
        reader.read(shards[0], 98, 5)
    with pytest.raises(FileNotFoundError):
        reader.read(str(tmp_path / "no.tar"), 0, 1)


def test_what_is_expected_is_only_a_hint(shards, tmp_path):
    reader = ShardReader()
    reader.expect(shards[1], 3, 10**6)
    reader.expect(str(tmp_path / "no.tar"), 0, 1)
    assert open_files(shards) == 1
    assert reader.read(shards[1], 3, 2) == b"\x03\x04"


def test_threads_share_a_reader_that_closes_files_all_the_time(shards):
    reader = ShardReader(max_open=1)
    asked = [(number, offset) for offset in range(90) for number in range(6)]
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda ask: reader.read(shards[ask[0]], ask[1], 1), asked))
    assert found == [bytes([offset]) for _, offset in asked]


def test_reads_any_fsspec_url():
    fsspec.filesystem("memory").pipe("/bucket/a.tar", b"0123456789")
    assert ShardReader().read("memory://bucket/a.tar", 4, 3) == b"456"
    with pytest.raises(FileNotFoundError):
        ShardReader().read("memory://bucket/none.tar", 0, 1)


def test_asks_a_store_again_but_not_for_ever(monkeypatch):
    waits, answers = [], []

    def flaky(url, offset, size):
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr(storage, "read_bytes", flaky)
    monkeypatch.setattr(storage.time, "sleep", waits.append)
    reader, url = ShardReader(), "s3://bucket/a.tar"
    answers[:] = [RuntimeError("503"), TimeoutError("slow"), b"ok"]
    assert reader.read(url, 0, 2) == b"ok"
    assert len(waits) == 2
    answers[:] = [RuntimeError("503")] * 3
    with pytest.raises(OSError, match=r"s3://bucket/a\.tar: RuntimeError: 503"):
        reader.read(url, 7, 2)
    answers[:] = [DataError("no s3fs here"), b"ok"]
    with pytest.raises(DataError):
        reader.read(url, 0, 2)
