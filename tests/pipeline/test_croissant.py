"""croissant.json says of every table what its Parquet files hold."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tiny_pairset import write_tiny_pairset

from curate.pipeline.croissant import croissant

KINDS = {
    "cr:Int64": pa.int64(),
    "cr:Int32": pa.int32(),
    "cr:Int8": pa.int8(),
    "cr:Float32": pa.float32(),
    "cr:Float64": pa.float64(),
    "sc:Text": pa.string(),
    "sc:DateTime": pa.timestamp("us", tz="UTC"),
}


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return write_tiny_pairset(tmp_path_factory.mktemp("croissant") / "out", files=2, tars=2)


@pytest.fixture(scope="module")
def body(tiny):
    manifest = json.loads((tiny.root / "manifest.json").read_text())
    return json.loads(json.dumps(croissant(manifest)))


def test_every_id_is_used_once_and_every_source_is_there(body):
    files = [item["@id"] for item in body["distribution"]]
    fields = [field for record in body["recordSet"] for field in record["field"]]
    ids = [*files, *(r["@id"] for r in body["recordSet"]), *(f["@id"] for f in fields)]
    assert len(ids) == len(set(ids))
    assert {field["source"]["fileSet"]["@id"] for field in fields} <= set(files)
    for record in body["recordSet"]:
        if "key" in record:
            assert record["key"]["@id"] in {field["@id"] for field in record["field"]}


def test_every_file_on_disk_is_named(body, tiny):
    named = {path for item in body["distribution"] for path in item["includes"]}
    there = {path.relative_to(tiny.root).as_posix() for path in tiny.root.rglob("*.parquet")}
    assert named == there | {f"images/{path.name}" for path in tiny.root.glob("images/*.tar")}


def test_columns_types_and_list_lengths_are_those_of_the_files(body, tiny):
    includes = {item["@id"]: item["includes"] for item in body["distribution"]}
    assert {record["@id"] for record in body["recordSet"]} == {
        "samples", "rejects", "edges", "pairs", "neighbors/image_to_image",
        "neighbors/image_to_caption",
    }  # fmt: skip
    for record in body["recordSet"]:
        table = pq.read_table(tiny.root / includes[f"{record['@id']}-files"][0])
        assert [field["name"] for field in record["field"]] == table.column_names
        for field in record["field"]:
            kind = table.schema.field(field["name"]).type
            assert pa.types.is_list(kind) == field.get("isArray", False)
            if pa.types.is_list(kind):
                lengths = set(table[field["name"]].combine_chunks().value_lengths().to_pylist())
                assert field["arrayShape"] == "-1" or lengths == {int(field["arrayShape"])}
                kind = kind.value_type
            assert KINDS[field["dataType"]] == kind
            assert field["source"]["extract"]["column"] == field["name"]
            assert len(field["description"]) > 10


def test_lists_of_pairs_have_their_constant_length(body):
    pairs = next(record for record in body["recordSet"] if record["@id"] == "pairs")
    arrays = [field for field in pairs["field"] if field.get("isArray")]
    assert len(arrays) == 9
    assert all(int(field["arrayShape"]) > 0 for field in arrays)


def test_every_term_is_in_the_context(body):
    known = {*body["@context"], "name", "description", "distribution", "encodingFormat", "version"}

    def check(value):
        for key, item in value.items():
            assert key in known or key.startswith("@"), key
            for inner in item if isinstance(item, list) else [item]:
                if isinstance(inner, dict):
                    check(inner)

    check({key: value for key, value in body.items() if key != "@context"})
