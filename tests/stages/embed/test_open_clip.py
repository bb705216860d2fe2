"""Where open_clip's weights come from, and what is said when they are not there."""

from __future__ import annotations

import json
import shutil
import time

import numpy as np
import open_clip
import pytest
import torch
from PIL import Image

from curate.manifests.errors import ConfigError
from curate.stages import registry
from curate.stages.embed.base import Encoder
from curate.stages.embed.builtin import Builtin
from curate.stages.embed.open_clip import OpenClip


def local(folder):
    return OpenClip(model=f"local-dir:{folder}", pretrained="")


def test_a_folder_without_weights_is_refused(tiny, tmp_path):
    shutil.copy(tiny / "open_clip_config.json", tmp_path)
    (tmp_path / "epoch_3.pt").write_bytes(b"x")
    for call in (local(tmp_path).weights_digest, lambda: local(tmp_path).load("cpu")):
        with pytest.raises(ConfigError, match=r"no weights.*epoch_3\.pt.*Rename"):
            call()


def test_a_folder_without_config_is_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"there is no open_clip_config\.json"):
        local(tmp_path).weights_digest()
    (tmp_path / "open_clip_config.json").write_text("{")
    (tmp_path / "a.safetensors").write_bytes(b"x")
    with pytest.raises(ConfigError, match="not JSON"):
        local(tmp_path).weights_digest()


def test_weights_that_do_not_fit_are_refused(tiny, tmp_path):
    shutil.copytree(tiny, tmp_path / "m")
    path = tmp_path / "m" / "open_clip_config.json"
    config = json.loads(path.read_text())
    config["model_cfg"]["embed_dim"] = 8
    path.write_text(json.dumps(config))
    with pytest.raises(ConfigError, match="do not load"):
        local(tmp_path / "m").load("cpu")


def test_unknown_names_are_refused_with_what_is_known():
    with pytest.raises(ConfigError, match="knows no model 'ViT-B-33'"):
        OpenClip(model="ViT-B-33").weights_digest()
    with pytest.raises(ConfigError, match="laion2b_s34b_b79k"):
        OpenClip(pretrained="laion3b").weights_digest()


def test_a_hub_that_does_not_answer_fails_fast(monkeypatch, tmp_path):
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    start = time.monotonic()
    with pytest.raises(ConfigError) as raised:
        OpenClip().weights_digest()
    assert time.monotonic() - start < 10
    for word in ("127.0.0.1:9", "copy the cache", "local-dir:", "--encoder builtin"):
        assert word in str(raised.value)


def test_random_weights_only_when_asked_and_loudly(tiny, monkeypatch):
    assert "RANDOM" in OpenClip(pretrained="random").note
    assert OpenClip().note == ""
    assert local(tiny).note == ""
    assert OpenClip(pretrained="random").weights_digest()
    calls = []

    def create(*args, **kwargs):
        calls.append(kwargs["require_pretrained"])
        raise RuntimeError("stop")

    monkeypatch.setattr(open_clip, "create_model", create)
    for model, needed in ((local(tiny), True), (OpenClip(pretrained="random"), False)):
        with pytest.raises(ConfigError):
            model.load("cpu")
        assert calls[-1] is needed


def test_a_checkpoint_file_is_loaded(tiny, tmp_path):
    open_clip.add_model_config(tmp_path)
    config = json.loads((tiny / "open_clip_config.json").read_text())["model_cfg"]
    (tmp_path / "tiny-for-tests.json").write_text(json.dumps(config))
    open_clip.add_model_config(tmp_path)
    model = open_clip.create_model(f"local-dir:{tiny}")
    torch.save(model.state_dict(), tmp_path / "epoch_1.pt")
    from_file = OpenClip(model="tiny-for-tests", pretrained=str(tmp_path / "epoch_1.pt"))
    texts = ["one", "two"]
    want = local(tiny).load("cpu").encode_texts(texts)
    np.testing.assert_array_equal(from_file.load("cpu").encode_texts(texts), want)
    assert from_file.identity()["pretrained"] == "file"


def test_identity_follows_the_bytes_not_the_place(tiny, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(tiny, copy)
    assert local(tiny).identity() == local(copy).identity()
    path = copy / "open_clip_config.json"
    config = json.loads(path.read_text())
    config["preprocess_cfg"]["mean"] = [0, 0, 0]
    path.write_text(json.dumps(config))
    assert local(tiny).identity() != local(copy).identity()
    shutil.copy(tiny / "open_clip_config.json", copy)
    data = bytearray((copy / "open_clip_model.safetensors").read_bytes())
    data[-1] ^= 1
    (copy / "open_clip_model.safetensors").write_bytes(bytes(data))
    assert local(tiny).identity() != local(copy).identity()


def test_preprocessing_of_the_folder_is_used(tiny):
    pixels = local(tiny).load("cpu").prepare_image(Image.new("RGB", (50, 40), (255, 0, 0)))
    assert pixels.shape == (3, 32, 32)
    np.testing.assert_allclose(pixels[:, 5, 5], [0.6 / 0.2, -0.5 / 0.25, -0.6 / 0.3], atol=1e-5)


def test_bf16_is_near_fp32(tiny):
    texts = ["a", "photo of a dog"]
    full = local(tiny).load("cpu").encode_texts(texts)
    half = OpenClip(model=f"local-dir:{tiny}", precision="bf16").load("cpu").encode_texts(texts)
    assert half.dtype == np.float32
    cosine = (full * half).sum(1) / np.linalg.norm(full, axis=1) / np.linalg.norm(half, axis=1)
    assert (cosine > 0.99).all()
    assert not np.array_equal(full, half)


def test_fp16_on_a_cpu_is_refused(tiny):
    with pytest.raises(ConfigError, match="Use bf16"):
        OpenClip(model=f"local-dir:{tiny}", precision="fp16").load("cpu")


def test_encoders_are_found_by_name():
    package = "curate.stages.embed"
    assert registry.load("open_clip", package, Encoder) is OpenClip
    assert registry.load("builtin", package, Encoder) is Builtin
    assert registry.names(package) == ["array", "builtin", "checkpoint", "onnx", "open_clip"]


def test_the_builtin_encoder_says_that_it_is_one():
    encoder = Builtin()
    assert "offline" in encoder.note
    assert len(encoder.weights_digest()) == 64
    assert "/" not in str(encoder.identity())
    assert encoder.load("cpu").encode_texts(["a red cube"]).shape == (1, 128)
