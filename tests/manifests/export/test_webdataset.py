"""Exported shards, read back by tarfile, webdataset and Hugging Face datasets, not by our code."""

import hashlib
import io
import json
import os
import signal
import subprocess
import sys
import tarfile
import time
from collections import defaultdict

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image
from tiny_pairset import edit, write_tiny_pairset

from curate.manifests.errors import DataError, UsageError
from curate.manifests.export import export

ENDINGS = ["jpg", "json", "neg0.jpg", "neg1.jpg", "neg2.jpg", "neg3.jpg", "pos0.jpg", "txt"]


def read_tars(folder):
    """Return {key: {ending: bytes}} of all shards, and the order of the keys."""
    out = defaultdict(dict)
    for path in sorted(folder.glob("*.tar")):
        with tarfile.open(path) as tar:
            for member in tar:
                key, ending = member.name.split(".", 1)
                assert (member.mtime, member.uid, member.mode) == (0, 0, 0o644)
                out[key][ending] = tar.extractfile(member).read()
    return out


@pytest.fixture(scope="module")
def packed(tiny, tmp_path_factory):
    out = tmp_path_factory.mktemp("packed")
    lines = []
    result = export(tiny.root, "webdataset", out, {"pairs_per_shard": 128}, lines.append)
    assert len(lines) == 3
    return out, result


def test_every_pair_stands_in_the_shards_with_the_same_members(packed, tiny):
    out, result = packed
    keys = read_tars(out)
    assert list(keys) == [f"{i:012d}" for i in range(300)]
    assert all(sorted(members) == ENDINGS for members in keys.values())
    assert (result.rows, result.skipped, result.files) == (300, 0, 3)
    assert json.loads((out / "sizes.json").read_text()) == {
        "pairs-000000.tar": 128,
        "pairs-000001.tar": 128,
        "pairs-000002.tar": 44,
    }


def test_images_are_the_corpus_bytes_of_the_ids_in_the_row(packed, tiny):
    out, _ = packed
    rows = pq.read_table(tiny.root / "pairs").sort_by("pair_id").to_pylist()
    keys = read_tars(out)
    for row in rows:
        members = keys[f"{row['pair_id']:012d}"]
        about = json.loads(members["json"])
        assert {name: about[name] for name in row} == row
        assert about["key"] == tiny.keys[row["anchor_id"]]
        expected = {"jpg": row["anchor_id"], "pos0.jpg": row["positive_ids"][0]}
        expected |= {f"neg{i}.jpg": row["negative_ids"][i] for i in range(4)}
        for ending, sample in expected.items():
            original = tiny.payloads[sample]
            if original[:2] == b"\xff\xd8":
                assert members[ending] == original
            else:
                with Image.open(io.BytesIO(members[ending])) as image:
                    assert image.format == "JPEG"
                    here = np.asarray(image, np.int64)
                there = np.asarray(Image.open(io.BytesIO(original)).convert("RGB"), np.int64)
                assert np.abs(here - there).mean() < 8
        texts = tiny.captions[row["anchor_id"]]
        assert members["txt"].decode() == (texts[0] if texts else "")


def test_the_same_pairset_gives_the_same_bytes(packed, tiny, tmp_path):
    export(tiny.root, "webdataset", tmp_path / "again", {"pairs_per_shard": 128})
    first = {p.name: p.read_bytes() for p in packed[0].iterdir()}
    assert first == {p.name: p.read_bytes() for p in (tmp_path / "again").iterdir()}


def test_webdataset_reads_it(packed):
    import webdataset as wds

    urls = [str(path) for path in sorted(packed[0].glob("*.tar"))]
    data = wds.WebDataset(urls, shardshuffle=False).decode("pil")
    rows = list(data.to_tuple("jpg", "pos0.jpg", "neg0.jpg", "neg3.jpg", "json", "txt"))
    assert len(rows) == 300
    anchor, positive, negative, last, about, text = rows[17]
    assert {image.size for image in (anchor, positive, negative, last)} == {(32, 32)}
    assert about["pair_id"] == 17
    assert isinstance(text, str)


@pytest.mark.filterwarnings("ignore")
def test_hugging_face_streams_it(packed, tmp_path):
    import datasets

    data = datasets.load_dataset(
        "webdataset",
        data_files=[str(path) for path in sorted(packed[0].glob("*.tar"))],
        split="train",
        streaming=True,
        cache_dir=str(tmp_path),
    )
    rows = list(data.take(140))
    assert rows[139]["json"]["pair_id"] == 139
    assert rows[139]["neg2.jpg"].size == (32, 32)
    assert len(rows[139]["json"]["negative_ids"]) == 4


