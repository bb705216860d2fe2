"""Embedding of pictures and captions, against open_clip called by hand."""

from __future__ import annotations

import io
import logging

import numpy as np
import pytest
from clip_by_hand import by_hand, encoder
from picture_corpus import picture
from PIL import Image
from vector_corpus import gather, run_stage

from curate.manifests.artifact import Draft
from curate.manifests.pictures import Pictures
from curate.stages.embed.base import Encoder
from curate.stages.embed.stage import Embed


def logs(stage, inputs, path):
    draft, worker = Draft(path), stage.open(inputs)
    outputs = [(task.part, worker(task)) for task in stage.plan(inputs)]
    draft.commit("x", [draft.write(part, output) for part, output in outputs], {})
    return [output.log for _, output in outputs]


def test_images_equal_open_clip(tiny, pictures):
    images = [picture(i) for i in range(23)]
    samples, scan = pictures.make(images)
    stage = Embed(space="image", of="image", encoder=encoder(tiny))
    done = pictures.run(stage, samples=samples, scan=scan)
    rows = gather(done, "npy")
    assert rows.dtype == np.float16
    assert [r.rows for r in done.receipts] == [r.rows for r in samples.receipts]
    np.testing.assert_allclose(rows, by_hand(tiny, images), atol=6e-4)
    np.testing.assert_allclose(np.linalg.norm(rows.astype(float), axis=1), 1, atol=1e-3)
    assert done.receipts[0].facts == {"dim": 24, "missing": 0, "failed": 0}


def test_bytes_do_not_depend_on_threads_and_barely_on_the_batch(tiny, pictures):
    samples, scan = pictures.make([picture(i) for i in range(23)])
    make = {"space": "image", "encoder": encoder(tiny)}
    one = gather(pictures.run(Embed(**make), samples=samples, scan=scan), "npy")
    for settings in ({"decode_threads": 4}, {"batch": 8}, {"decode_threads": 2, "batch": 8}):
        stage = Embed(**make, **settings)
        again = gather(pictures.run(stage, samples=samples, scan=scan), "npy")
        assert again.tobytes() == one.tobytes()
    for batch in (1, 3, 64):
        again = gather(pictures.run(Embed(**make, batch=batch), samples=samples, scan=scan), "npy")
        np.testing.assert_allclose(again.astype(float), one.astype(float), atol=6e-4)


def test_speed_settings_are_not_in_the_identity(tiny):
    a = Embed(space="image", encoder=encoder(tiny))
    b = Embed(space="image", encoder=encoder(tiny), batch=3, decode_threads=9)
    assert a.identity() == b.identity()


