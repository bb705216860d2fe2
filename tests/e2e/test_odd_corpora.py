"""`curate run` as people type it: odd places, odd corpora, and what must not be touched."""

import json
import shutil

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image
from runs import published

from curate.pipeline.cli import main


def run(*arguments, code=0):
    """Run a command in this process; return what it printed."""
    result = CliRunner().invoke(main, [str(item) for item in arguments])
    assert result.exit_code == code, result.output
    return result.output


def mine(corpus, out, *options, vectors="vectors.npy", code=0):
    fixed = ("--ray", "off", "--no-report", "--embeddings", f"image={vectors}")
    return run("run", corpus, "-o", out, *fixed, *options, code=code)


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder with 30 pictures and a vector of each, as the working directory."""
    rng = np.random.default_rng(0)
    (tmp_path / "photos").mkdir()
    for number in range(30):
        pixels = rng.integers(0, 255, (4, 4, 3), dtype=np.uint8)
        Image.fromarray(pixels).resize((16, 16)).save(tmp_path / f"photos/{number:02d}.png")
    np.save(tmp_path / "vectors.npy", rng.normal(size=(30, 8)).astype(np.float32))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_another_spelling_of_the_same_corpus_starts_nothing_anew(place, monkeypatch):
    mine("photos", "out")
    nodes = len(list((place / "out/.store").glob("*/")))
    monkeypatch.chdir(place / "photos")
    for corpus in ("./", "../photos", f"{place}/photos/"):
        said = mine(corpus, place / "out", vectors="../vectors.npy")
        assert said.count(": kept, ") == nodes
    run("verify", place / "out")


def test_a_run_never_reads_its_own_output(place):
    shutil.copy("vectors.npy", "photos/other.npy")
    mine("photos", "photos/out")
    before = published("photos/out")
    assert "scan: kept" in mine("photos", "photos/out")
    assert published("photos/out") == before


@pytest.mark.parametrize("options", [[], ["--fresh"]])
def test_inputs_inside_of_out_are_refused_and_live_on(place, options):
    mine("photos", "out")
    shutil.copytree("photos", "out/images/mine")
    shutil.copy("vectors.npy", "out/mine.npy")
    said = mine("out/images/mine", "out", *options, code=2)
    assert "stands in this folder" in said
    assert "stands in this folder" in mine(
        "photos", "out", *options, vectors="out/mine.npy", code=2
    )
    assert len(list((place / "out/images/mine").iterdir())) == 30
    assert (place / "out/mine.npy").exists()


def test_what_fails_before_the_start_is_wrong_usage(place):
    (place / "file").touch()
    assert "cannot be made: Not a directory" in mine("photos", "file/out", code=2)
    assert "no such file" in mine("photos", "out", vectors="nowhere.npy", code=2)
    assert "no .tar file" in mine("photos", "out", "--format", "webdataset", code=2)
    assert not (place / "out").exists()


def test_a_message_says_where_in_the_config_the_wrong_value_stands(place):
    good = (
        "corpus: {source: photos, format: folder, fields: {label: parent}}\n"
        "spaces:\n  image: {of: image, encoder: array, path: vectors.npy}\n"
    )
    cases = {
        ("encoder: array", "encoder: bultin"): "c.yaml:3:31: spaces.image.encoder: no encoder",
        ("path:", "pathh:"): "c.yaml:3:45: spaces.image.pathh: unknown key. Did you mean 'path'?",
        (", path: vectors.npy", ""): "c.yaml:3:10: spaces.image: an array space needs `path`",
        ("format: folder", "format: foldr"): "c.yaml:1:34: corpus.format: 'foldr' is not",
        ("label: parent", "label: nope"): "c.yaml:1:50: corpus.fields: no table",
        ("  image:", "  ../x:"): "c.yaml:3:9: spaces.../x: string should match",
        ("encoder: array, path: vectors.npy", "encoder: builtin, foo: 1"): (
            "c.yaml:3:45: spaces.image.foo: unknown key."
        ),
    }
    for (old, new), message in cases.items():
        (place / "c.yaml").write_text(good.replace(old, new))
        assert message in run("run", "c.yaml", "-o", "out", "--ray", "off", code=2)


def test_columns_that_mask_must_be_there(place):
    said = mine("photos", "out", "--set", "mask_groups=[grop_id]", code=1)
    assert "no column 'grop_id'. Did you mean 'group_id'?" in said


@pytest.mark.parametrize("count", [1, 2])
def test_the_smallest_corpora_are_pairsets(place, count):
    for number in range(count, 30):
        (place / f"photos/{number:02d}.png").unlink()
    np.save("vectors.npy", np.eye(30, 8, dtype=np.float32)[:count])
    mine("photos", "out")
    run("verify", "out")
    assert json.loads((place / "out/manifest.json").read_text())["counts"]["pairs"] == count
