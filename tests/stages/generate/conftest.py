"""A generator that is trained once a session on drawn scenes, in seconds."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from picture_corpus import Pictures
from PIL import Image

from curate.stages.generate._autoencoder import save
from curate.stages.generate.train import Plan, train
from curate.stages.sample_corpus.render import render
from curate.stages.sample_corpus.scene import scene_at

PX = 32


def scene(row: int) -> np.ndarray:
    return np.asarray(render(scene_at(0, row), PX))


def encoded(pixels: np.ndarray) -> bytes:
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "PNG")
    return out.getvalue()


@pytest.fixture(scope="session")
def scenes() -> np.ndarray:
    return np.stack([scene(row) for row in range(48)])


@pytest.fixture(scope="session")
def weights(tmp_path_factory, scenes) -> Path:
    model, error = train(scenes, Plan(px=PX, steps=40, batch=16), "cpu")
    assert error < 0.12
    path = tmp_path_factory.mktemp("weights") / "w.safetensors"
    save(model, path, {})
    return path


@pytest.fixture
def pictures(tmp_path: Path) -> Pictures:
    return Pictures(tmp_path, part_rows=8)
