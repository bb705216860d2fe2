"""Single rows by id, key and anchor, held against whole tables; few row groups are read."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tiny_pairset import write_tiny_pairset

from curate.manifests.errors import DataError
from curate.manifests.lookup import SampleRows, find_key, nearest_keys, rows_of_anchor
from curate.manifests.pairset import Pairset


@pytest.fixture(scope="module")
def pairset(tiny):
    return Pairset.open(tiny.root)


def test_rows_by_id(pairset, tiny):
    rows = SampleRows(pairset, ["key", "label"]).rows([299, 0, 150, 149, 0])
    assert rows == {i: {"key": tiny.keys[i], "label": tiny.labels[i]} for i in (0, 149, 150, 299)}


@pytest.mark.parametrize("sample", [-1, 300])
def test_an_id_out_of_range(pairset, sample):
    with pytest.raises(DataError, match="0 to 299"):
        SampleRows(pairset, ["key"]).row(sample)


@pytest.mark.parametrize("at", [0, 150, 299])
def test_ids_by_key(pairset, tiny, at):
    assert find_key(pairset, tiny.keys[at]) == at


def test_nearest_keys(pairset):
    assert nearest_keys(pairset, "scene/0012x", 2)[0].startswith("scene/0012")
    assert "scene/00077" in nearest_keys(pairset, "00077")
    assert len(nearest_keys(pairset, "zzz")) == 5


@pytest.mark.parametrize("table", ["pairs", "edges"])
def test_rows_of_an_anchor(pairset, tiny, table):
    for anchor in (0, 149, 150, 299):
        expected = pq.read_table(tiny.root / table, filters=[("anchor_id", "==", anchor)])
        assert rows_of_anchor(pairset, table, anchor) == expected.to_pylist()


def test_only_row_groups_that_may_hold_it_are_read(tmp_path, monkeypatch):
    tiny = write_tiny_pairset(tmp_path, samples=120, files=6)
    read = []
    original = pq.ParquetFile.read_row_group

    def spy(self, number, **options):
        read.append(number)
        return original(self, number, **options)

    monkeypatch.setattr(pq.ParquetFile, "read_row_group", spy)
    pairset = Pairset.open(tiny.root)
    assert find_key(pairset, tiny.keys[70]) == 70
    assert rows_of_anchor(pairset, "pairs", 70)[0]["anchor_id"] == 70
    assert len(read) == 2
    assert isinstance(pq.read_table(tiny.root / "pairs"), pa.Table)
