import os
import pickle

import fsspec
import pytest

from curate.manifests import storage
from curate.manifests.errors import DataError
from curate.manifests.stream import bytes as stream_bytes
from curate.manifests.stream.bytes import ShardReader


@pytest.fixture
def shards(tmp_path):
    for number in range(6):
        (tmp_path / f"{number}.tar").write_bytes(bytes(range(100 + number)))
    return [str(tmp_path / f"{number}.tar") for number in range(6)]


def open_files(shards):
    links = [f"/proc/self/fd/{name}" for name in os.listdir("/proc/self/fd")]
    return sum(os.path.realpath(link) in shards for link in links if os.path.islink(link))


def test_reads_spans_and_keeps_few_files_open(shards):
    reader = ShardReader(shards, max_open=2)
    assert open_files(shards) == 0
    for _ in range(2):
        for number in range(6):
            assert reader.read(number, 3, 5) == bytes([3, 4, 5, 6, 7])
            assert open_files(shards) <= 2
    reader.close()
    assert open_files(shards) == 0
    assert reader.read(5, 104, 1) == b"\x68"


def test_a_used_reader_travels_without_its_files(shards):
    reader = ShardReader(shards)
    reader.read(0, 0, 1)
    other = pickle.loads(pickle.dumps(reader))
    reader.close()
    assert other.read(0, 1, 2) == b"\x01\x02"


def test_says_what_is_missing(shards, tmp_path):
    reader = ShardReader([*shards, str(tmp_path / "no.tar")])
    with pytest.raises(EOFError, match="5 bytes wanted at 98, 2 there"):
        reader.read(0, 98, 5)
    with pytest.raises(FileNotFoundError):
        reader.read(6, 0, 1)


def test_reads_any_fsspec_url():
    fsspec.filesystem("memory").pipe("/bucket/a.tar", b"0123456789")
    assert ShardReader(["memory://bucket/a.tar"]).read(0, 4, 3) == b"456"
    with pytest.raises(FileNotFoundError):
        ShardReader(["memory://bucket/none.tar"]).read(0, 0, 1)


def test_asks_a_store_again_but_not_for_ever(monkeypatch):
    waits, answers = [], []

    def flaky(url, offset, size):
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr(storage, "read_bytes", flaky)
    monkeypatch.setattr(stream_bytes.time, "sleep", waits.append)
    reader = ShardReader(["s3://bucket/a.tar"])
    answers[:] = [RuntimeError("503"), TimeoutError("slow"), b"ok"]
    assert reader.read(0, 0, 2) == b"ok"
    assert len(waits) == 2
    answers[:] = [RuntimeError("503")] * 3
    with pytest.raises(OSError, match=r"s3://bucket/a\.tar: 2 bytes at 7: 503"):
        reader.read(0, 7, 2)
    answers[:] = [DataError("no s3fs here"), b"ok"]
    with pytest.raises(DataError):
        reader.read(0, 0, 2)
