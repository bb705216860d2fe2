"""Artifacts: torn parts are never taken for whole ones; equal work gives equal bytes."""

import hashlib
import json
import os
import pickle
import signal
import subprocess
import sys
import time

import numpy as np
import pyarrow as pa
import pytest

from curate.manifests.artifact import COMMIT, Artifact, Draft, Output
from curate.manifests.errors import ArtifactIncomplete, ArtifactTorn


def part(number, rows=5):
    table = pa.table({"x": pa.array(np.arange(rows) + number, pa.int64())})
    array = np.full((rows, 2), number, np.float16)
    return Output(rows, {"parquet": table, "ids.npy": array}, {"number": number}, {"seconds": 1.5})


def write_all(folder, count=3):
    draft = Draft(folder)
    receipts = [draft.write(f"part-{n:05d}", part(n)) for n in range(count)]
    return draft.commit("f" * 16, receipts, {"of": "test"})


def digests(folder):
    return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in folder.iterdir()}


def test_what_was_written_is_read(tmp_path):
    made = write_all(tmp_path / "a")
    opened = Artifact.open(tmp_path / "a")
    assert opened == made
    assert opened.parts == ("part-00000", "part-00001", "part-00002")
    assert opened.rows == 15
    assert opened.starts().tolist() == [0, 5, 10, 15]
    assert opened.facts == {"of": "test"}
    assert opened.receipt("part-00002").facts == {"number": 2}
    assert opened.table("part-00001")["x"].to_pylist() == [1, 2, 3, 4, 5]
    assert opened.column("x").tolist() == [0, 1, 2, 3, 4, 1, 2, 3, 4, 5, 2, 3, 4, 5, 6]
    mapped = opened.array("part-00002", "ids.npy")
    assert isinstance(mapped, np.memmap)
    assert (np.asarray(mapped) == 2).all()
    assert [t.num_rows for t in opened.tables()] == [5, 5, 5]


def test_equal_work_gives_equal_bytes(tmp_path):
    write_all(tmp_path / "a")
    write_all(tmp_path / "b")
    assert digests(tmp_path / "a") == digests(tmp_path / "b")
    assert "seconds" not in (tmp_path / "a" / COMMIT).read_text()


def test_a_receipt_tells_the_truth_about_its_files(tmp_path):
    write_all(tmp_path / "a")
    note = json.loads((tmp_path / "a/part-00001.json").read_text())
    assert [file["name"] for file in note["files"]] == ["part-00001.ids.npy", "part-00001.parquet"]
    for file in note["files"]:
        data = (tmp_path / "a" / file["name"]).read_bytes()
        assert len(data) == file["bytes"]
        assert hashlib.sha256(data).hexdigest() == file["sha256"]


def test_it_travels_as_its_path(tmp_path):
    made = write_all(tmp_path / "a", 40)
    data = pickle.dumps(made)
    assert len(data) < 1000
    assert pickle.loads(data) == made


def test_without_commit_record_it_is_unfinished(tmp_path):
    Draft(tmp_path / "a").write("part-00000", part(0))
    with pytest.raises(ArtifactIncomplete, match="run the stage again"):
        Artifact.open(tmp_path / "a")


