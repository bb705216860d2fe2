"""Reading a few rows, and drawing a few ids."""

import numpy as np
import pyarrow.parquet as pq
import pytest
from tiny_pairset import reseal, write_tiny_pairset

from curate.manifests.pairset import Pairset
from curate.manifests.report.rows import LowestDraws, rows_with


@pytest.mark.parametrize("ids", [[0], [599], [3, 250, 251, 599], [], [10_000]])
def test_rows_are_those_of_the_whole_table(pairset, rows, ids):
    found = rows_with(pairset, "edges", "anchor_id", np.array(ids), ("anchor_id", "rank", "miner"))
    wanted = [(e["anchor_id"], e["rank"], e["miner"]) for e in rows("edges")]
    wanted = [edge for edge in wanted if edge[0] in ids]
    assert [tuple(row.values()) for row in found.to_pylist()] == wanted


def test_columns_that_a_table_lacks_are_left_out(pairset):
    found = rows_with(pairset, "samples", "sample_id", np.array([4]), ("sample_id", "attr_no"))
    assert found.column_names == ["sample_id"]


def test_row_groups_without_the_ids_are_not_read(tmp_path, monkeypatch):
    tiny = write_tiny_pairset(tmp_path, samples=60)
    path = tiny.root / "edges/part-00000.parquet"
    table = pq.read_table(path)
    pq.write_table(table, path, row_group_size=50)
    reseal(tiny.root)
    groups = pq.ParquetFile(path).num_row_groups
    read = []
    plain = pq.ParquetFile.read_row_group
    spy = lambda self, i, *a, **k: read.append(i) or plain(self, i, *a, **k)  # noqa: E731
    monkeypatch.setattr(pq.ParquetFile, "read_row_group", spy)
    found = rows_with(Pairset.open(tiny.root), "edges", "anchor_id", np.array([30]), ["anchor_id"])
    assert found.num_rows == table["anchor_id"].to_pylist().count(30)
    assert groups >= 15
    assert 1 <= len(read) <= 3


def test_a_draw_does_not_depend_on_the_order_of_the_ids():
    ids = np.arange(1000)
    whole, pieces = LowestDraws(7, 0, "x"), LowestDraws(7, 0, "x")
    whole.add(ids)
    for chunk in np.array_split(np.random.default_rng(1).permutation(np.tile(ids, 2)), 13):
        pieces.add(chunk)
    assert whole.ids == pieces.ids
    assert len(set(whole.ids)) == 7


def test_draws_are_fair():
    counts = np.zeros(20)
    for seed in range(2000):
        draw = LowestDraws(5, seed, "fair")
        draw.add(np.arange(20))
        counts[draw.ids] += 1
    assert counts.sum() == 10_000
    assert abs(counts - 500).max() < 5 * np.sqrt(500 * 0.75)


def test_files_without_statistics_are_read(tmp_path):
    tiny = write_tiny_pairset(tmp_path, samples=60)
    path = tiny.root / "samples/part-00000.parquet"
    pq.write_table(pq.read_table(path), path, write_statistics=False)
    found = rows_with(Pairset.open(tiny.root), "samples", "sample_id", np.array([7]), ["key"])
    assert found["key"].to_pylist() == [tiny.keys[7]]
