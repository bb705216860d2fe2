"""Files are whole or not there; a full disk says what to do; bytes come from paths and URLs."""

import errno
import os
from pathlib import Path

import fsspec
import pytest

from curate.manifests import storage
from curate.manifests.errors import DataError, ResourceError


def left(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_file_appears_under_its_name_when_it_is_whole(tmp_path):
    target = tmp_path / "deep/er/file.bin"
    seen = []

    def write(path):
        path.write_bytes(b"half")
        seen.append((target.exists(), storage.SCRATCH in path.name, path.parent == target.parent))
        path.write_bytes(b"whole")

    storage.write_atomically(target, write)
    assert seen == [(False, True, True)]
    assert target.read_bytes() == b"whole"
    assert left(target.parent) == ["file.bin"]


@pytest.mark.parametrize("error", [ValueError("bad"), KeyboardInterrupt(), OSError(5, "io")])
def test_a_failed_write_keeps_the_old_file_and_leaves_no_scratch(tmp_path, error):
    target = tmp_path / "file"
    target.write_bytes(b"old")

    def write(path):
        path.write_bytes(b"new")
        raise error

    with pytest.raises(type(error)):
        storage.write_atomically(target, write)
    assert target.read_bytes() == b"old"
    assert left(tmp_path) == ["file"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_a_full_disk_is_a_resource_error(tmp_path):
    """The kernel's own ENOSPC, from a device that is always full."""

    def write(path):
        path.write_bytes(b"half")
        descriptor = os.open("/dev/full", os.O_WRONLY)
        try:
            os.write(descriptor, b"x")
        finally:
            os.close(descriptor)

    with pytest.raises(ResourceError, match="same command again") as caught:
        storage.write_atomically(tmp_path / "part", write)
    assert isinstance(caught.value.__cause__, OSError)
    assert left(tmp_path) == []


def test_a_full_quota_is_a_resource_error_and_other_errors_are_not(tmp_path):
    def fail_with(code):
        def write(path):
            raise OSError(code, os.strerror(code))

        return write

    with pytest.raises(ResourceError):
        storage.write_atomically(tmp_path / "a", fail_with(errno.EDQUOT))
    with pytest.raises(PermissionError):
        storage.write_atomically(tmp_path / "a", fail_with(errno.EACCES))


def test_a_scratch_folder_is_gone_afterwards_even_when_the_disk_is_full(tmp_path):
    def fill():
        with storage.scratch_folder(tmp_path / "part") as folder:
            (folder / "file").write_bytes(b"x")
            assert list(folder.parent.iterdir()) == [folder]
            raise OSError(errno.ENOSPC, "full")

    with pytest.raises(ResourceError):
        fill()
    assert left(tmp_path) == []


def test_json_is_the_same_text_for_the_same_value(tmp_path):
    storage.write_json(tmp_path / "a", {"b": 1, "a": [1, 2]})
    storage.write_json(tmp_path / "b", {"a": [1, 2], "b": 1})
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    with pytest.raises(ValueError, match="JSON"):
        storage.write_json(tmp_path / "c", {"a": float("nan")})
    assert left(tmp_path) == ["a", "b"]


def test_sweep_takes_scratch_only(tmp_path):
    (tmp_path / "part.npy").write_bytes(b"1")
    (tmp_path / f"part.npy{storage.SCRATCH}12-ab").write_bytes(b"1")
    (tmp_path / f"part{storage.SCRATCH}12-cd").mkdir()
    (tmp_path / f"part{storage.SCRATCH}12-cd/inside").write_bytes(b"1")
    assert storage.sweep_scratch(tmp_path) == 2
    assert left(tmp_path) == ["part.npy"]
    assert storage.sweep_scratch(tmp_path / "nowhere") == 0


def test_a_link_shares_the_bytes_and_replaces_what_was_there(tmp_path):
    source = tmp_path / "source"
    source.write_bytes(b"new")
    target = tmp_path / "out/target"
    target.parent.mkdir()
    target.write_bytes(b"old")
    storage.link_or_copy(source, target)
    assert target.samefile(source)
    assert left(target.parent) == ["target"]


def test_without_hard_links_it_copies(tmp_path, monkeypatch):
    def refuse(*paths):
        raise OSError(errno.EXDEV, "another disk")

    monkeypatch.setattr(os, "link", refuse)
    (tmp_path / "source").write_bytes(b"new")
    storage.link_or_copy(tmp_path / "source", tmp_path / "out/target")
    assert (tmp_path / "out/target").read_bytes() == b"new"
    assert not (tmp_path / "out/target").samefile(tmp_path / "source")
    assert left(tmp_path / "out") == ["target"]


@pytest.fixture
def shard(tmp_path):
    path = tmp_path / "shard.tar"
    path.write_bytes(bytes(range(256)))
    with fsspec.open("memory://bucket/shard.tar", "wb") as file:
        file.write(bytes(range(256)))
    return path


def test_bytes_from_a_path_or_a_url(shard):
    for url in (str(shard), f"file://{shard}", "memory://bucket/shard.tar"):
        assert storage.read_bytes(url) == bytes(range(256))
        assert storage.read_bytes(url, 10, 3) == bytes([10, 11, 12])
        assert storage.read_bytes(url, 0, 2) == bytes([0, 1])
        with pytest.raises(EOFError, match="wanted at 250"):
            storage.read_bytes(url, 250, 10)


def test_a_missing_file_is_file_not_found(tmp_path):
    for url in (str(tmp_path / "no"), "memory://bucket/no"):
        with pytest.raises(FileNotFoundError):
            storage.read_bytes(url)


def test_a_protocol_without_reader_names_the_extra():
    with pytest.raises(DataError, match=r"pip install .*hocus"):
        storage.read_bytes("hocus://bucket/file")


@pytest.mark.parametrize(
    ("url", "remote"),
    [("/a/b", False), ("a b.tar", False), ("file:///a", False), ("s3://b/k", True)],
)
def test_remote_or_not(url, remote):
    assert storage.is_remote(url) is remote
