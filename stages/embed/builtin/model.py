"""The shape of the built-in encoder, and how it is written to disk."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from open_clip.model import CLIP
from safetensors.torch import save_file

IMAGE_PX = 64
CONTEXT = 40
CONFIG_NAME = "open_clip_config.json"
WEIGHTS_NAME = "open_clip_model.safetensors"

# Two thirds of the bytes are the embedding of open_clip's 49,408 word pieces; it keeps the text
# tower narrow so that the whole stays below 10 MB.
MODEL_CFG: dict[str, Any] = {
    "embed_dim": 128,
    "vision_cfg": {"image_size": IMAGE_PX, "layers": [1, 2, 2, 1], "width": 16},
    "text_cfg": {
        "context_length": CONTEXT,
        "vocab_size": 49408,
        "width": 64,
        "heads": 4,
        "layers": 3,
    },
}
PREPROCESS_CFG: dict[str, Any] = {
    "size": IMAGE_PX,
    "mode": "RGB",
    "mean": [0.48, 0.48, 0.48],
    "std": [0.26, 0.26, 0.26],
    "interpolation": "bicubic",
    "resize_mode": "shortest",
    "fill_color": 0,
}


def new_model() -> CLIP:
    """The model with fresh weights, in float32, on the CPU."""
    return CLIP(**MODEL_CFG)


def save_model(model: CLIP, folder: Path) -> int:
    """Write config and float16 weights so that open_clip's `local-dir:` finds them.

    Args:
        model: any copy of the model; it is not changed.
        folder: made when missing.

    Returns:
        The number of bytes written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    config = {"model_cfg": MODEL_CFG, "preprocess_cfg": PREPROCESS_CFG}
    text = json.dumps(config, indent=2) + "\n"
    (folder / CONFIG_NAME).write_text(text, encoding="utf-8")
    state = {
        name: (value.half() if value.is_floating_point() else value).cpu().contiguous().clone()
        for name, value in model.state_dict().items()
    }
    part = folder / (WEIGHTS_NAME + ".tmp")
    save_file(state, part, metadata={"format": "pt"})
    part.chmod(0o644)  # safetensors writes files that only their owner can read
    part.replace(folder / WEIGHTS_NAME)
    return sum((folder / name).stat().st_size for name in (CONFIG_NAME, WEIGHTS_NAME))


def device_of(name: str) -> torch.device:
    """The device to train on: `auto` takes the GPU when there is one."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(name)
