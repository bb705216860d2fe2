"""The main job as a person runs it, on a corpus without images and with no cluster."""

import json

import duckdb
import numpy as np
import pytest
from runs import curate, published, vector_config, vector_corpus

from curate.manifests.pairset import Pairset


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    corpus = vector_corpus(folder / "corpus")
    config = vector_config(corpus, folder / "c.yaml")
    out = folder / "out"
    done = curate("run", config, "-o", out, "--ray", "off")
    return corpus, config, out, done


def test_it_says_where_the_results_are(made):
    _, _, out, done = made
    assert f"manifest: {out}/manifest.json" in done.stdout
    assert f"report:   {out}/report.html" in done.stdout
    assert "mine:knn" in done.stderr


def test_every_input_is_there_once_and_in_corpus_order(made):
    corpus, _, out, _ = made
    keys = [json.loads(line)["key"] for line in (corpus / "table.jsonl").open()]
    found = duckdb.execute(
        f"select key from '{out}/samples/*.parquet' order by sample_id"
    ).fetchall()
    assert [key for (key,) in found] == keys


def test_the_verifier_is_satisfied(made):
    _, _, out, _ = made
    done = curate("verify", out, check=False)
    assert done.returncode == 0, done.stdout


def test_neighbours_are_those_of_brute_force(made):
    corpus, _, out, _ = made
    x = np.load(corpus / "image.npy").astype(np.float64)
    x = (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float16).astype(np.float64)
    table = duckdb.execute(
        f"select sample_id, group_id, split from '{out}/samples/*.parquet' order by sample_id"
    ).fetchnumpy()
    similarity = x @ x.T
    barred = table["group_id"][:, None] == table["group_id"][None, :]
    barred |= table["split"][:, None] != table["split"][None, :]
    similarity[barred] = -np.inf
    rows = duckdb.execute(
        f"select neighbor_ids from '{out}/neighbors/image_to_image/*.parquet' order by sample_id"
    ).fetchall()
    for row in range(0, len(x), 17):
        found = np.array(rows[row][0])
        kept = found[found >= 0]
        best = np.sort(similarity[row])[::-1][: len(kept)]
        assert np.allclose(similarity[row][kept], best, atol=2e-6)


def test_duplicates_share_a_group_and_never_a_pair(made):
    _, _, out, _ = made
    groups = duckdb.execute(
        f"select group_id from '{out}/samples/*.parquet' where sample_id in (3, 7)"
    ).fetchall()
    assert groups == [(3,), (3,)]
    together = duckdb.execute(
        f"select count(*) from '{out}/edges/*.parquet' where role in ('positive', 'negative')"
        " and anchor_id in (3, 7) and other_id in (3, 7) and anchor_id <> other_id"
    ).fetchall()
    assert together == [(0,)]


def test_a_second_run_does_nothing_and_publishes_the_same(made):
    _, config, out, _ = made
    before = published(out)
    done = curate("run", config, "-o", out, "--ray", "off", "--no-report")
    assert "scan: kept" in done.stderr
    assert "peak" not in done.stderr
    assert published(out) == before


def test_a_new_threshold_embeds_nothing_again(made):
    _, config, out, _ = made
    changed = ["--set", "negatives.0.max_ratio=0.9"]
    done = curate("run", config, "-o", out, "--ray", "off", "--no-report", *changed)
    for node in ("scan", "samples", "vectors:image", "join:image>image", "mine:knn"):
        assert f"{node}: kept" in done.stderr
    assert "mine:hard: kept" not in done.stderr
    assert curate("verify", out).returncode == 0
    curate("run", config, "-o", out, "--ray", "off", "--no-report")


def test_the_manifest_is_the_commit_marker_and_holds_what_readers_need(made):
    _, _, out, _ = made
    manifest = Pairset.open(out).manifest
    assert manifest["counts"]["samples"] == 600
    assert manifest["neighbors"]["image>image"]["recall"]["value"] == 1.0
    rate = manifest["quality"]["false_negative_rate"]
    assert rate["source"] == "label"
    assert 0 <= rate["low"] <= rate["value"] <= rate["high"] <= 1
    assert manifest["kinds"][:2] == ["knn", "label"]
    assert manifest["loss"]["t"] == 0.1


def test_inspect_explain_and_export_work_on_it(made):
    _, _, out, _ = made
    facts = json.loads(curate("inspect", out, "--json").stdout)
    assert facts["counts"]["samples"] == 600
    text = curate("explain", out, "item-0011").stdout
    assert "item-0011" in text
    wrong = curate("explain", out, "item-001", check=False)
    assert wrong.returncode == 1
    assert "item-0011" in wrong.stderr


def test_a_dry_run_starts_nothing(made, tmp_path):
    _, config, _, _ = made
    done = curate("run", config, "-o", tmp_path / "out", "--dry-run")
    assert "600 inputs" in done.stdout
    assert "vectors:image" in done.stdout
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("limit", ["budget.disk=1kB", "budget.memory=1MB"])
def test_a_plan_that_does_not_fit_is_refused(made, tmp_path, limit):
    _, config, _, _ = made
    options = ["run", config, "-o", tmp_path / "out", "--set", limit]
    done = curate(*options, "--dry-run", check=False)
    assert done.returncode == 1
    assert "It will not fit" in done.stdout
    assert json.loads(curate(*options, "--dry-run", "--json", check=False).stdout)["fits"] is False
    done = curate(*options, check=False)
    assert done.returncode == 1
    assert "may be used" in done.stderr


def test_fresh_starts_over(made):
    _, config, out, _ = made
    before = published(out)
    done = curate("run", config, "-o", out, "--ray", "off", "--fresh", "--no-report")
    assert "kept" not in done.stderr
    assert published(out) == before


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["run", "no/such/place", "-o", "{out}"], 2, "no such folder"),
        (["run", "{config}", "-o", "{corpus}"], 2, "holds other files"),
        (["run", "{config}", "-o", "{out}", "--set", "seed=x"], 2, "seed: "),
        (["run", "{config}", "-o", "{out}", "--recipe", "nope"], 2, "no recipe is called"),
        (["run", "{config}", "-o", "s3://bucket/out"], 2, "written to a folder"),
        (["run", "{config}", "-o", "{out}", "--set", "budget.disk=1kB"], 1, "--dry-run"),
        (["verify", "{corpus}"], 1, "not a pairset"),
        (["inspect", "{corpus}"], 1, "curate run CORPUS"),
        (["run", "{config}"], 2, "Missing option"),
    ],
)
def test_wrong_usage_says_so_and_starts_nothing(made, tmp_path, arguments, code, message):
    corpus, config, _, _ = made
    names = {"{out}": tmp_path / "out", "{config}": config, "{corpus}": corpus}
    done = curate(*[names.get(item, item) for item in arguments], check=False)
    assert done.returncode == code, done.stderr
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "out").exists()
