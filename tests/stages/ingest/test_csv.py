import pandas as pd
import pytest
from ingest_helpers import picture

from curate.manifests.errors import ConfigError, DataError
from curate.stages.ingest.csv import CsvReader


@pytest.fixture
def table(tmp_path):
    root = tmp_path / "c"
    (root / "img").mkdir(parents=True)
    for number in range(3):
        (root / "img" / f"{number}.jpg").write_bytes(picture(number))
    (tmp_path / "far.jpg").write_bytes(picture(9))
    rows = [
        ("img/1.jpg", "one"), ("img/0.jpg", "zero"), ("img/1.jpg", "uno"), ("img/7.jpg", "gone"),
        (str(tmp_path / "far.jpg"), "far"), ("../far.jpg", "up"), ("", "nameless"),
        ("img/1.jpg", "ein"),
        ("img", "a folder"),
    ]  # fmt: skip
    pd.DataFrame(rows, columns=["filepath", "title"]).to_csv(root / "t.csv", sep="\t", index=False)
    return root / "t.csv"


def test_open_clips_table_merges_the_captions_of_one_image(table, tmp_path, ingest) -> None:
    done = ingest(table)
    far = str(tmp_path / "far")
    assert [(row["key"], row["captions"]) for row in done.rows] == [
        ("img/1", ["one", "uno", "ein"]), ("img/0", ["zero"]), (far, ["far"]),
    ]  # fmt: skip
    assert {r["where"]: r["code"] for r in done.rejects} == {
        "t.csv:5": "missing_file", "t.csv:7": "unsafe_path", "t.csv:8": "bad_record",
        "t.csv:10": "unreadable_file",
    }  # fmt: skip
    assert [row["position"] for row in done.rows] == [0, 1, 3]
    assert [row["caption_position"] for row in done.rows] == [0, 3, 5]


def test_slices_keep_the_rows_of_one_image_together(table, ingest) -> None:
    whole, sliced = ingest(table), ingest(table, slice_rows=1)
    assert len(sliced.scan.parts) == 7
    names = ("key", "captions", "position", "caption_position", "sha256")
    assert [[r[n] for n in names] for r in whole.rows] == [
        [r[n] for n in names] for r in sliced.rows
    ]


def test_other_columns_by_fields(tmp_path, ingest) -> None:
    (tmp_path / "x.jpg").write_bytes(picture())
    (tmp_path / "t.csv").write_text("pic,words,lat,id\nx.jpg,hi,37.5,007\n")
    fields = {"image": "pic", "caption": "words", "attributes": {"lat": "lat"}, "key": "id"}
    row = ingest(tmp_path / "t.csv", fields, format="csv").rows[0]
    assert (row["key"], row["caption"], row["attr_lat"]) == ("007", "hi", 37.5)
    with pytest.raises(ConfigError, match="which column names the images"):
        CsvReader(source=str(tmp_path / "t.csv")).slices()


def test_a_table_without_rows_is_an_error(tmp_path) -> None:
    (tmp_path / "t.csv").write_text("filepath\ttitle\n")
    with pytest.raises(DataError, match="no rows"):
        CsvReader(source=str(tmp_path / "t.csv")).slices()
