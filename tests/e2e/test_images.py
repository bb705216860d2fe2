"""The main job on pictures: sample corpus, built-in encoder, verify, train, export."""

import json
import shutil
import signal
import subprocess
import sys
import tarfile
import time

import pytest
from runs import curate, environment, published

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("images")
    curate("sample", folder / "corpus", "--size", "160", "--px", "64", "--workers", "1")
    config = folder / "corpus/curate.yaml"
    done = curate("run", config, "-o", folder / "out", "--ray", "off")
    return config, folder / "out", done


def test_the_sample_corpus_becomes_a_sound_pairset(made):
    _, out, done = made
    assert "built-in encoder" in done.stderr
    assert curate("verify", out).returncode == 0
    manifest = json.loads((out / "manifest.json").read_text())
    assert manifest["counts"]["samples"] == 160
    assert manifest["groups"]["grouped_samples"] > 0
    assert set(manifest["embeddings"]) == {"image", "caption"}
    assert (out / "report.html").stat().st_size > 100_000


def test_the_documents_describe_what_is_there(made):
    _, out, _ = made
    manifest = json.loads((out / "manifest.json").read_text())
    listed = [entry["path"] for entry in manifest["documents"]]
    assert listed == ["README.md", "croissant.json", "images/sizes.json"]
    sizes = json.loads((out / "images/sizes.json").read_text())
    for path in sorted((out / "images").glob("*.tar")):
        with tarfile.open(path) as tar:
            assert sizes.pop(path.name) == sum(name.endswith(".jpg") for name in tar.getnames())
    assert not sizes
    assert manifest["corpus"]["inputs"] == 160


def test_pair_shards_are_written_when_the_config_asks(made, tmp_path):
    config, out, _ = made
    shutil.copytree(out, tmp_path / "out")
    for shards in ("parquet, webdataset", "webdataset, parquet"):
        options = ["--set", f"output.formats=[{shards}]", "--ray", "off", "--no-report"]
        curate("run", config, "-o", tmp_path / "out", *options)
        manifest = json.loads((tmp_path / "out/manifest.json").read_text())
        about = json.loads((tmp_path / "out/packed/_export.json").read_text())
        assert about["manifest_id"] == manifest["manifest_id"]
    with tarfile.open(tmp_path / "out/packed/pairs-000000.tar") as tar:
        assert "000000000000.neg0.jpg" in tar.getnames()
    assert curate("verify", tmp_path / "out", "--quick").returncode == 0


def test_positives_are_of_the_anchors_kind_far_more_often_than_chance(made):
    _, out, _ = made
    import duckdb

    rows = duckdb.execute(
        f"""
        with s as (select sample_id, label from '{out}/samples/*.parquet')
        select avg((a.label = b.label)::int),
               (select sum(n * n) / sum(n) ** 2 from (select count(*) n from s group by label))
        from '{out}/edges/*.parquet' e
        join s a on a.sample_id = e.anchor_id join s b on b.sample_id = e.other_id
        where e.role = 'positive' and e.miner = 'knn'
        """
    ).fetchall()
    share, chance = rows[0]
    assert share > 5 * chance


def test_a_kill_while_pictures_are_embedded_changes_nothing(made, tmp_path):
    config, out, _ = made
    command = [sys.executable, "-m", "curate.pipeline.cli", "run", config, "-o", tmp_path / "out"]
    process = subprocess.Popen(
        [*map(str, command), "--ray", "off", "--no-report"],
        env=environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    store = tmp_path / "out/.store"
    deadline = time.monotonic() + 120
    while not list(store.glob("samples/*/artifact.json")) and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(1.0)
    process.send_signal(signal.SIGKILL)
    process.wait()
    curate("run", config, "-o", tmp_path / "out", "--ray", "off", "--no-report")
    assert published(tmp_path / "out") == published(out)


@pytest.mark.ray
def test_two_workers_on_ray_write_the_same_bytes(made, tmp_path):
    config, out, _ = made
    options = ["--ray", "local", "--workers", "2", "--no-report"]
    curate("run", config, "-o", tmp_path / "out", *options)
    assert published(tmp_path / "out") == published(out)


def test_training_and_export_run_on_it(made, tmp_path):
    _, out, _ = made
    options = ["--steps", "3", "--batch-size", "16", "--px", "32", "-d", tmp_path / "train"]
    done = curate("train", out, *options, "--json")
    assert json.loads(done.stdout)["steps"] == 3
    assert "kNN accuracy" in done.stderr
    done = curate("export", out, "--to", "webdataset", "-d", tmp_path / "packed")
    assert "rows in 1 files" in done.stdout
    assert (tmp_path / "packed/pairs-000000.tar").exists()
