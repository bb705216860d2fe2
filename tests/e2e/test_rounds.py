"""Mine, train, mine again in the trained space, diff: two rounds on a rendered corpus."""

import json
import shutil
import signal
import subprocess
import sys
import time

import pyarrow.parquet as pq
import pytest
from runs import curate, environment, published

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
QUIET = ("--ray", "off", "--no-report")


def manifest_of(out):
    return json.loads((out / "manifest.json").read_text())


def command(config, out, made):
    checkpoint = f"checkpoint:{made / 'out1/train'}"
    return ["run", config, "-o", out, "--encoder", checkpoint, "--round-of", made / "out1", *QUIET]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("rounds")
    curate("sample", folder / "corpus", "--size", "150", "--workers", "1")
    config = folder / "corpus/curate.yaml"
    curate("run", config, "-o", folder / "out1", *QUIET)
    curate("train", folder / "out1", "--steps", "20", "--batch-size", "32", "--device", "cpu")
    curate(*command(config, folder / "out2", folder))
    return folder


def test_both_rounds_are_sound_and_know_each_other(made):
    for name in ("out1", "out2"):
        assert curate("verify", made / name).returncode == 0
    first, second = manifest_of(made / "out1"), manifest_of(made / "out2")
    assert (first["round"], first["parents"]) == (0, [])
    assert (second["round"], second["parents"]) == (1, [first["manifest_id"]])
    for name, number in (("out1", 0), ("out2", 1)):
        rounds = {
            value
            for entry in manifest_of(made / name)["tables"]["edges"]
            for value in pq.read_table(made / name / entry["path"])["round"].to_pylist()
        }
        assert rounds == {number}


def test_near_duplicates_stay_and_the_space_moves(made):
    first, second = manifest_of(made / "out1"), manifest_of(made / "out2")
    assert second["groups"] == first["groups"]
    assert second["embeddings"]["frozen"]["encoder"] == first["embeddings"]["image"]["encoder"]
    assert second["embeddings"]["image"]["encoder"]["class"].endswith("checkpoint:Checkpoint")
    assert second["embeddings"]["caption"] == first["embeddings"]["caption"]


def test_the_diff_shows_how_far_the_lists_moved(made):
    facts = json.loads(curate("diff", made / "out1", made / "out2", "--json").stdout)
    assert facts["samples"]["common"] == 150
    assert facts["samples"]["changed"]["count"] == 0
    assert facts["pairs"]["anchors"] == 150
    for lists in (facts["pairs"]["positives"], facts["neighbors"]["image>image"]):
        assert 0 < lists["overlap_at_k"] < 1
    assert "overlap_at_k" in curate("diff", made / "out1", made / "out2").stdout


def test_the_same_round_twice_has_the_same_bytes_and_a_killed_one_too(made, tmp_path):
    config = made / "corpus/curate.yaml"
    begun = time.monotonic()
    curate(*command(config, tmp_path / "again", made))
    seconds = time.monotonic() - begun
    assert published(tmp_path / "again") == published(made / "out2")
    line = [sys.executable, "-m", "curate.pipeline.cli"]
    line += map(str, command(config, tmp_path / "killed", made))
    process = subprocess.Popen(
        line, env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    time.sleep(0.6 * seconds)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (tmp_path / "killed/manifest.json").exists()
    curate(*command(config, tmp_path / "killed", made))
    assert published(tmp_path / "killed") == published(made / "out2")


def test_a_round_is_refused_before_any_work(made, tmp_path):
    config = made / "corpus/curate.yaml"
    shutil.copytree(made / "out1", tmp_path / "other", ignore=shutil.ignore_patterns(".store"))
    cases = [
        (f"checkpoint:{made / 'none'}", made / "out1", "curate train OUT -d FOLDER"),
        (f"checkpoint:{made / 'out1/train'}", made / "out2", "was trained on"),
        (f"checkpoint:{made / 'out1/train'}", tmp_path, "is not a pairset"),
        ("builtin", tmp_path / "out", "is not a pairset"),
    ]
    for encoder, parent, text in cases:
        options = ["--encoder", encoder, "--round-of", parent, *QUIET]
        done = curate("run", config, "-o", tmp_path / "out", *options, check=False)
        assert done.returncode != 0
        assert text in done.stderr
        assert not (tmp_path / "out").exists()
    options = ["--encoder", "builtin", "--round-of", tmp_path / "other", *QUIET]
    done = curate("run", config, "-o", tmp_path / "other", *options, check=False)
    assert "stands in this folder" in done.stderr
    assert (tmp_path / "other/manifest.json").exists()
