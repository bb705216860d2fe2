import csv

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from ingest_helpers import picture, write_lines

from curate.manifests.errors import ConfigError
from curate.stages.ingest.base import Fields
from curate.stages.ingest.imagefolder import ImageFolderReader

ROWS = [
    {"file_name": "2.jpg", "text": "two", "label": "x", "lat": 1.5, "seen": "2023-06-13T03:11:46Z"},
    {"file_name": "0.jpg", "text": "zero", "label": "y", "lat": None, "seen": "2023-06-14"},
    {"file_name": "gone.jpg", "text": "lost", "label": "y", "lat": 3.0, "seen": None},
]


def corpus(root, ending, rows=ROWS):
    root.mkdir(parents=True, exist_ok=True)
    for number in range(4):
        (root / f"{number}.jpg").write_bytes(picture(number))
    path = root / f"metadata.{ending}"
    if ending == "jsonl":
        write_lines(path, rows)
    elif ending == "csv":
        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
    else:
        pq.write_table(pa.Table.from_pylist(rows), path)
    return root


@pytest.mark.parametrize("ending", ["jsonl", "csv", "parquet"])
def test_metadata_sets_order_captions_and_attributes(tmp_path, ingest, ending) -> None:
    root = corpus(tmp_path / "c", ending)
    done = ingest(root, {"attributes": {"lat": "lat", "seen": "seen"}})
    assert [row["key"] for row in done.rows] == ["2", "0", "1", "3"]
    assert [row["caption"] for row in done.rows] == ["two", "zero", None, None]
    assert [row["label"] for row in done.rows] == ["x", "y", None, None]
    assert [row["attr_lat"] for row in done.rows] == [1.5, None, None, None]
    assert done.facts["attributes"] == {"lat": "float", "seen": "time"}
    assert done.rows[0]["attr_seen"].isoformat() == "2023-06-13T03:11:46+00:00"
    assert [(r["key"], r["code"]) for r in done.rejects] == [("gone", "missing_file")]
    assert [row["position"] for row in done.rows] == [0, 1, 3, 4]
    assert done.bytes_of(done.rows[0]) == (root / "2.jpg").read_bytes()


def test_slices_give_the_same_rows(tmp_path, ingest) -> None:
    root = corpus(tmp_path / "c", "jsonl")
    whole, sliced = ingest(root), ingest(root, slice_rows=1)
    assert len(sliced.scan.parts) == 5
    names = ("key", "captions", "labels", "position", "sha256")
    assert [[r[n] for n in names] for r in whole.rows] == [
        [r[n] for n in names] for r in sliced.rows
    ]


def test_metadata_in_split_folders(tmp_path, ingest) -> None:
    corpus(tmp_path / "c" / "train", "jsonl", ROWS[:1])
    corpus(tmp_path / "c" / "test", "jsonl", ROWS[1:2])
    done = ingest(tmp_path / "c")
    found = {row["key"]: (row["split"], row["caption"]) for row in done.rows}
    assert found["train/2"] == ("train", "two")
    assert found["test/0"] == ("test", "zero")
    assert len(found) == 8


def test_a_key_column_and_unsafe_names(tmp_path, ingest) -> None:
    rows = [
        {"file_name": "0.jpg", "name": "zero"},
        {"file_name": "../x.jpg", "name": "up"},
        {"file_name": "/etc/passwd", "name": "root"},
        {"name": "none"},
    ]
    done = ingest(corpus(tmp_path / "c", "jsonl", rows), {"key": "name"})
    assert done.rows[0]["key"] == "zero"
    assert {r["key"]: r["code"] for r in done.rejects} == {
        "up": "unsafe_path", "root": "unsafe_path", "none": "bad_record",
    }  # fmt: skip


def test_an_unknown_column_is_a_config_error(tmp_path) -> None:
    root = corpus(tmp_path / "c", "csv")
    reader = ImageFolderReader(source=str(root), fields=Fields(attributes={"x": "latt"}))
    with pytest.raises(ConfigError, match=r"metadata\.csv has no column 'latt'.*'lat'"):
        reader.slices()
