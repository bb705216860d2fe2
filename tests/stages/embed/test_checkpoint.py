"""The checkpoint encoder against the trainer's own features, and its name against its weights."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_pairset import write_tiny_pairset

from curate.manifests.consumer import TrainOptions, build_model, train
from curate.manifests.consumer.checkpoint import load_checkpoint, save_checkpoint
from curate.manifests.consumer.evaluate import embed
from curate.manifests.consumer.step import IMAGE_MEAN, IMAGE_STD
from curate.manifests.errors import ConfigError
from curate.manifests.images import decode
from curate.manifests.pairset import Pairset
from curate.manifests.shards import ShardReader
from curate.manifests.stream import ImageTransform, PairStream, normalise
from curate.stages.embed.checkpoint import Checkpoint

PX = 24


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("tiny") / "out"
    write_tiny_pairset(root, samples=80, image_size=30)
    return root


@pytest.fixture(scope="module")
def folder(root, tmp_path_factory):
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("train")
    options = TrainOptions(
        steps=3, batch_size=16, image_px=PX, projection=12, evaluate=0, device="cpu", folder=folder
    )
    train(root, options)
    return folder


@pytest.fixture(scope="module")
def pictures(root):
    pairset = Pairset.open(root)
    reader = ShardReader()
    places = pairset.table("samples", ["shard", "offset", "size"]).to_pylist()
    return [
        decode(reader.read(pairset.shard_url(p["shard"]), p["offset"], p["size"])) for p in places
    ]


def changed(folder: Path, to: Path, **parts):
    """Copy a checkpoint with some of its parts replaced by what a function makes of them."""
    body = load_checkpoint(folder / "checkpoint.pt")
    for name, change in parts.items():
        body[name] = change(body[name])
    to.mkdir()
    save_checkpoint(to / "checkpoint.pt", {k: v for k, v in body.items() if k != "format"})
    return Checkpoint(path=str(to))


@pytest.mark.parametrize(("what", "dim"), [("features", 256), ("projection", 12)])
def test_vectors_are_those_of_the_trainer(root, folder, pictures, what, dim):
    body = load_checkpoint(folder / "checkpoint.pt")
    model = build_model("conv", 12, 5)
    model.load_state_dict(body["model"])
    model.eval()
    encode = model.features if what == "features" else model

    def of(images):
        with torch.inference_mode():
            return encode(normalise(images, IMAGE_MEAN, IMAGE_STD))

    stream = PairStream(root, 8, transform=ImageTransform(PX))
    want, ids = embed(of, stream, np.arange(80))
    assert len(ids) == 80
    loaded = Checkpoint(path=str(folder), what=what).load("cpu")
    got = loaded.encode_images([loaded.prepare_image(image) for image in pictures])
    assert got.shape == (80, dim) == (80, loaded.dim)
    assert got.dtype == np.float32
    got /= np.linalg.norm(got, axis=1, keepdims=True)
    np.testing.assert_allclose(got, want.numpy(), atol=1e-5)


@pytest.mark.parametrize("what", ["features", "projection"])
def test_a_vector_is_the_same_in_any_batch(folder, pictures, what):
    loaded = Checkpoint(path=str(folder), what=what).load("cpu")
    prepared = [loaded.prepare_image(image) for image in pictures]
    whole = loaded.encode_images(prepared)
    for size in (1, 7):
        parts = [loaded.encode_images(prepared[at : at + size]) for at in range(0, 80, size)]
        np.testing.assert_allclose(np.concatenate(parts), whole, atol=1e-5)


def test_the_name_follows_weights_and_pixels_and_nothing_else(folder, tmp_path):
    own = Checkpoint(path=str(folder))
    assert own.identity() == Checkpoint(path=str(folder / "checkpoint.pt")).identity()
    assert str(folder) not in str(own.identity())

    def moved(optimizer):
        optimizer["state"][0]["exp_avg"] += 1
        return optimizer

    same = changed(folder, tmp_path / "a", optimizer=moved, step=lambda step: step + 1)
    assert same.identity() == own.identity()

    def nudged(model):
        name = next(iter(model))
        return {**model, name: model[name] + 1e-4}

    assert changed(folder, tmp_path / "b", model=nudged).identity() != own.identity()
    larger = changed(folder, tmp_path / "c", options=lambda o: {**o, "image_px": PX + 8})
    assert larger.identity() != own.identity()
    assert Checkpoint(path=str(folder), what="projection").identity() != own.identity()


def test_a_checkpoint_that_is_trained_on_gets_a_new_name(root, folder, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    encoder = Checkpoint(path=str(copy))
    before = encoder.weights_digest()
    (copy / "checkpoint.pt").unlink()
    train(root, TrainOptions(steps=1, batch_size=16, image_px=PX, evaluate=0, folder=copy))
    assert encoder.weights_digest() != before


def test_it_knows_the_pairset_that_it_was_trained_on(root, folder):
    assert Checkpoint(path=str(folder)).trained_on() == Pairset.open(root).manifest_id


def test_relative_paths_hold_in_other_folders(folder, monkeypatch, tmp_path):
    monkeypatch.chdir(folder.parent)
    encoder = Checkpoint(path=folder.name)
    monkeypatch.chdir(tmp_path)
    assert encoder.weights_digest() == Checkpoint(path=str(folder)).weights_digest()


def test_what_is_no_checkpoint_is_refused_with_what_to_do(folder, tmp_path):
    with pytest.raises(ConfigError, match="curate train OUT -d FOLDER"):
        Checkpoint(path=str(tmp_path / "none")).weights_digest()
    with pytest.raises(ConfigError, match=r"checkpoint\.pt is not a file"):
        Checkpoint(path=str(tmp_path)).weights_digest()
    (tmp_path / "junk.pt").write_bytes(b"junk")
    with pytest.raises(ConfigError, match="not a readable checkpoint"):
        Checkpoint(path=str(tmp_path / "junk.pt")).weights_digest()
    torch.save({"state_dict": {}}, tmp_path / "foreign.pt")
    with pytest.raises(ConfigError, match="not a checkpoint of `curate train`"):
        Checkpoint(path=str(tmp_path / "foreign.pt")).weights_digest()
    save_checkpoint(tmp_path / "half.pt", {"options": {"encoder": "conv"}, "stream": {}})
    with pytest.raises(ConfigError, match=r"lacks options\.projection, options\.image_px, stream"):
        Checkpoint(path=str(tmp_path / "half.pt")).weights_digest()
    wrong = changed(folder, tmp_path / "wrong", options=lambda o: {**o, "encoder": "resnet18"})
    with pytest.raises(ConfigError, match="do not load"):
        wrong.weights_digest()
    with pytest.raises(ConfigError, match="of: image"):
        Checkpoint(path=str(folder)).load("cpu").encode_texts(["a"])


@pytest.mark.gpu
def test_a_gpu_gives_the_same_vectors(folder, pictures):
    if not torch.cuda.is_available():
        pytest.skip("no GPU here")
    made = []
    for device in ("cpu", "cuda:0"):
        loaded = Checkpoint(path=str(folder)).load(device)
        made.append(loaded.encode_images([loaded.prepare_image(image) for image in pictures]))
    np.testing.assert_allclose(*made, atol=2e-3)
