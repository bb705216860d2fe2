import duckdb
import numpy as np
from ingest_helpers import write_lines

from curate.manifests.schema import SAMPLES
from curate.stages.ingest.samples import schema


def corpus(path, count):
    rng = np.random.default_rng(0)
    rows = [
        {
            "key": "" if n % 97 == 5 else f"k{n}",
            "captions": [f"{n}/{k}" for k in range(int(rng.integers(0, 4)))],
            "label": f"l{n % 7}",
            "split": "train" if n % 3 else "test",
            "lat": n / 8,
        }
        for n in range(count)
    ]
    return write_lines(path, rows), rows


def test_parts_have_one_size_and_the_rows_of_the_corpus(tmp_path, ingest) -> None:
    path, rows = corpus(tmp_path / "t.jsonl", 1000)
    done = ingest(path, {"attributes": {"lat": "lat"}}, slice_rows=150)
    kept = [(n, row) for n, row in enumerate(rows) if row["key"]]
    assert [receipt.rows for receipt in done.samples.receipts] == [256, 256, 256, len(kept) - 768]
    before = np.cumsum([0] + [len(row["captions"]) for row in rows])
    for sample_id, (found, (position, row)) in enumerate(zip(done.rows, kept, strict=True)):
        assert found["sample_id"] == sample_id
        assert (found["key"], found["position"]) == (row["key"], position)
        assert found["caption_position"] == before[position]
        assert found["captions"] == row["captions"]
        assert found["caption"] == (row["captions"] or [None])[0]
        assert (found["label"], found["labels"]) == (row["label"], [row["label"]])
        assert (found["split"], found["attr_lat"]) == (row["split"], row["lat"])


def test_slices_do_not_change_the_samples(tmp_path, ingest) -> None:
    path, _ = corpus(tmp_path / "t.jsonl", 600)
    one, two = (ingest(path, slice_rows=size) for size in (90, 10_000))
    for part in one.samples.parts:
        assert one.samples.file(part).read_bytes() == two.samples.file(part).read_bytes()


def test_the_schema_is_that_of_the_format_without_what_comes_later(tmp_path, ingest) -> None:
    path, _ = corpus(tmp_path / "t.jsonl", 20)
    done = ingest(path, {"attributes": {"lat": "lat"}})
    table = done.samples.table(done.samples.parts[0])
    assert table.schema.equals(schema({"lat": "float"}))
    missing = set(SAMPLES.names) - set(table.schema.names)
    assert missing == {"group_id", "cluster_id"}
    for field in table.schema:
        if field.name in SAMPLES.names:
            assert field.equals(SAMPLES.field(field.name))


def test_facts_carry_the_counts_that_arrays_are_aligned_by(tmp_path, ingest) -> None:
    path, rows = corpus(tmp_path / "t.jsonl", 300)
    done = ingest(path)
    captions = sum(len(row["captions"]) for row in rows)
    for receipt in done.samples.receipts:
        assert receipt.facts["inputs"] == 300
        assert receipt.facts["input_captions"] == captions
    kept = sum(len(row["captions"]) for row in rows if row["key"])
    assert sum(receipt.facts["captions"] for receipt in done.samples.receipts) == kept
    files = [str(done.samples.file(part)) for part in done.samples.parts]
    total = duckdb.sql(f"select sum(len(captions)) from read_parquet({files})").fetchall()
    assert total == [(kept,)]
