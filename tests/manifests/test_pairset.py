"""Opening a pairset: what is there is found by the manifest, what is not says why."""

import json

import numpy as np
import pyarrow.parquet as pq
import pytest

from curate.manifests.errors import PairsetError
from curate.manifests.pairset import Pairset


def test_tables_and_vectors(tiny):
    pairset = Pairset.open(tiny.root)
    assert pairset.manifest_id == tiny.manifest["manifest_id"]
    assert pairset.counts["samples"] == 300
    assert pairset.table("samples", ["key"])["key"].to_pylist() == tiny.keys
    blocks = list(pairset.tables("pairs", ["anchor_id"]))
    assert [block.num_rows for block in blocks] == [150, 150]
    assert pairset.table("edges").equals(pq.read_table(tiny.root / "edges"))
    some = np.array([299, 0, 150])
    found = pairset.vectors("caption").rows(some)
    assert (found == tiny.caption[some].astype(np.float32)).all()


def test_a_file_url_is_a_path(tiny):
    assert Pairset.open(f"file://{tiny.root}").root == tiny.root


def test_files_that_are_not_listed_are_not_read(broken):
    rows = Pairset.open(broken).table("pairs").num_rows
    (broken / "pairs/part-00007.parquet").write_bytes(
        (broken / "pairs/part-00000.parquet").read_bytes()
    )
    assert Pairset.open(broken).table("pairs").num_rows == rows


def test_names_that_are_not_there(tiny):
    pairset = Pairset.open(tiny.root)
    with pytest.raises(PairsetError, match="it has: edges, neighbors/image>caption"):
        pairset.files("pears")
    with pytest.raises(PairsetError, match="it has: caption, image"):
        pairset.vectors("sound")


@pytest.mark.parametrize(
    ("shard", "inside"),
    [("images/a.tar", True), ("/data/a.tar", False), ("s3://bucket/a.tar", False)],
)
def test_where_a_shard_stands(tiny, shard, inside):
    found = Pairset.open(tiny.root).shard_url(shard)
    assert found == (str(tiny.root / shard) if inside else shard)


def test_a_folder_that_is_no_pairset(tmp_path):
    with pytest.raises(PairsetError, match="curate run CORPUS"):
        Pairset.open(tmp_path)
    (tmp_path / ".store").mkdir()
    with pytest.raises(PairsetError, match="did not finish"):
        Pairset.open(tmp_path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "is not JSON"),
        ("[]", "format None"),
        (json.dumps({"format": "pairset/9"}), "format 'pairset/9'"),
    ],
)
def test_a_manifest_that_cannot_be_read(tmp_path, text, message):
    (tmp_path / "manifest.json").write_text(text)
    with pytest.raises(PairsetError, match=message):
        Pairset.open(tmp_path)
