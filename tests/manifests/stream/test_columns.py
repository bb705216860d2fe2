import shutil
from collections import namedtuple

import duckdb
import numpy as np
import pytest
from tiny_pairset import edit, edit_manifest

from curate.manifests import Pairset, StreamError
from curate.manifests.errors import ResourceError
from curate.manifests.stream.cache import cache_folder, load_columns
from curate.manifests.stream.columns import Request, estimate_bytes

GROUPS = Request(captions=True, groups=("group_id", "label", "cluster_id", "attr_camera"))


def sql(root, text):
    return duckdb.execute(
        text.replace("PAIRS", f"'{root}/pairs/*.parquet'").replace(
            "SAMPLES", f"'{root}/samples/*.parquet'"
        )
    ).fetchall()


@pytest.fixture(params=["memory", "mapped"])
def columns(request, tiny, tmp_path):
    budget = 1 << 30 if request.param == "memory" else 0
    return load_columns(Pairset.open(tiny.root), GROUPS, budget, tmp_path / "cache")


def test_pairs_are_those_that_duckdb_reads(columns, tiny):
    rows = sql(
        tiny.root,
        "select anchor_id, positive_ids, positive_weights, negative_ids, "
        "negative_weights, false_negative_ids, weight from PAIRS order by pair_id",
    )
    names = [
        "anchor_id",
        "positive_ids",
        "positive_weights",
        "negative_ids",
        "negative_weights",
        "false_negative_ids",
        "weight",
    ]
    for place, name in enumerate(names):
        assert columns[name].tolist() == [row[place] for row in rows], name


def test_samples_are_those_that_duckdb_reads(columns, tiny):
    rows = sql(tiny.root, 'select shard, "offset", size, caption from SAMPLES order by sample_id')
    assert [columns.shards[code] for code in columns["shard"]] == [row[0] for row in rows]
    assert columns["offset"].tolist() == [row[1] for row in rows]
    assert columns["size"].tolist() == [row[2] for row in rows]
    captions = [columns.caption(i) for i in range(len(rows))]
    assert captions == [row[3] or "" for row in rows]
    assert "" in captions


def test_groups_are_equal_where_values_are(columns, tiny):
    group, label, cluster, camera = columns["groups"].T
    assert group.tolist() == tiny.group_id.tolist()
    same = label[:, None] == label[None, :]
    assert np.array_equal(same, np.array(tiny.labels)[:, None] == np.array(tiny.labels)[None, :])
    assert (cluster == -1).all()
    missing = [row[0] for row in sql(tiny.root, "select attr_camera is null from SAMPLES")]
    assert (camera == -1).tolist() == missing
    assert 0 < sum(missing) < len(missing)


def test_splits_share_out_the_rows(columns, tiny):
    for split in ("train", "val"):
        expected = sql(tiny.root, f"select pair_id from PAIRS where split = '{split}' order by 1")
        assert columns.rows_of(split).tolist() == [row[0] for row in expected]
    assert set(columns.splits) == {"train", "val"}


def test_mapped_files_are_written_once_and_named_by_the_pairset(tiny, tmp_path):
    pairset = Pairset.open(tiny.root)
    one = load_columns(pairset, Request(), 0, tmp_path)
    stamps = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.npy")}
    two = load_columns(pairset, Request(), 0, tmp_path)
    assert one.place == two.place != "memory"
    assert stamps == {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.npy")}
    assert not two["anchor_id"].flags.writeable
    assert load_columns(pairset, GROUPS, 0, tmp_path).place != one.place
    assert not list(tmp_path.glob("*.tmp-*"))


def test_an_interrupted_write_leaves_nothing(copy, tmp_path):
    with edit_manifest(copy) as manifest:
        manifest["counts"]["pairs"] += 1
    with pytest.raises(StreamError, match=r"pairs has 200 rows, manifest.json says 201"):
        load_columns(Pairset.open(copy), Request(), 0, tmp_path / "cache")
    assert [path.suffix for path in (tmp_path / "cache").iterdir()] == [".lock"]


def test_more_rows_than_the_manifest_says(copy):
    with edit_manifest(copy) as manifest:
        manifest["counts"]["samples"] -= 1
    with pytest.raises(StreamError, match=r"samples has 200 rows, manifest\.json says 199"):
        load_columns(Pairset.open(copy), Request(), 1 << 30)


def test_the_cache_stands_in_the_pairset_or_where_it_is_told(tiny, monkeypatch, tmp_path):
    pairset = Pairset.open(tiny.root)
    monkeypatch.delenv("CURATE_CACHE", raising=False)
    assert cache_folder(pairset) == tiny.root / ".cache" / "stream"
    monkeypatch.setattr("os.access", lambda path, mode: False)
    assert tiny.root not in cache_folder(pairset).parents
    monkeypatch.setenv("CURATE_CACHE", str(tmp_path))
    assert cache_folder(pairset) == tmp_path / "stream"
    assert cache_folder(pairset, tmp_path / "mine") == tmp_path / "mine"


def test_a_full_disk_is_an_error_and_not_a_signal(tiny, monkeypatch, tmp_path):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(10, 9, 1))
    with pytest.raises(ResourceError, match="CURATE_CACHE"):
        load_columns(Pairset.open(tiny.root), Request(), 0, tmp_path)


def test_an_unknown_mask_group_is_named(tiny):
    with pytest.raises(StreamError, match="mask_groups names place"):
        load_columns(Pairset.open(tiny.root), Request(groups=("group_id", "place")), 1 << 30)


def test_the_estimate_is_near_the_truth(tiny, columns):
    assert 0.8 < estimate_bytes(Pairset.open(tiny.root), GROUPS) / columns.nbytes < 1.5


def test_captions_keep_their_letters(copy):
    with edit(copy, "samples") as rows:
        rows[0]["caption"], rows[1]["caption"], rows[2]["caption"] = "naïve 猫", "", "x\ny"
    columns = load_columns(Pairset.open(copy), Request(captions=True), 1 << 30)
    assert [columns.caption(i) for i in range(3)] == ["naïve 猫", "", "x\ny"]
