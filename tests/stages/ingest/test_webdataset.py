import json
import tracemalloc

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import webdataset as wds
from ingest_helpers import picture, write_tar

from curate.manifests.errors import DataError
from curate.stages.ingest.base import Fields
from curate.stages.ingest.webdataset import WebDatasetReader


def members(number: int, **about):
    key = f"dir/{number:04d}"
    return [
        (f"{key}.jpg", picture(number)),
        (f"{key}.txt", f"caption {number}".encode()),
        (f"{key}.json", json.dumps(about).encode()),
    ]


@pytest.fixture
def tars(tmp_path):
    root = tmp_path / "tars"
    root.mkdir()
    for shard in range(3):
        rows = [
            m for n in range(4) for m in members(shard * 4 + n, label=n % 2, meta={"camera": "c"})
        ]
        write_tar(root / f"{shard:03d}.tar", rows)
    return root


def test_samples_are_those_of_webdataset_and_stay_in_their_tars(tars, ingest) -> None:
    done = ingest(tars, {"attributes": {"camera": "json.meta.camera"}})
    urls = sorted(str(path) for path in tars.glob("*.tar"))
    expected = list(wds.WebDataset(urls, shardshuffle=False))
    assert [row["key"] for row in done.rows] == [sample["__key__"] for sample in expected]
    for row, sample in zip(done.rows, expected, strict=True):
        assert row["shard"] == sample["__url__"]
        assert done.bytes_of(row) == sample["jpg"]
        assert row["captions"] == [sample["txt"].decode()]
        assert row["label"] == str(json.loads(sample["json"])["label"])
        assert row["attr_camera"] == "c"
    assert [len(receipt.files) for receipt in done.scan.receipts] == [1, 1, 1]


@pytest.mark.parametrize("pattern", ["{000..002}.tar", "*.tar", "{000,001,002}.tar", "00[0-2].tar"])
def test_patterns_name_many_tars(tars, ingest, pattern) -> None:
    done = ingest(f"{tars}/{pattern}")
    assert [row["key"] for row in done.rows] == [f"dir/{n:04d}" for n in range(12)]


def test_a_missing_tar_of_a_written_list_is_an_error(tars) -> None:
    with pytest.raises(DataError, match=r"003\.tar: no such file"):
        WebDatasetReader(source=f"{tars}/{{000..003}}.tar").slices()


def test_compressed_tars_say_what_to_do(tmp_path) -> None:
    (tmp_path / "a.tar.gz").write_bytes(b"x")
    with pytest.raises(DataError, match="tar"):
        WebDatasetReader(source=str(tmp_path / "a.tar.gz")).slices()


def test_fields_by_extension(tmp_path, ingest) -> None:
    about = {
        "captions": ["one", "two"],
        "labels": ["x", "y"],
        "split": "val",
        "uid": "u1",
        "deep": {"n": 3},
    }
    write_tar(
        tmp_path / "a.tar",
        [
            ("./a.seg.json", b'{"area": 5}'),
            ("./a.json", json.dumps(about).encode()),
            ("./a.png", picture(1, "PNG")),
            ("./a.txt", b"not used: json.captions is first"),
            ("b.jpeg", picture(2)),
            ("b.cls", b"7"),
            ("b.seg.json", b'{"area": 6.5}'),
            ("b.caption", b"from caption"),
            ("._b.jpg", b"a resource fork"),
            ("README", b"no extension"),
            ("__MACOSX/c.jpg", b"junk"),
        ],
    )
    done = ingest(tmp_path / "a.tar", {"attributes": {"area": "seg.json.area", "n": "json.deep.n"}})
    first, second = done.rows
    assert (first["key"], first["captions"], first["labels"]) == ("a", ["one", "two"], ["x", "y"])
    assert (first["split"], first["uid"], first["ext"]) == ("val", "u1", "png")
    assert (second["labels"], second["captions"], second["ext"]) == (["7"], ["from caption"], "jpg")
    assert [row["attr_area"] for row in done.rows] == [5.0, 6.5]
    assert [row["attr_n"] for row in done.rows] == [3.0, None]
    assert done.rejects == []


def test_a_torn_tar_gives_its_whole_samples_and_one_reject(tars, ingest) -> None:
    path = tars / "001.tar"
    data = path.read_bytes()
    cut = data.index(b"dir/0006.jpg") + 700
    path.write_bytes(data[:cut])
    done = ingest(tars)
    assert [row["key"] for row in done.rows] == [
        f"dir/{n:04d}" for n in (0, 1, 2, 3, 4, 5, 8, 9, 10, 11)
    ]
    assert [(r["where"], r["code"]) for r in done.rejects] == [("001.tar", "bad_shard")]


def test_sidecars_of_img2dataset_tell_what_was_not_downloaded(tmp_path, ingest) -> None:
    write_tar(tmp_path / "00000.tar", [("000.jpg", picture(0)), ("000.json", b'{"key": "000"}')])
    rows = [
        {"key": "000", "status": "success", "error_message": None},
        {"key": "001", "status": "failed_to_download", "error_message": "404"},
    ]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "00000.parquet")
    done = ingest(tmp_path)
    assert [row["key"] for row in done.rows] == ["000"]
    assert [(r["key"], r["code"], r["message"]) for r in done.rejects] == [
        ("001", "upstream_failure", "404")
    ]


def test_a_large_tar_is_streamed(tmp_path) -> None:
    size, count = 400_000, 40
    rng = np.random.default_rng(0)
    rows = [(f"{n:03d}.{ext}", rng.bytes(size)) for n in range(count) for ext in ("jpg", "npy")]
    write_tar(tmp_path / "big.tar", rows)
    del rows
    reader = WebDatasetReader(source=str(tmp_path))
    tracemalloc.start()
    try:
        seen = sum(1 for _ in reader.read(reader.slices()[0]))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert seen == count
    assert peak < 5 * size


def test_available_names_the_paths_of_the_first_sample(tars) -> None:
    reader = WebDatasetReader(source=str(tars))
    assert set(reader.available()) == {"txt", "json.label", "json.meta.camera"}
    estimate = reader.estimate()
    assert 8 <= estimate.rows <= 24


def test_a_field_that_no_sample_has_is_said(tars, ingest) -> None:
    with pytest.raises(DataError, match=r"corpus\.fields\.label: none of 12 samples"):
        ingest(tars, Fields(label="json.lable").model_dump())