def test_a_bad_image_costs_its_row_and_is_named(tiny, pictures, tmp_path):
    images = [picture(i) for i in range(12)]
    images[3] = images[3][: len(images[3]) // 2]
    images[10] = b"not a picture at all"
    images[5] = None
    samples, scan = pictures.make(images)
    stage = Embed(space="image", encoder=encoder(tiny), batch=4)
    said = logs(stage, {"samples": samples, "scan": scan}, tmp_path / "out")
    assert [len(log.get("warnings", [])) for log in said] == [1, 1]
    assert said[0]["warnings"][0].startswith("key3: ")
    assert said[1]["warnings"][0].startswith("key10: ")
    done = pictures.run(stage, samples=samples, scan=scan)
    rows = gather(done, "npy")
    np.testing.assert_array_equal(np.flatnonzero(~rows.any(axis=1)), [3, 5, 10])
    assert [r.facts["missing"] for r in done.receipts] == [2, 1]
    assert [r.facts["failed"] for r in done.receipts] == [1, 1]
    good = [i for i in range(12) if i not in (3, 5, 10)]
    np.testing.assert_allclose(rows[good], by_hand(tiny, [images[i] for i in good]), atol=6e-4)


def test_a_shard_that_is_gone_costs_its_rows(tiny, pictures, tmp_path):
    samples, scan = pictures.make([picture(i) for i in range(12)])
    scan.file(scan.parts[1], "tar").unlink()
    stage = Embed(space="image", encoder=encoder(tiny))
    rows = gather(pictures.run(stage, samples=samples, scan=scan), "npy")
    assert rows[:10].any(axis=1).all()
    assert not rows[10:].any()


def test_captions_are_averaged_as_unit_vectors(tiny, pictures):
    captions = [["a red cube"], [], ["two dogs", "dogs that run", "a park"], ["two dogs"]]
    samples, _ = pictures.make([None] * 4, captions)
    stage = Embed(space="caption", of="caption", encoder=encoder(tiny), batch=2)
    done = pictures.run(stage, samples=samples)
    rows = gather(done, "npy").astype(float)
    flat = by_hand(tiny, texts=[text for own in captions for text in own])
    mean = flat[1:4].mean(axis=0)
    want = [flat[0], np.zeros(24), mean / np.linalg.norm(mean), flat[4]]
    np.testing.assert_allclose(rows, want, atol=6e-4)
    assert done.receipts[0].facts == {"dim": 24, "missing": 1, "failed": 0}


class Broken:
    """An encoder whose vectors are not finite, or zero, for dark pictures."""

    dim = 4

    def prepare_image(self, image):
        return float(np.asarray(image).mean())

    def encode_images(self, prepared):
        out = np.ones((len(prepared), 4), np.float32)
        out[np.array(prepared) < 20] = np.nan
        out[np.array(prepared) > 235] = 0
        return out

    def encode_texts(self, texts):
        return np.full((len(texts), 4), 1e30, np.float32)


class BrokenEncoder(Encoder):
    note_text: str = ""

    def weights_digest(self):
        return "x"

    def load(self, device):
        return Broken()

    @property
    def note(self):
        return self.note_text


def flat_picture(value):
    out = io.BytesIO()
    Image.new("RGB", (8, 8), (value,) * 3).save(out, "PNG")
    return out.getvalue()


def test_vectors_that_are_not_finite_become_zero_rows(pictures, tmp_path):
    samples, scan = pictures.make([flat_picture(v) for v in (100, 0, 255, 90)])
    stage = Embed(space="image", encoder=BrokenEncoder(note_text="a toy"))
    said = logs(stage, {"samples": samples, "scan": scan}, tmp_path / "out")
    assert [text.split(":")[0] for text in said[0]["warnings"]] == ["key1", "key2"]
    assert said[0]["notes"] == ["a toy"]
    rows = gather(pictures.run(stage, samples=samples, scan=scan), "npy")
    np.testing.assert_array_equal(rows.any(axis=1), [True, False, False, True])


def test_lengths_do_not_overflow(pictures):
    samples, _ = pictures.make([None], [["x"]])
    stage = Embed(space="c", of="caption", encoder=BrokenEncoder())
    np.testing.assert_array_equal(gather(pictures.run(stage, samples=samples), "npy"), [[0.5] * 4])


def test_a_long_list_of_failures_is_cut(pictures, tmp_path):
    samples, scan = pictures.make([b"junk"] * 10)
    pictures.part_rows = 50
    samples, scan = pictures.make([b"junk"] * 50)
    stage = Embed(space="image", encoder=BrokenEncoder())
    said = logs(stage, {"samples": samples, "scan": scan}, tmp_path / "out")
    assert len(said[0]["warnings"]) == 21
    assert "30 more" in said[0]["warnings"][-1]


def test_images_of_a_corpus_tar_and_of_a_url(pictures):
    samples, scan = pictures.make([picture(0)])
    table = samples.table(samples.parts[0])
    place = (table["offset"][0].as_py(), table["size"][0].as_py())
    tar = scan.file(scan.parts[0], "tar")
    import fsspec

    fsspec.filesystem("memory").pipe("/corpus/a.tar", tar.read_bytes())
    pixels = np.asarray(Image.open(io.BytesIO(picture(0))).convert("RGB"))
    pictures = Pictures(scan)
    own = table["shard"][0].as_py()
    for shard in (own, str(tar), f"file://{tar}", "memory://corpus/a.tar"):
        np.testing.assert_array_equal(np.asarray(pictures.read(shard, *place)), pixels)
    assert "bytes wanted" in str(pictures.read(str(tar), 10**9, 5))


@pytest.fixture(autouse=True)
def _quiet():
    logging.getLogger().setLevel(logging.ERROR)


def test_run_stage_is_repeatable(tiny, pictures, tmp_path):
    samples, scan = pictures.make([picture(i) for i in range(11)])
    stage = Embed(space="image", encoder=encoder(tiny))
    inputs = {"samples": samples, "scan": scan}
    first, second = (run_stage(stage, inputs, tmp_path / name) for name in "ab")
    assert [r.files for r in first.receipts] == [r.files for r in second.receipts]
