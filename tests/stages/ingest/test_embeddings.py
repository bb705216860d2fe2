import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from ingest_helpers import write_lines

from curate.manifests.arrays import ArraySource
from curate.manifests.errors import ConfigError
from curate.stages.ingest.embeddings import EmbeddingsReader

ROWS = [{"id": f"k{n}", "text": f"t{n}", "label": n % 2, "age": n / 2} for n in range(5)]


@pytest.mark.parametrize("ending", ["csv", "tsv", "jsonl", "parquet"])
def test_tables_of_keys(tmp_path, ingest, ending) -> None:
    path = tmp_path / f"t.{ending}"
    if ending == "jsonl":
        write_lines(path, ROWS)
    elif ending == "parquet":
        vectors = pa.array([[0.0, 1.0]] * 5)
        pq.write_table(pa.Table.from_pylist(ROWS).append_column("vector", vectors), path)
    else:
        pd.DataFrame(ROWS).to_csv(path, index=False, sep="\t" if ending == "tsv" else ",")
    done = ingest(path, {"attributes": {"age": "age"}}, slice_rows=2)
    assert [row["key"] for row in done.rows] == [f"k{n}" for n in range(5)]
    assert [row["caption"] for row in done.rows] == [f"t{n}" for n in range(5)]
    assert [row["label"] for row in done.rows] == ["0", "1", "0", "1", "0"]
    assert [row["attr_age"] for row in done.rows] == [n / 2 for n in range(5)]
    assert {(row["shard"], row["offset"], row["size"], row["ext"]) for row in done.rows} == {
        ("", -1, 0, "")
    }
    assert not done.facts["has_images"]
    assert [len(receipt.files) for receipt in done.scan.receipts] == [1, 1, 1]


def test_vectors_of_a_parquet_table_are_an_array_space(tmp_path, ingest) -> None:
    vectors = np.eye(5, dtype=np.float32)
    vectors[2] = 0
    table = pa.Table.from_pylist(ROWS).append_column("vector", pa.array(list(vectors)))
    pq.write_table(table, tmp_path / "t.parquet", row_group_size=2)
    source = ArraySource(str(tmp_path / "t.parquet"), keys=str(tmp_path / "t.parquet"))
    done = ingest(tmp_path / "t.parquet", arrays={"image": source})
    assert done.codes == {"k2": "zero_vector"}


def test_a_table_without_keys_is_a_config_error(tmp_path) -> None:
    (tmp_path / "t.csv").write_text("a,b\n1,2\n")
    with pytest.raises(ConfigError, match=r"which column holds the keys\? It has: a, b"):
        EmbeddingsReader(source=str(tmp_path / "t.csv")).slices()
    (tmp_path / "u.csv").write_text("a,b\n1,2\n")
    with pytest.raises(ConfigError, match=r"found: t\.csv, u\.csv"):
        EmbeddingsReader(source=str(tmp_path)).slices()
