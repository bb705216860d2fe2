import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from ingest_helpers import picture, write_tar

from curate.manifests.errors import ConfigError
from curate.stages.ingest.base import Fields
from curate.stages.ingest.csv import CsvReader
from curate.stages.ingest.detect import FORMATS, detect, reader_for


def make(root, format):
    root.mkdir()
    (root / "sub").mkdir()
    (root / "sub" / "a.jpg").write_bytes(picture())
    source = root
    if format == "webdataset":
        write_tar(root / "0.tar", [("a.jpg", picture())])
    elif format == "imagefolder":
        (root / "metadata.csv").write_text("file_name,text\nsub/a.jpg,hi\n")
    elif format == "coco":
        body = {"images": [], "annotations": []}
        (root / "captions_val2017.json").write_text(json.dumps(body))
    elif format == "parquet":
        pq.write_table(pa.table({"key": ["a"], "image": [picture()]}), root / "t.parquet")
    elif format == "csv":
        source = root / "t.csv"
        source.write_text("filepath\ttitle\nsub/a.jpg\thi\n")
    elif format == "embeddings":
        (root / "sub" / "a.jpg").unlink()
        (root / "keys.csv").write_text("key,text\na,hi\n")
    return str(source)


@pytest.mark.parametrize("format", FORMATS)
def test_each_format_is_told_and_the_most_specific_wins(format, tmp_path) -> None:
    source = make(tmp_path / "c", format)
    found = detect(source)
    assert found[0][0] == format
    assert all(why for _, why in found)
    reader = reader_for("auto", source, shard_bytes=77)
    assert type(reader) is FORMATS[format]
    assert reader.shard_bytes == 77


def test_a_format_can_be_forced(tmp_path) -> None:
    source = make(tmp_path / "c", "webdataset")
    assert type(reader_for("folder", source)) is FORMATS["folder"]


def test_nothing_known_says_what_was_seen(tmp_path) -> None:
    (tmp_path / "notes.md").write_text("x")
    with pytest.raises(ConfigError, match=r"seen: 1 files \(notes\.md\).*webdataset, imagefolder"):
        reader_for("auto", str(tmp_path))
    with pytest.raises(ConfigError, match=r"1\.tar: no such file"):
        reader_for("auto", f"{tmp_path}/{{1..2}}.tar")
    with pytest.raises(ConfigError, match="nothing there"):
        reader_for("auto", str(tmp_path / "none"))


def test_a_mistyped_format_names_the_nearest(tmp_path) -> None:
    with pytest.raises(ConfigError, match=r"Did you mean 'webdataset'.*Allowed: auto, "):
        reader_for("webdatasets", str(tmp_path))


def test_a_reader_of_ones_own(tmp_path) -> None:
    reader = reader_for("curate.stages.ingest.csv:CsvReader", "x.csv", Fields(image="a"))
    assert isinstance(reader, CsvReader)
    with pytest.raises(ConfigError, match="is not a Reader"):
        reader_for("json:JSONDecoder", "x")