@pytest.mark.parametrize("name", ["part-00001.parquet", "part-00001.ids.npy"])
@pytest.mark.parametrize("harm", ["flip", "cut", "grow", "delete"])
def test_a_torn_part_is_not_taken(tmp_path, name, harm):
    draft = Draft(tmp_path)
    draft.write("part-00000", part(0))
    draft.write("part-00001", part(1))
    path = tmp_path / name
    data = bytearray(path.read_bytes())
    if harm == "delete":
        path.unlink()
    else:
        data[len(data) // 2] ^= 1 if harm == "flip" else 0
        path.write_bytes({"flip": data, "cut": data[:-1], "grow": data + b"\0"}[harm])
    assert draft.receipt("part-00000") is not None
    assert draft.receipt("part-00001") is None


@pytest.mark.parametrize("text", ["", "{", "{}", '{"part": "part-00000"}'])
def test_a_damaged_receipt_is_none(tmp_path, text):
    draft = Draft(tmp_path)
    draft.write("part-00000", part(0))
    (tmp_path / "part-00000.json").write_text(text)
    assert draft.receipt("part-00000") is None


def test_files_without_receipt_are_not_taken(tmp_path):
    draft = Draft(tmp_path)
    draft.write("part-00000", part(0))
    (tmp_path / "part-00000.json").unlink()
    assert draft.receipt("part-00000") is None
    assert draft.receipt("part-00009") is None


def test_commit_refuses_a_missing_part(tmp_path):
    draft = Draft(tmp_path)
    receipt = draft.write("part-00000", part(0))
    with pytest.raises(ArtifactTorn, match="1 of 2 parts"):
        draft.commit("f" * 16, [receipt, None], {})
    assert not (tmp_path / COMMIT).exists()


def test_commit_sweeps_scratch(tmp_path):
    draft = Draft(tmp_path)
    receipt = draft.write("part-00000", part(0))
    (tmp_path / "part-00001.parquet.tmp-9-ab").write_bytes(b"half")
    draft.commit("f" * 16, [receipt], {})
    assert not list(tmp_path.glob("*.tmp-*"))


def test_a_failing_part_leaves_no_file_under_its_name(tmp_path):
    def fail(path):
        path.write_bytes(b"half")
        raise RuntimeError("no")

    with pytest.raises(RuntimeError):
        Draft(tmp_path).write("part-00000", Output(1, {"tar": fail}))
    assert not list(tmp_path.iterdir())


def test_fill_gives_files_that_grew_together(tmp_path):
    def fill(folder):
        (folder / "images").write_bytes(b"tar bytes")
        return Output(2, {"tar": folder / "images", "parquet": pa.table({"x": [1, 2]})}, {"n": 2})

    draft = Draft(tmp_path)
    receipt = draft.write("part-00000", Output(0, {}, fill=fill))
    assert (receipt.rows, receipt.facts) == (2, {"n": 2})
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["part-00000.json", "part-00000.parquet", "part-00000.tar"]
    assert (tmp_path / "part-00000.tar").read_bytes() == b"tar bytes"
    assert draft.receipt("part-00000") == receipt


WRITER = """
import sys
from pathlib import Path
import numpy as np
import pyarrow as pa
from curate.manifests.artifact import Draft, Output

draft = Draft(Path(sys.argv[1]))
receipts = []
for number in range(60):
    name = f"part-{number:05d}"
    found = draft.receipt(name)
    if found is None:
        values = np.random.default_rng(number).normal(size=20000)
        files = {"parquet": pa.table({"x": values}), "npy": values}
        found = draft.write(name, Output(20000, files))
        print(name, flush=True)
    receipts.append(found)
draft.commit("f" * 16, receipts, {})
"""


def test_kill_9_and_resume_end_with_the_same_bytes(tmp_path):
    """Killed three times while parts are written; only what was in flight is made anew."""

    def run(folder, kill_after=None):
        process = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(folder)], stdout=subprocess.PIPE, text=True
        )
        lines = []
        for line in process.stdout:
            lines.append(line.strip())
            if kill_after is not None and len(lines) == kill_after:
                time.sleep(0.003 * kill_after)
                os.kill(process.pid, signal.SIGKILL)
        process.wait()
        process.stdout.close()
        return lines

    made = []
    for kill_after in (3, 7, 11):
        before = set(made)
        made += run(tmp_path / "killed", kill_after)
        assert not before & set(made[len(before) :])
        with pytest.raises(ArtifactIncomplete):
            Artifact.open(tmp_path / "killed")
        draft = Draft(tmp_path / "killed")
        assert all(draft.receipt(name) is not None for name in made)
    made += run(tmp_path / "killed")
    # The part that was finished last before a kill may not have been announced; none is made twice.
    assert len(made) == len(set(made)) >= 57
    run(tmp_path / "whole")
    assert digests(tmp_path / "killed") == digests(tmp_path / "whole")
