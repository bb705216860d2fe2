"""ONNX encoders: pixels, names, and what is said when something is not there."""

from __future__ import annotations

import shutil
import sys

import numpy as np
import pytest
import torch
from PIL import Image

from curate.manifests.errors import ConfigError
from curate.stages.embed.onnx import Onnx

onnxruntime = pytest.importorskip("onnxruntime")


def field(number, value):
    """One field of a protobuf message: an integer, or a text, or the bytes of a message."""
    if isinstance(value, int):
        return bytes([number << 3, value])
    value = value.encode() if isinstance(value, str) else value
    assert len(value) < 16384
    length = (
        bytes([len(value)])
        if len(value) < 128
        else bytes([len(value) & 127 | 128, len(value) >> 7])
    )
    return bytes([number << 3 | 2]) + length + value


def tensor(name, *sides):
    shape = b"".join(field(1, field(2, s) if isinstance(s, str) else field(1, s)) for s in sides)
    kind = field(1, field(1, 1) + field(2, shape))
    return field(1, name) + field(2, kind)


def graph(path):
    """y = mean over the pixels of each channel, written byte by byte (onnx.proto3)."""
    node = field(1, "image") + field(2, "y") + field(4, "GlobalAveragePool")
    body = field(1, node) + field(2, "g")
    body += field(11, tensor("image", "n", 3, 16, 16)) + field(12, tensor("y", "n", 3, 1, 1))
    path.write_bytes(field(1, 8) + field(7, body) + field(8, field(1, "") + field(2, 13)))
    return str(path)


def test_pixels_reach_the_graph_as_asked(tmp_path):
    path = graph(tmp_path / "mean.onnx")
    image = Image.new("RGB", (40, 30), (255, 51, 0))
    one = Onnx(path=path, size=16, mean=(0.5, 0.1, 0.0), std=(0.5, 0.1, 1.0)).load("cpu")
    assert one.dim == 3
    got = one.encode_images([one.prepare_image(image)] * 2)
    np.testing.assert_allclose(got, [[1, 1, 0]] * 2, atol=1e-5)
    raw = Onnx(path=path, size=16, scale=255).load("cpu")
    np.testing.assert_allclose(
        raw.encode_images([raw.prepare_image(image)]), [[255, 51, 0]], atol=1e-3
    )


def test_the_middle_is_cut_out():
    encoder = object.__new__(__import__("curate.stages.embed.onnx", fromlist=["_Loaded"])._Loaded)
    encoder._encoder = Onnx(path="x", size=10, scale=255)
    pixels = np.zeros((20, 60, 3), np.uint8)
    pixels[:, 20:40] = 200
    got = encoder.prepare_image(Image.fromarray(pixels))
    want = torch.full((3, 10, 10), 200.0).numpy()
    np.testing.assert_allclose(got[:, :, 2:-2], want[:, :, 2:-2], atol=1)


def test_what_is_not_there_is_named(tmp_path, monkeypatch):
    with pytest.raises(ConfigError, match="is not a file"):
        Onnx(path=str(tmp_path / "none.onnx")).weights_digest()
    (tmp_path / "a.onnx").write_bytes(b"x")
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(ConfigError, match=r'pip install "curate-pairs\[onnx\]"'):
        Onnx(path=str(tmp_path / "a.onnx")).load("cpu")


def test_unknown_names_and_texts_are_refused(tmp_path):
    path = graph(tmp_path / "mean.onnx")
    with pytest.raises(ConfigError, match="the graph has y"):
        Onnx(path=path, size=16, output="z").load("cpu")
    with pytest.raises(ConfigError, match="of: image"):
        Onnx(path=path, size=16).load("cpu").encode_texts(["a"])


def test_identity_follows_the_bytes_not_the_place(tmp_path):
    (tmp_path / "a.onnx").write_bytes(b"x")
    shutil.copy(tmp_path / "a.onnx", tmp_path / "b.onnx")
    a, b = (Onnx(path=str(tmp_path / name)) for name in ("a.onnx", "b.onnx"))
    assert a.identity() == b.identity()
    assert a.identity() != Onnx(path=a.path, size=96).identity()
    (tmp_path / "b.onnx").write_bytes(b"y")
    assert a.identity() != b.identity()
