"""The stage: places in tars, draws of other samples, the same bytes for any number of parts."""

import hashlib
import io
import json
import tarfile
from typing import ClassVar

import numpy as np
import pytest
from picture_corpus import Pictures
from PIL import Image

from curate.manifests.artifact import Draft
from curate.manifests.shards import ShardReader
from curate.stages.generate.base import Generator, Variation
from curate.stages.generate.latent import Latent
from curate.stages.generate.stage import Generate

from .conftest import encoded


class Blend(Generator):
    """Half the anchor, half the other; remembers what it was asked."""

    asked: ClassVar[list] = []

    def weights_digest(self):
        return "blend"

    def load(self, device):
        return self

    def make(self, anchor, prompts):
        self.asked.append((np.asarray(anchor), prompts))
        return [
            Variation(Image.blend(anchor, p.other.resize(anchor.size), 0.5), {"step": p.step})
            for p in prompts
        ]


def rows(artifact):
    return [row for part in artifact.parts for row in artifact.table(part).to_pylist()]


def make(tmp_path, scenes, part_rows, splits, generator, missing=(3,), count=4):
    corpus = Pictures(tmp_path, part_rows=part_rows)
    corpus.splits = splits
    data = [None if i in missing else encoded(scenes[i]) for i in range(len(splits))]
    samples, scan = corpus.make(data)
    stage = Generate(name="new", generator=generator, count=count, seed=7)
    return corpus.run(stage, samples=samples, scan=scan)


@pytest.fixture
def splits():
    return ["test" if i % 4 == 0 else "train" for i in range(21)] + ["lonely"]


def test_assets_stand_where_the_table_says(tmp_path, scenes, splits):
    made = make(tmp_path, scenes, 8, splits, Blend())
    found = rows(made)
    assert [row["anchor_id"] for row in found] == [i for i in range(22) if i != 3 for _ in range(4)]
    reader = ShardReader()
    for part in made.parts:
        with tarfile.open(made.file(part, "tar")) as tar:
            members = {member.name: member for member in tar}
        assert all(m.mtime == 0 and m.uid == 0 and m.uname == "" for m in members.values())
        table = made.table(part).to_pylist()
        assert len(members) == len(table)
        for row in table:
            assert row["shard"] == f"images/{part}.tar"
            data = reader.read(str(made.file(part, "tar")), row["offset"], row["size"])
            assert hashlib.sha256(data).hexdigest() == row["sha256"]
            assert Image.open(io.BytesIO(data)).size == (row["width"], row["height"]) == (32, 32)
            member = members[f"{row['key'].removeprefix('new/')}.jpg"]
            assert (member.offset_data, member.size) == (row["offset"], row["size"])
    assert made.receipts[0].facts == {"anchors": 7, "failed": 0}


def test_the_other_sample_is_of_the_split_and_never_the_anchor(tmp_path, scenes, splits):
    for row in rows(make(tmp_path, scenes, 8, splits, Blend(), count=16)):
        anchor, other = row["anchor_id"], json.loads(row["recipe"])["other_id"]
        assert splits[anchor] == splits[other]
        assert other != 3
        assert (other == anchor) == (splits[anchor] == "lonely")


def test_others_are_drawn_evenly(tmp_path, scenes):
    found = rows(make(tmp_path, scenes, 8, ["train"] * 12, Blend(), (), 64))
    counts = np.zeros((12, 12))
    for row in found:
        counts[row["anchor_id"], json.loads(row["recipe"])["other_id"]] += 1
    assert (np.diag(counts) == 0).all()
    expected = 64 / 11
    off = counts[~np.eye(12, dtype=bool)]
    # 110 degrees of freedom: beyond 165 once in 2000 seeds.
    assert ((off - expected) ** 2 / expected).sum() < 165


def test_prompts_carry_steps_and_seeds(tmp_path, scenes):
    Blend.asked.clear()
    make(tmp_path, scenes, 8, ["train"] * 5, Blend(), ())
    assert len(Blend.asked) == 5
    for row, (anchor, prompts) in enumerate(Blend.asked):
        np.testing.assert_array_equal(anchor, scenes[row])
        assert [round(p.step, 6) for p in prompts] == [0, 0.333333, 0.666667, 1]
    seeds = [p.seed for _, prompts in Blend.asked for p in prompts]
    assert len(set(seeds)) == 20
    assert all(0 <= seed < 2**63 for seed in seeds)


@pytest.mark.parametrize("latent", [False, True])
def test_the_same_assets_for_any_number_of_parts(tmp_path, scenes, splits, weights, latent):
    generator = Latent(path=str(weights)) if latent else Blend()
    by_parts = [
        [(row["key"], row["sha256"], row["recipe"]) for row in rows(made)]
        for made in (
            make(tmp_path / str(size), scenes, size, splits, generator) for size in (22, 8, 3)
        )
    ]
    assert by_parts[0] == by_parts[1] == by_parts[2]


def test_a_part_made_again_has_the_same_bytes(tmp_path, scenes, splits):
    first, second = (make(tmp_path / name, scenes, 8, splits, Blend()) for name in "ab")
    assert [r.files for r in first.receipts] == [r.files for r in second.receipts]


def test_a_picture_that_is_broken_has_no_assets_and_is_named(tmp_path, scenes):
    corpus = Pictures(tmp_path, part_rows=8)
    samples, scan = corpus.make([encoded(scenes[0]), b"junk", encoded(scenes[2])])
    stage = Generate(name="new", generator=Blend(), count=2)
    worker = stage.open({"samples": samples, "scan": scan})
    (tmp_path / "out").mkdir()
    output = worker(stage.plan({"samples": samples})[0])
    receipt = Draft(tmp_path / "out").write("part-00000", output)
    assert receipt.rows == 4
    assert receipt.facts == {"anchors": 2, "failed": 1}
    assert output.log["warnings"][0].startswith("sample 1: ")


def test_a_corpus_without_pictures_has_no_assets(tmp_path, scenes):
    made = make(tmp_path, scenes, 8, ["train"] * 9, Blend(), range(9))
    assert made.rows == 0
    assert rows(made) == []
