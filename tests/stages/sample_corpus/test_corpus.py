"""Writing a corpus: same bytes for any number of workers, resumable, careful with folders."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile

import pyarrow.parquet as pq
import pytest
import yaml
from PIL import Image

from curate.manifests.errors import UsageError
from curate.stages.sample_corpus import LAYOUTS, corpus, write_corpus


def _tree(folder):
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != "curate.yaml"  # it names the folder
    }


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    dest = tmp_path_factory.mktemp("corpus") / "scenes"
    told: list[int] = []
    done = write_corpus(dest, 300, image_px=64, progress=told.append)
    assert (done.size, done.rendered, sum(told)) == (300, 300, 300)
    return dest


def test_two_workers_write_the_same_bytes(written, tmp_path):
    write_corpus(tmp_path / "b", 300, image_px=64, workers=2)
    assert _tree(tmp_path / "b") == _tree(written)


def test_an_imagefolder_is_as_hugging_face_wants_it(written):
    lines = [json.loads(line) for line in (written / "metadata.jsonl").open(encoding="utf-8")]
    assert len(lines) == 300
    assert set(lines[0]) == {
        "file_name", "captions", "label", "labels", "camera", "time", "lat", "lon", "place",
        "split", "lighting", "viewpoint",
    }  # fmt: skip
    assert lines[7]["file_name"] == "images/000/scene-00000007.jpg"
    for line in lines[::50]:
        with Image.open(written / line["file_name"]) as image:
            assert max(image.size) == 64
    assert {path.name for path in written.iterdir()} == {
        "images", "metadata.jsonl", "truth.parquet", "README.md", "curate.yaml", "sample.json",
    }  # fmt: skip


def test_a_small_corpus_is_the_beginning_of_a_large_one(written, tmp_path):
    write_corpus(tmp_path / "small", 40, image_px=64)
    small, large = _tree(tmp_path / "small" / "images"), _tree(written / "images")
    assert small.items() <= large.items()
    lines = (tmp_path / "small" / "metadata.jsonl").read_text().splitlines()
    assert lines == (written / "metadata.jsonl").read_text().splitlines()[:40]


def test_the_truth_table_holds_for_the_bytes(written):
    truth = pq.read_table(written / "truth.parquet")
    assert truth.schema.equals(corpus.TRUTH_SCHEMA)
    rows = truth.to_pylist()
    assert [row["row"] for row in rows] == list(range(300))
    digest = {
        path.stem: hashlib.sha256(path.read_bytes()).hexdigest() for path in written.rglob("*.jpg")
    }
    for row in rows:
        if row["duplicate_of"]:
            same = digest[row["key"]] == digest[row["duplicate_of"]]
            assert same == (row["duplicate_kind"] == "exact")
    originals = [digest[row["key"]] for row in rows if not row["duplicate_of"]]
    assert len(set(originals)) == len(originals)


def test_a_second_call_returns_at_once_and_a_broken_one_goes_on(written, tmp_path, monkeypatch):
    assert write_corpus(written, 300, image_px=64).rendered == 0
    real, calls = corpus.write_part, []

    def dies(dest, spec, start, stop):
        if calls:
            raise KeyboardInterrupt
        calls.append(start)
        return real(dest, spec, start, stop)

    dest = tmp_path / "killed"
    monkeypatch.setattr(corpus, "write_part", dies)
    with pytest.raises(KeyboardInterrupt):
        write_corpus(dest, 300, image_px=64)
    assert not (dest / "sample.json").exists()
    monkeypatch.undo()
    assert write_corpus(dest, 300, image_px=64).rendered == 50
    assert _tree(dest) == _tree(written)


def test_webdataset_shards(written, tmp_path):
    write_corpus(tmp_path / "tars", 60, image_px=64, layout="webdataset")
    with tarfile.open(tmp_path / "tars" / "shard-000000.tar") as tar:
        members = {member.name: member for member in tar}
        assert all(member.mtime == 0 for member in members.values())
        names = [name for name in members if name.endswith(".jpg")]
        assert len(names) == 60
        fields = json.load(tar.extractfile("scene-00000003.json"))
        text = tar.extractfile("scene-00000003.txt").read().decode()
        image = tar.extractfile("scene-00000003.jpg").read()
    assert text == fields["captions"][0]
    assert Image.open(io.BytesIO(image)).size == (64, 64)
    assert image == (written / "images/000/scene-00000003.jpg").read_bytes()


def test_plain_folders_have_captions_beside_the_images(tmp_path):
    write_corpus(tmp_path / "plain", 20, image_px=64, layout="folder")
    text = (tmp_path / "plain" / "images/000/scene-00000000.txt").read_text().splitlines()
    assert len(text) >= 3
    assert not (tmp_path / "plain" / "metadata.jsonl").exists()


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_config_is_yaml_and_names_the_corpus(layout, tmp_path):
    done = write_corpus(tmp_path / "c: #'x", 3, image_px=64, layout=layout)
    config = yaml.safe_load(done.config.read_text(encoding="utf-8"))
    assert config["corpus"]["source"] == str((tmp_path / "c: #'x").resolve())
    assert config["corpus"]["format"] == layout
    assert config["spaces"]["image"]["encoder"] == "builtin"


def test_other_peoples_folders_are_left_alone(written, tmp_path):
    (tmp_path / "mine.txt").write_text("x")
    with pytest.raises(UsageError, match="not empty"):
        write_corpus(tmp_path, 10)
    with pytest.raises(UsageError, match="is a file"):
        write_corpus(tmp_path / "mine.txt", 10)
    with pytest.raises(UsageError, match="another sample corpus"):
        write_corpus(written, 301, image_px=64)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


@pytest.mark.parametrize(
    "wrong", [{"size": 0}, {"image_px": 63}, {"image_px": 513}, {"layout": "zip"}, {"workers": 0}]
)
def test_wrong_arguments_are_refused_before_anything_is_written(wrong, tmp_path):
    with pytest.raises(UsageError):
        write_corpus(tmp_path / "x", **({"size": 5} | wrong))
    assert not (tmp_path / "x").exists()