def test_rows_with_an_empty_place_are_left_out_and_counted(broken, tmp_path):
    with edit(broken, "pairs", 0) as rows:
        rows[6]["negative_ids"] = [*rows[6]["negative_ids"][:3], -1]
        rows[6]["negative_kinds"] = [*rows[6]["negative_kinds"][:3], -1]
    result = export(broken, "webdataset", tmp_path / "a")
    assert (result.rows, result.skipped) == (299, 1)
    assert "000000000006" not in read_tars(tmp_path / "a")
    assert "--allow-missing" in result.note

    kept = export(broken, "webdataset", tmp_path / "b", {"allow_missing": True})
    assert (kept.rows, kept.skipped) == (300, 0)
    members = read_tars(tmp_path / "b")["000000000006"]
    assert sorted(members) == ENDINGS
    assert Image.open(io.BytesIO(members["neg3.jpg"])).size == (1, 1)
    assert json.loads(members["json"])["negative_ids"][3] == -1


def test_all_positives_can_be_packed(tiny, tmp_path):
    options = {"positives": 2, "negatives": 1, "allow_missing": True}
    export(tiny.root, "webdataset", tmp_path / "out", options)
    members = read_tars(tmp_path / "out")["000000000003"]
    assert sorted(members) == ["jpg", "json", "neg0.jpg", "pos0.jpg", "pos1.jpg", "txt"]


def test_no_list_in_the_json_is_empty(tmp_path):
    root = write_tiny_pairset(tmp_path / "in", samples=30, F=0, K=0).root
    export(root, "webdataset", tmp_path / "out")
    about = json.loads(read_tars(tmp_path / "out")["000000000001"]["json"])
    assert about["false_negative_ids"] == [-1]
    assert about["negative_scores"] == [0.0]


def test_a_stopped_export_goes_on_and_keeps_finished_shards(packed, tiny, tmp_path):
    out = tmp_path / "out"
    export(tiny.root, "webdataset", out, {"pairs_per_shard": 128})
    whole = {path.name: path.read_bytes() for path in out.iterdir()}
    (out / "sizes.json").unlink()
    (out / "pairs-000001.tar").unlink()
    (out / "pairs-000002_stats.json").unlink()
    (out / "pairs-000002.tar.tmp-77-abc").write_bytes(b"half a shard")
    kept = (out / "pairs-000000.tar").stat().st_mtime_ns
    lines = []
    export(tiny.root, "webdataset", out, {"pairs_per_shard": 128}, lines.append)
    assert [line.split(":")[0] for line in lines] == ["pairs-000001.tar", "pairs-000002.tar"]
    assert (out / "pairs-000000.tar").stat().st_mtime_ns == kept
    assert {path.name: path.read_bytes() for path in out.iterdir()} == whole


def test_kill_9_leaves_no_half_shard(tiny, tmp_path):
    """Killed after the first shard appears: whatever stands there under a shard's name is whole."""
    out = tmp_path / "out"
    code = (
        "import sys; from pathlib import Path; from curate.manifests.export import export; "
        "export(Path(sys.argv[1]), 'webdataset', Path(sys.argv[2]), {'pairs_per_shard': 3})"
    )
    process = subprocess.Popen([sys.executable, "-c", code, str(tiny.root), str(out)])
    deadline = time.monotonic() + 60
    while not (out / "pairs-000002.tar").exists() and time.monotonic() < deadline:
        time.sleep(0.002)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    done = sorted(out.glob("pairs-*.tar"))
    assert 2 < len(done)
    for path in done:
        with tarfile.open(path) as tar:
            assert len(tar.getnames()) == 3 * len(ENDINGS)
    export(tiny.root, "webdataset", out, {"pairs_per_shard": 3})
    export(tiny.root, "webdataset", tmp_path / "whole", {"pairs_per_shard": 3})
    hashes = [
        {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in folder.iterdir()}
        for folder in (out, tmp_path / "whole")
    ]
    assert hashes[0] == hashes[1]


def test_a_folder_is_not_shared(packed, tiny, tmp_path):
    with pytest.raises(DataError, match="other options"):
        export(tiny.root, "webdataset", packed[0], {"pairs_per_shard": 64})
    (tmp_path / "mine.txt").write_text("keep me")
    with pytest.raises(DataError, match="not empty"):
        export(tiny.root, "webdataset", tmp_path)


def test_wrong_use_is_refused(tiny, tmp_path):
    with pytest.raises(UsageError, match="webdataset"):
        export(tiny.root, "zip", tmp_path / "a")
    with pytest.raises(UsageError, match="pairs_per_shard"):
        export(tiny.root, "webdataset", tmp_path / "a", {"shards": 3})
    with pytest.raises(UsageError, match="0 to 2"):
        export(tiny.root, "webdataset", tmp_path / "a", {"positives": 3})
    assert not (tmp_path / "a").exists()


def test_a_missing_shard_names_the_sample(broken, tmp_path):
    (broken / "images/part-00001.tar").unlink()
    with pytest.raises(DataError, match=r"sample \d+ .*part-00001"):
        export(broken, "webdataset", tmp_path / "packed")
    assert not list((tmp_path / "packed").glob("*.tar"))


def test_a_corpus_without_images_cannot_be_packed(tmp_path):
    root = write_tiny_pairset(tmp_path / "in", samples=20, with_images=False).root
    with pytest.raises(DataError, match="has no image"):
        export(root, "webdataset", tmp_path / "out")
