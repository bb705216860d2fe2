"""What all exports share: names, options, splits, the same bytes, going on after a stop."""

import dataclasses
import hashlib
import importlib
import re

import pytest
from click.testing import CliRunner
from tiny_pairset import add_texts, edit, write_tiny_pairset

from curate.manifests.errors import DataError, UsageError
from curate.manifests.export import export, targets
from curate.pipeline.cli import main

OPTIONS = {
    "webdataset": {"pairs_per_shard": 64},
    "triplets": {"images": "files", "pairs_per_shard": 64},
    "open-clip": {"form": "tars", "pairs_per_shard": 100},
    "negclip": {},
    "datacomp": {},
    "hf": {"pairs_per_shard": 64},
}


@pytest.fixture(scope="module")
def full(tmp_path_factory):
    """A pairset that every format can take: images, captions, uids, hard captions."""
    tiny = write_tiny_pairset(
        tmp_path_factory.mktemp("full") / "out", samples=160, files=2, tars=2, png_every=30
    )
    add_texts(tiny.root, [[f"no {i}", "" if i % 2 else f"not {i}"] for i in range(160)])
    for file in (0, 1):
        with edit(tiny.root, "samples", file) as rows:
            for row in rows:
                row["uid"] = hashlib.md5(row["key"].encode()).hexdigest()
    return tiny


def contents(folder):
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_every_format_is_tried_here():
    assert targets() == sorted(OPTIONS)


@pytest.mark.parametrize("to", OPTIONS)
def test_the_same_pairset_gives_the_same_bytes_and_no_litter(full, tmp_path, to):
    for name in ("a", "b"):
        export(full.root, to, tmp_path / name, OPTIONS[to])
    first = contents(tmp_path / "a")
    assert first == contents(tmp_path / "b")
    assert not [name for name in first if ".tmp-" in name]
    assert not list((tmp_path / "a").rglob("*.tmp-*"))


@pytest.mark.parametrize("to", OPTIONS)
def test_a_stopped_export_goes_on(full, tmp_path, to, monkeypatch):
    """Some files get their names, then the process dies."""
    whole = tmp_path / "whole"
    export(full.root, to, whole, OPTIONS[to])
    storage = importlib.import_module("curate.manifests.storage")
    rename, left = storage.os.replace, [1 if to == "datacomp" else 3]

    def dies(source, target):
        left[0] -= 1
        if left[0] < 0:
            raise KeyboardInterrupt
        rename(source, target)

    monkeypatch.setattr(storage.os, "replace", dies)
    out = tmp_path / "out"
    with pytest.raises(KeyboardInterrupt):
        export(full.root, to, out, OPTIONS[to])
    monkeypatch.undo()
    lines = []
    export(full.root, to, out, OPTIONS[to], lines.append)
    assert contents(out) == contents(whole)
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*.*[rqv]")}
    again = []
    export(full.root, to, out, OPTIONS[to], again.append)
    assert again == []
    assert before == {path: path.stat().st_mtime_ns for path in before}


@pytest.mark.parametrize("to", OPTIONS)
def test_only_one_split_is_written_if_asked(full, tmp_path, to):
    whole = export(full.root, to, tmp_path / "all", OPTIONS[to])
    parts = [
        export(full.root, to, tmp_path / split, {**OPTIONS[to], "split": split})
        for split in ("train", "val")
    ]
    assert sum(part.rows for part in parts) == whole.rows
    assert all(part.rows for part in parts)
    with pytest.raises(UsageError, match=r"'train', 'val'"):
        export(full.root, to, tmp_path / "none", {"split": "test"})
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize("to", OPTIONS)
def test_a_folder_is_not_shared(full, tmp_path, to):
    (tmp_path / "mine.txt").write_text("keep me")
    with pytest.raises(DataError, match="not empty"):
        export(full.root, to, tmp_path, OPTIONS[to])
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


@pytest.mark.parametrize("to", OPTIONS)
def test_help_names_the_options_of_each_format(to):
    text = CliRunner().invoke(main, ["export", "--help"]).output
    table = text[text.index("FORMAT  ") : text.index("Example")]
    row = re.search(rf"^ *{to} .*\n(?:^ {{10,}}.*\n)*", table, re.MULTILINE).group()
    module = importlib.import_module(f"curate.manifests.export.{to.replace('-', '_')}")
    target = next(
        item for item in vars(module).values()
        if dataclasses.is_dataclass(item) and getattr(item, "name", "") == to
    )  # fmt: skip
    named = {f"--{field.name.replace('_', '-')}" for field in dataclasses.fields(target)}
    assert set(re.findall(r"--[a-z-]+", row)) | {"--split"} == named


def test_the_command_passes_on_what_was_asked_for(full, tmp_path):
    args = ["export", str(full.root), "--to", "webdataset", "-d", str(tmp_path / "a")]
    done = CliRunner().invoke(main, [*args, "--positives", "0", "--json"])
    assert done.exit_code == 0, done.output
    assert '"options"' not in done.stdout
    assert '"positives": 0' in (tmp_path / "a/_export.json").read_text()
    wrong = CliRunner().invoke(main, [*args[:-1], str(tmp_path / "b"), "--form", "csv"])
    assert wrong.exit_code == 2
    assert "webdataset has no option form" in wrong.output
