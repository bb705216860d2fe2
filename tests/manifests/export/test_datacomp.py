"""The subset file, looked up as DataComp's resharder does: bisection in a memory map."""

import uuid

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tiny_pairset import edit, edit_manifest, write_tiny_pairset

from curate.manifests import tables
from curate.manifests.errors import DataError
from curate.manifests.export import export
from curate.manifests.selection import SELECTION


def copies(subset, uid):
    """Return how often the resharder copies a sample (resharder.py, `subset_iter`)."""
    key = np.array([divmod(int(uid, 16), 2**64)], subset.dtype)[0]
    return int(np.searchsorted(subset, key, "right") - np.searchsorted(subset, key, "left"))


@pytest.fixture
def root(tmp_path):
    """60 samples: one uid twice, one with its high bits set, one too short, one None, one upper."""
    tiny = write_tiny_pairset(tmp_path / "in", samples=60)
    with edit(tiny.root, "samples") as rows:
        for row in rows:
            row["uid"] = uuid.UUID(int=(row["sample_id"] * 0x9E3779B97F4A7C15F39CC060) % 2**128).hex
        rows[3]["uid"] = "f" * 32
        rows[4]["uid"] = "0" * 32
        rows[5]["uid"] = rows[6]["uid"]
        rows[7]["uid"] = "abc"
        rows[8]["uid"] = None
        rows[9]["uid"] = rows[9]["uid"].upper()
        rows[10]["uid"] = None
        rows[10]["key"] = "00112233445566778899aabbccddeeff"
    return tiny.root


def test_the_resharder_finds_each_kept_sample_once(root, tmp_path):
    result = export(root, "datacomp", tmp_path / "out")
    subset = np.load(tmp_path / "out/subset.npy", mmap_mode="r")
    assert subset.dtype == np.dtype("u8,u8")
    as_ints = [int(a) << 64 | int(b) for a, b in subset]
    assert as_ints == sorted(set(as_ints))
    known = duckdb.execute(
        f"select coalesce(uid, key) from '{root}/samples/*.parquet' "
        "where regexp_full_match(coalesce(uid, key), '[0-9a-fA-F]{32}')"
    ).fetchall()
    assert as_ints == sorted({int(uid, 16) for (uid,) in known})
    assert all(copies(subset, uid) == 1 for (uid,) in known)
    assert copies(subset, "1" * 32) == 0
    # sample 0 has uid 0, as sample 4: two that are there twice, two that have none
    assert (result.rows, result.skipped) == (56, 4)


def test_samples_that_a_selector_drops_are_not_in_it(root, tmp_path):
    rows = [
        {"sample_id": i, "selector": name, "score": 0.0, "kept": i % n != 1, "reason": ""}
        for i in range(60)
        for name, n in (("align", 3), ("cit", 4))
    ]
    (root / "selection").mkdir()
    path = root / "selection/part-00000.parquet"
    tables.write_parquet(pa.Table.from_pylist(rows, SELECTION), path)
    with edit_manifest(root) as manifest:
        manifest["tables"]["selection"] = [{"path": "selection/part-00000.parquet"}]
    export(root, "datacomp", tmp_path / "out")
    subset = np.load(tmp_path / "out/subset.npy")
    samples = pq.read_table(root / "samples").to_pylist()
    kept = {
        row["uid"] or row["key"]
        for row in samples
        if row["sample_id"] % 3 != 1 and row["sample_id"] % 4 != 1
    }
    for row in samples:
        uid = row["uid"] or row["key"]
        if len(uid) == 32:
            assert copies(subset, uid) == (uid in kept)


def test_a_corpus_without_uids_is_refused(tiny, tmp_path):
    with pytest.raises(DataError, match=r"corpus\.fields\.uid=json\.uid"):
        export(tiny.root, "datacomp", tmp_path / "out")
    assert not (tmp_path / "out").exists()
