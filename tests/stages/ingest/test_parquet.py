import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from ingest_helpers import picture, write_tar

from curate.manifests.errors import ConfigError
from curate.stages.ingest.base import Fields
from curate.stages.ingest.parquet import ParquetReader


def rows(count=10):
    return [
        {"key": f"k{n}", "image": picture(n), "label": n % 3, "captions": [f"a {n}", f"b {n}"]}
        for n in range(count)
    ]


def test_bytes_keys_labels_and_lists(tmp_path, ingest) -> None:
    pq.write_table(pa.Table.from_pylist(rows()), tmp_path / "t.parquet", row_group_size=3)
    done = ingest(tmp_path / "t.parquet", slice_rows=4)
    assert [row["key"] for row in done.rows] == [f"k{n}" for n in range(10)]
    assert [row["label"] for row in done.rows] == [str(n % 3) for n in range(10)]
    assert [row["captions"] for row in done.rows] == [[f"a {n}", f"b {n}"] for n in range(10)]
    assert [receipt.rows for receipt in done.scan.receipts] == [3, 3, 4]
    assert [done.bytes_of(row) for row in done.rows] == [picture(n) for n in range(10)]


def test_what_hugging_face_datasets_writes(tmp_path, ingest) -> None:
    features = datasets.Features(
        {
            "image": datasets.Image(),
            "label": datasets.ClassLabel(names=["cat", "dog"]),
            "text": datasets.Value("string"),
        }
    )
    body = {
        "image": [{"bytes": picture(n), "path": None} for n in range(4)],
        "label": [0, 1, 1, 0],
        "text": ["p", "q", "", None],
    }
    datasets.Dataset.from_dict(body, features).to_parquet(tmp_path / "train-00000-of-00001.parquet")
    done = ingest(tmp_path)
    assert [row["label"] for row in done.rows] == ["cat", "dog", "dog", "cat"]
    assert [row["captions"] for row in done.rows] == [["p"], ["q"], [], []]
    assert {row["split"] for row in done.rows} == {"train"}
    assert len({row["key"] for row in done.rows}) == 4


def test_paths_and_unsafe_paths(tmp_path, ingest) -> None:
    root = tmp_path / "c"
    root.mkdir()
    (root / "a.jpg").write_bytes(picture(0))
    (tmp_path / "outside.jpg").write_bytes(picture(1))
    names = ["a.jpg", "../outside.jpg", str(tmp_path / "outside.jpg"), "gone.jpg", None]
    table = pa.table({"id": range(5), "path": names})
    pq.write_table(table, root / "t.parquet")
    done = ingest(root / "t.parquet")
    assert [row["key"] for row in done.rows] == ["0"]
    assert done.codes == {
        "1": "unsafe_path", "2": "unsafe_path", "3": "missing_file", "4": "no_image",
    }  # fmt: skip


def test_places_in_tars_stay_in_their_tars(tmp_path, ingest) -> None:
    write_tar(tmp_path / "x.tar", [("a.jpg", picture(3)), ("b.jpg", picture(4))])
    size = len(picture(3))
    body = {
        "key": ["p", "q", "r", "s"],
        "shard": ["x.tar"] * 4,
        "offset": [512, 10**9, -1, 0],
        "size": [size] * 4,
    }
    pq.write_table(pa.table(body), tmp_path / "t.parquet")
    done = ingest(tmp_path / "t.parquet")
    assert [row["key"] for row in done.rows] == ["p"]
    assert done.rows[0]["shard"] == str(tmp_path / "x.tar")
    assert done.bytes_of(done.rows[0]) == picture(3)
    assert done.codes == {"q": "unreadable_file", "r": "bad_record", "s": "not_an_image"}


def test_failed_downloads_of_img2dataset_are_rejects(tmp_path, ingest) -> None:
    body = {
        "key": ["a", "b"], "jpg": [picture(0), None], "url": ["u", "v"], "caption": ["x", "y"],
        "status": ["success", "failed_to_resize"], "error_message": [None, "bad file"],
    }  # fmt: skip
    pq.write_table(pa.table(body), tmp_path / "00000.parquet")
    done = ingest(tmp_path)
    assert [row["caption"] for row in done.rows] == ["x"]
    assert [(r["key"], r["code"], r["message"]) for r in done.rejects] == [
        ("b", "upstream_failure", "bad file")
    ]


def test_columns_that_are_not_there_are_config_errors(tmp_path) -> None:
    pq.write_table(pa.Table.from_pylist(rows(2)), tmp_path / "t.parquet")
    for fields, text in (({"image": "imag"}, "mean 'image'"), ({"label": "lable"}, "mean 'label'")):
        with pytest.raises(ConfigError, match=text):
            ParquetReader(source=str(tmp_path), fields=Fields(**fields)).slices()
    pq.write_table(pa.table({"x": [1]}), tmp_path / "t.parquet")
    with pytest.raises(ConfigError, match=r"which column holds the images\? It has: x"):
        ParquetReader(source=str(tmp_path)).slices()
