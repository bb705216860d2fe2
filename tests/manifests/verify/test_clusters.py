"""Each guarantee of clusters, broken one by one in the files, is found by `verify`."""

import json
import shutil

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from runs import curate, vector_config, vector_corpus

from curate.manifests.fingerprint import canonical_json, digest, file_digest
from curate.manifests.tables import write_parquet
from curate.manifests.verify import verify


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    folder = tmp_path_factory.mktemp("verify")
    corpus = vector_corpus(folder / "corpus", rows=250)
    config = vector_config(
        corpus,
        folder / "c.yaml",
        clusters={"c": {"space": "image", "levels": [12, 3]}},
        positives=[
            {"miner": "cluster", "clusters": "c", "count": 2},
            {"miner": "knn", "space": "image>image", "k": 2, "within": "c"},
        ],
        false_negatives=[{"miner": "ifnd", "clusters": "c", "last": 0.8}],
        negatives=[],
        output={"negatives": 0},
    )
    curate("run", config, "-o", folder / "out", "--ray", "off", "--no-report")
    return folder / "out"


@pytest.fixture
def out(sound, tmp_path):
    shutil.copytree(sound, tmp_path / "out", ignore=shutil.ignore_patterns(".store"))
    return tmp_path / "out"


def reseal(out, change=lambda manifest: None):
    """Write sizes and hashes of all files, and the manifest's own name, anew."""
    path = out / "manifest.json"
    manifest = json.loads(path.read_text())
    change(manifest)
    for entries in manifest["tables"].values():
        for entry in entries:
            file = out / entry["path"]
            entry.update(bytes=file.stat().st_size, sha256=file_digest(file))
    manifest.pop("manifest_id")
    manifest["manifest_id"] = f"sha256:{digest(canonical_json(manifest))}"
    path.write_text(json.dumps(manifest))


def edit(out, table, change):
    """Change the rows of a table, as dictionaries, in place."""
    (path,) = (out / table).glob("*.parquet")
    schema = pq.read_schema(path)
    rows = pq.read_table(path).to_pylist()
    change(rows)
    write_parquet(pa.Table.from_pylist(rows, schema), path)
    reseal(out)


def checks(out):
    return {finding.check for finding in verify(out).findings}


def test_the_run_is_sound(sound):
    result = verify(sound)
    assert result.ok, result.findings


def row_set(column, level, value, row=5):
    def change(rows):
        rows[row][column][level] = value

    return change


@pytest.mark.parametrize(
    ("change", "check"),
    [
        (row_set("cluster_ids", 0, 99), "cluster-range"),
        (row_set("cluster_ids", 0, -1), "no-vector"),
        (row_set("confidences", 0, 1.5), "confidence"),
        (row_set("confidences", 1, 1.0), "accept-rank"),
        (row_set("accept_ranks", 0, 0), "accept-rank"),
        (lambda rows: rows[5].update(sample_id=6), "dense-ids"),
    ],
)
def test_a_damaged_table_is_found(out, change, check):
    edit(out, "clusters/c", change)
    assert check in checks(out)


def test_a_cluster_in_two_of_the_next_level_is_found(out):
    def change(rows):
        rows[5]["cluster_ids"][1] = (rows[5]["cluster_ids"][1] + 1) % 3

    edit(out, "clusters/c", change)
    assert {"nesting", "cluster-sizes"} & checks(out)


@pytest.mark.parametrize("table", ["samples", "pairs"])
def test_another_cluster_in_a_column_is_found(out, table):
    def change(rows):
        rows[5]["cluster_id"] = (rows[5]["cluster_id"] + 1) % 12

    edit(out, table, change)
    assert "cluster-copy" in checks(out)


def test_ranks_that_accept_one_too_many_are_found(out):
    edit(out, "samples", lambda rows: rows[5].update(accept_rank=rows[6]["accept_rank"]))
    assert {"accept-rank", "acceptance"} <= checks(out)


def test_sizes_that_the_manifest_makes_up_are_found(out):
    reseal(out, lambda manifest: manifest["clusters"]["c"]["levels"][0].update(max=1))
    assert "cluster-sizes" in checks(out)


def edges_of(rows, miner, role):
    return [row for row in rows if row["miner"] == miner and row["role"] == role]


def test_a_positive_of_another_cluster_is_found(out):
    ids = pq.read_table(next((out / "clusters/c").glob("*")))["cluster_ids"].to_pylist()

    for miner in ("cluster", "knn"):

        def change(rows, miner=miner):
            edge = edges_of(rows, miner, "positive")[0]
            own = ids[edge["anchor_id"]][0]
            edge["other_id"] = next(i for i, (c, _) in enumerate(ids) if c != own)

        edit(out, "edges", change)
        assert "other-cluster" in checks(out)


def test_a_cluster_that_offers_more_is_found(out):
    def change(rows):
        edge = edges_of(rows, "cluster", "positive")[-1]
        edge.update(role="refused", reason="overflow")

    edit(out, "edges", change)
    assert "cluster-count" in checks(out)


@pytest.mark.parametrize("step", [-0.3, 0.3])
def test_a_false_negative_that_holds_too_early_or_late_is_found(out, step):
    def change(rows):
        valid = [row for row in edges_of(rows, "ifnd", "false_negative") if row["anchor_id"] > 9]
        middle = next(row for row in valid if 0.35 < row["valid_from"] < 0.65)
        middle["valid_from"] = float(np.float32(middle["valid_from"] + step))

    edit(out, "edges", change)
    assert "valid-from" in checks(out)


@pytest.mark.parametrize("reason", ["other_cluster", "not_accepted"])
def test_a_refusal_that_is_not_so_is_found(out, reason):
    def change(rows):
        edge = edges_of(rows, "ifnd", "false_negative")[0]
        edge.update(role="refused", reason=reason, action=None, valid_from=0.0)

    edit(out, "edges", change)
    assert "refusal" in checks(out)
