"""One writer: equal rows give equal bytes, however they arrive; encodings and row groups fit."""

import duckdb
import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from curate.manifests import schema, tables


def make(rows):
    rng = np.random.default_rng(0)
    ids = rng.integers(0, rows, (rows, 4))
    return pa.table(
        {
            "sample_id": pa.array(np.arange(rows), pa.int64()),
            "width": pa.array(rng.integers(1, 500, rows), pa.int32()),
            "similarity": pa.array(rng.random(rows), pa.float32()),
            "key": [f"key-{i}" for i in range(rows)],
            "split": rng.choice(["train", "val"], rows),
            "attr_camera": rng.choice(["north", "south"], rows),
            "ids": schema.padded_list(ids, schema.IDS),
        }
    )


def sliced(table, sizes):
    at = 0
    for size in sizes:
        yield table.slice(at, size)
        at += size
    yield table.slice(at)


@pytest.mark.parametrize("sizes", [[], [1, 2, 3], [8192], [8191, 2], [0, 5000, 0, 9000], [20000]])
def test_the_same_rows_give_the_same_bytes(tmp_path, sizes):
    table = make(20000)
    tables.write_parquet(table, tmp_path / "whole.parquet")
    rows = tables.write_parquet_stream(
        sliced(table, sizes), table.schema, tmp_path / "parts.parquet"
    )
    assert rows == 20000
    whole, parts = (tmp_path / f"{name}.parquet" for name in ("whole", "parts"))
    assert parts.read_bytes() == whole.read_bytes()


def test_row_groups_are_full(tmp_path):
    table = make(20000)
    tables.write_parquet_stream(sliced(table, [3000] * 6), table.schema, tmp_path / "a.parquet")
    footer = pq.read_metadata(tmp_path / "a.parquet")
    rows = [footer.row_group(g).num_rows for g in range(footer.num_row_groups)]
    assert rows == [8192, 8192, 20000 - 2 * 8192]


def test_encodings_and_codec(tmp_path):
    tables.write_parquet(make(9000), tmp_path / "a.parquet", {"pairset.table": "samples"})
    footer = pq.read_metadata(tmp_path / "a.parquet")
    group = footer.row_group(0)
    columns = {c.path_in_schema: c for c in (group.column(i) for i in range(group.num_columns))}
    assert {c.compression for c in columns.values()} == {"ZSTD"}
    for name in ("sample_id", "width", "ids.list.element"):
        assert "DELTA_BINARY_PACKED" in columns[name].encodings, name
        assert not columns[name].has_dictionary_page
    assert "BYTE_STREAM_SPLIT" in columns["similarity"].encodings
    for name, dictionary in (("split", True), ("attr_camera", True), ("key", False)):
        assert columns[name].has_dictionary_page is dictionary, name
    assert columns["sample_id"].statistics.max == 8191
    assert columns["sample_id"].has_column_index
    assert columns["sample_id"].has_offset_index
    assert footer.metadata[b"pairset.table"] == b"samples"


def test_ids_take_little_room(tmp_path):
    """The reason for the encodings: pyarrow's defaults take at least half as much again."""
    table = make(20000).select(["sample_id", "width"])
    tables.write_parquet(table, tmp_path / "ours.parquet")
    pq.write_table(table, tmp_path / "default.parquet")
    ours, default = ((tmp_path / f"{n}.parquet").stat().st_size for n in ("ours", "default"))
    assert default > 1.5 * ours


def test_other_readers_see_the_same_rows(tmp_path):
    table = make(9000)
    path = tmp_path / "a.parquet"
    tables.write_parquet(table, path)
    rows = table.slice(8190, 5).to_pylist()
    assert tables.read_parquet(path).equals(table.cast(table.schema))
    assert pl.read_parquet(path).slice(8190, 5).to_dicts() == rows
    names = ", ".join(table.column_names)
    found = duckdb.execute(
        f"select {names} from '{path}' where sample_id between 8190 and 8194 order by sample_id"
    ).fetchall()
    assert [dict(zip(table.column_names, row, strict=True)) for row in found] == rows


def test_no_rows(tmp_path):
    tables.write_parquet(schema.PAIRS.empty_table(), tmp_path / "a.parquet")
    assert tables.read_parquet(tmp_path / "a.parquet").schema.equals(schema.PAIRS)
    assert tables.write_parquet_stream(iter([]), schema.EDGES, tmp_path / "b.parquet") == 0


def test_a_table_of_another_type_is_cast_or_refused(tmp_path):
    narrow = pa.table({"x": pa.array([1, 2], pa.int32())})
    wide = pa.schema([("x", pa.int64())])
    tables.write_parquet_stream(iter([narrow]), wide, tmp_path / "a.parquet")
    assert pq.read_schema(tmp_path / "a.parquet").field("x").type == pa.int64()
    with pytest.raises((ValueError, pa.ArrowInvalid)):
        tables.write_parquet_stream(
            iter([pa.table({"x": ["not a number"]})]), wide, tmp_path / "b.parquet"
        )


def test_columns_are_read_alone(tmp_path):
    tables.write_parquet(make(100), tmp_path / "a.parquet")
    assert tables.read_parquet(tmp_path / "a.parquet", ["key"]).column_names == ["key"]
