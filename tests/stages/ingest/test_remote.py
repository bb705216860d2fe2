"""Corpora behind fsspec URLs: in memory, and on an S3 server that listens on this machine."""

import fsspec
import fsspec.implementations.memory
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from ingest_helpers import picture, write_tar

from curate.manifests import storage
from curate.manifests.arrays import ArraySource
from curate.stages.ingest.detect import detect, reader_for

NAMES = ("webdataset", "folder", "imagefolder", "parquet", "csv", "coco")


def local(root, format):
    """Write three images in a format; return the name below the root that is the source."""
    root.mkdir()
    for number in range(3):
        (root / f"{number}.jpg").write_bytes(picture(number))
    if format == "webdataset":
        for number in range(3):
            (root / f"{number}.jpg").unlink()
            members = [(f"{number}.jpg", picture(number)), (f"{number}.txt", f"c{number}".encode())]
            write_tar(root / f"{number}.tar", members)
        return "{0..2}.tar"
    if format == "folder":
        (root / "captions.token").write_text("".join(f"{n}.jpg#0\tc{n}\n" for n in range(3)))
    elif format == "imagefolder":
        rows = "".join(f"{n}.jpg,c{n}\n" for n in range(3))
        (root / "metadata.csv").write_text(f"file_name,text\n{rows}")
    elif format == "parquet":
        body = {
            "key": ["0", "1", "2"],
            "image": [picture(n) for n in range(3)],
            "text": ["c0", "c1", "c2"],
        }
        pq.write_table(pa.table(body), root / "t.parquet")
        return "t.parquet"
    elif format == "csv":
        (root / "t.csv").write_text(
            "filepath,title\n" + "".join(f"{n}.jpg,c{n}\n" for n in range(3))
        )
        return "t.csv"
    elif format == "coco":
        import json

        images = [{"id": n, "file_name": f"{n}.jpg"} for n in range(3)]
        notes = [{"image_id": n, "caption": f"c{n}"} for n in range(3)]
        (root / "captions_x.json").write_text(json.dumps({"images": images, "annotations": notes}))
    return ""


def upload(root, url):
    fs, path = storage.filesystem(url)
    for file in root.rglob("*"):
        if file.is_file():
            fs.pipe_file(f"{path}/{file.relative_to(root).as_posix()}", file.read_bytes())


@pytest.mark.parametrize("format", NAMES)
def test_every_format_reads_from_a_url(format, tmp_path, ingest) -> None:
    name = local(tmp_path / "c", format)
    url = f"memory://remote-{format}"
    upload(tmp_path / "c", url)
    source = f"{url}/{name}" if name else url
    assert detect(source)[0][0] == format
    done, here = ingest(source), ingest(tmp_path / "c" / name if name else tmp_path / "c")
    names = ("key", "sha256", "captions", "split", "width", "position")
    assert [[r[n] for n in names] for r in done.rows] == [[r[n] for n in names] for r in here.rows]
    assert [row["captions"] for row in done.rows] == [["c0"], ["c1"], ["c2"]]
    assert done.rejects == []
    if format == "webdataset":
        assert done.rows[1]["shard"] == f"{url}/1.tar"
        row = done.rows[1]
        assert storage.read_bytes(row["shard"], row["offset"], row["size"]) == picture(1)


def test_arrays_from_a_url(tmp_path, ingest) -> None:
    np.save(tmp_path / "v.npy", np.array([[1.0, 0], [0, 0], [0, 1]], np.float32))
    (tmp_path / "t.csv").write_text("key\na\nb\nc\n")
    upload(tmp_path, "memory://arrays")
    done = ingest("memory://arrays/t.csv", arrays={"image": ArraySource("memory://arrays/v.npy")})
    assert done.codes == {"b": "zero_vector"}


class Flaky(fsspec.implementations.memory.MemoryFileSystem):
    """Fails the first reads of every file."""

    protocol = "flaky"
    failures: dict[str, int] = {}  # noqa: RUF012 - shared by all instances on purpose
    times = 2

    def cat_file(self, path, start=None, end=None, **kwargs):
        name = path.rpartition("/")[2]
        seen = self.failures.get(name, 0)
        if seen < self.times:
            self.failures[name] = seen + 1
            raise TimeoutError("the store is busy")
        return super().cat_file(path, start, end, **kwargs)


@pytest.fixture
def flaky(monkeypatch):
    fsspec.register_implementation("flaky", Flaky, clobber=True)
    monkeypatch.setattr(storage, "_WAIT_S", 0.0)
    monkeypatch.setattr(Flaky, "failures", {})
    return Flaky


def test_passing_errors_of_a_store_are_waited_out(flaky, monkeypatch, tmp_path, ingest) -> None:
    local(tmp_path / "c", "folder")
    upload(tmp_path / "c", "flaky://photos")
    assert len(ingest("flaky://photos", format="folder").rows) == 3
    assert flaky.failures["1.jpg"] == 2
    monkeypatch.setattr(flaky, "failures", {"1.jpg": -1})
    done = ingest("flaky://photos", format="folder")
    assert done.codes == {"1": "unreadable_file"}


def test_a_tar_goes_on_where_its_store_failed(monkeypatch, tmp_path, ingest) -> None:
    members = [(f"{n}.jpg", picture(n)) for n in range(20)]
    write_tar(tmp_path / "a.tar", members)
    upload(tmp_path, "memory://torn")
    monkeypatch.setattr(storage, "_WAIT_S", 0.0)
    original = fsspec.implementations.memory.MemoryFile.read
    count = iter(range(10**6))

    def read(self, size=-1):
        if next(count) % 5 == 3:
            raise ConnectionResetError("gone")
        return original(self, size)

    monkeypatch.setattr(fsspec.implementations.memory.MemoryFile, "read", read, raising=False)
    monkeypatch.setattr(fsspec.implementations.memory.MemoryFile, "close", lambda self: None)
    done = ingest("memory://torn/a.tar")
    assert [row["key"] for row in done.rows] == [str(n) for n in range(20)]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_corpus_of_tars_on_s3(s3, tmp_path, ingest, monkeypatch) -> None:
    for name, value in (
        ("ACCESS_KEY_ID", "x"),
        ("SECRET_ACCESS_KEY", "x"),
        ("ENDPOINT_URL", s3),
        ("DEFAULT_REGION", "us-east-1"),
    ):
        monkeypatch.setenv(f"AWS_{name}", value)
    local(tmp_path / "c", "webdataset")
    fs, _ = storage.filesystem("s3://corpus")
    fs.mkdir("corpus")
    upload(tmp_path / "c", "s3://corpus/tars")
    reader = reader_for("auto", "s3://corpus/tars")
    before = reader.identity()
    done = ingest(reader)
    assert [(row["key"], row["caption"]) for row in done.rows] == [
        ("0", "c0"),
        ("1", "c1"),
        ("2", "c2"),
    ]
    row = done.rows[2]
    assert row["shard"] == "s3://corpus/tars/2.tar"
    assert storage.read_bytes(row["shard"], row["offset"], row["size"]) == picture(2)
    fs.pipe_file("corpus/tars/2.tar", (tmp_path / "c" / "1.tar").read_bytes())
    fs.invalidate_cache()
    assert reader_for("auto", "s3://corpus/tars").identity() != before
