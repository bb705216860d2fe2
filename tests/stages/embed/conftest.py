"""A tiny open_clip model with random weights, saved as a local-dir; a corpus of pictures."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest
from picture_corpus import Pictures

MODEL_CFG = {
    "embed_dim": 24,
    "vision_cfg": {"image_size": 32, "layers": 2, "width": 32, "patch_size": 16, "head_width": 16},
    "text_cfg": {"context_length": 16, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 1},
}
PREPROCESS_CFG = {"size": 32, "mean": [0.4, 0.5, 0.6], "std": [0.2, 0.25, 0.3]}


@pytest.fixture(scope="session")
def tiny(tmp_path_factory) -> Path:
    logging.getLogger().addHandler(logging.NullHandler())
    import torch
    from open_clip.model import CLIP
    from safetensors.torch import save_file

    folder = tmp_path_factory.mktemp("tiny")
    torch.manual_seed(0)
    model = CLIP(**MODEL_CFG)
    config = {"model_cfg": MODEL_CFG, "preprocess_cfg": PREPROCESS_CFG}
    (folder / "open_clip_config.json").write_text(json.dumps(config))
    state = {name: value.clone().contiguous() for name, value in model.state_dict().items()}
    save_file(state, folder / "open_clip_model.safetensors")
    return folder


@pytest.fixture
def pictures(tmp_path: Path) -> Pictures:
    return Pictures(tmp_path, part_rows=10)
