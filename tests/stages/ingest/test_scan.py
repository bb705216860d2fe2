import hashlib
import json
import random
import tarfile

import pytest
import webdataset as wds
from ingest_helpers import picture, run_stage, write_lines, write_tar

from curate.manifests.artifact import Draft
from curate.manifests.errors import ResourceError
from curate.stages.ingest.detect import reader_for
from curate.stages.ingest.scan import SCAN, Scan


@pytest.fixture
def photos(tmp_path):
    root = tmp_path / "c"
    (root / "d").mkdir(parents=True)
    for number in range(12):
        (root / "d" / f"im.{number:02d}.png").write_bytes(picture(number, "PNG"))
    (root / "d" / "bad.jpg").write_bytes(b"junk")
    rows = [
        {"image": f"d/im.{n:02d}.png", "caption": f"é {n}", "label": "x", "split": "s"}
        for n in range(12)
    ]
    write_lines(root / "captions.jsonl", rows)
    return root


def scanned(source, folder, **settings):
    stage = Scan(reader=reader_for("auto", str(source), **settings), max_pixels=10**6)
    return run_stage(stage, {}, folder)


def files_of(folder):
    return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in sorted(folder.iterdir())}


def test_two_scans_give_the_same_bytes(photos, tmp_path) -> None:
    one, two = (scanned(photos, tmp_path / name, slice_rows=5) for name in ("one", "two"))
    assert files_of(one.path) == files_of(two.path)
    assert sorted(files_of(one.path)) == [
        "artifact.json",
        *(f"part-0000{n}.{end}" for n in range(3) for end in ("json", "parquet", "tar")),
        *("part-00003.json", "part-00003.parquet"),
    ]


def test_the_tar_is_a_plain_webdataset(photos, tmp_path) -> None:
    scan = scanned(photos, tmp_path / "s")
    path = scan.file("part-00000", "tar")
    found = list(wds.WebDataset(str(path), shardshuffle=False))
    assert [sample["png"] for sample in found] == [picture(n, "PNG") for n in range(12)]
    assert [sample["txt"].decode() for sample in found] == [f"é {n}" for n in range(12)]
    about = json.loads(found[3]["json"])
    assert about == {
        "key": "d/im.03", "captions": ["é 3"], "labels": ["x"], "split": "s",
        "width": 24, "height": 16,
    }  # fmt: skip
    with tarfile.open(path) as tar:
        members = tar.getmembers()
    assert {(m.mtime, m.uid, m.gid, m.uname) for m in members} == {(0, 0, 0, "")}
    assert path.stat().st_size % tarfile.RECORDSIZE == 0


def test_offsets_and_digests_are_those_of_the_bytes(photos, tmp_path) -> None:
    scan = scanned(photos, tmp_path / "s")
    table = scan.table("part-00000")
    assert table.schema.equals(SCAN)
    with tarfile.open(scan.file("part-00000", "tar")) as tar:
        places = [(m.offset_data, m.size) for m in tar.getmembers() if m.name.endswith(".png")]
    rows = [row for row in table.to_pylist() if not row["code"]]
    assert [(row["offset"], row["size"]) for row in rows] == places
    for number, row in enumerate(rows):
        assert row["sha256"] == hashlib.sha256(picture(number, "PNG")).hexdigest()
        assert (row["width"], row["height"], row["ext"]) == (24, 16, "png")
    facts = [receipt.facts for receipt in scan.receipts]
    assert [(f["inputs"], f["captions"]) for f in facts] == [(12, 12), (1, 0)]
    assert facts[1]["rejects_by_code"] == {"not_an_image": 1}


def test_a_crash_leaves_nothing_that_is_taken_for_whole(photos, tmp_path, monkeypatch) -> None:
    stage = Scan(reader=reader_for("auto", str(photos)))
    draft = Draft(tmp_path / "s")
    draft.path.mkdir()
    work, (task, _) = stage.open({}), stage.plan({})
    from curate.stages.ingest import shard

    original = shard.ShardWriter.add

    def full(self, sample, ext, facts):
        if sample.key.endswith("07"):
            raise OSError(28, "No space left on device")
        return original(self, sample, ext, facts)

    monkeypatch.setattr(shard.ShardWriter, "add", full)
    with pytest.raises(ResourceError, match="no space left"):
        draft.write(task.part, work(task))
    assert list(draft.path.iterdir()) == []
    monkeypatch.undo()
    draft.write(task.part, work(task))
    assert files_of(draft.path).keys() == {
        "part-00000.json",
        "part-00000.parquet",
        "part-00000.tar",
    }


@pytest.mark.parametrize("seed", range(6))
def test_samples_and_rejects_are_the_inputs_once_each(seed, tmp_path, ingest) -> None:
    rng = random.Random(seed)
    pool = [picture(n) for n in range(4)] + [b"", b"junk", picture(1)[:-300]]
    inputs = []
    for shard in range(3):
        members = []
        for _ in range(rng.randint(1, 12)):
            key = f"k{rng.randint(0, 25)}"
            if members and members[-1][0].startswith(f"{key}."):
                continue
            members.append((f"{key}.jpg", rng.choice(pool)))
            inputs.append((key, members[-1][1]))
        write_tar(tmp_path / f"{shard}.tar", members)
    done = ingest(tmp_path)
    good, taken = [], set()
    for position, (key, data) in enumerate(inputs):
        if data in pool[:4] and key not in taken:
            taken.add(key)
            good.append((position, key))
    assert [(row["position"], row["key"]) for row in done.rows] == good
    assert [row["sample_id"] for row in done.rows] == list(range(len(good)))
    kept = {position for position, _ in good}
    rejected = [key for position, (key, _) in enumerate(inputs) if position not in kept]
    assert [row["key"] for row in done.rejects] == rejected
    assert done.facts["inputs"] == len(inputs)
