import json

import pytest
import torch
from tiny_pairset import write_tiny_pairset

torch.set_num_threads(1)


@pytest.fixture(scope="session")
def tiny(tmp_path_factory):
    """160 samples of six colours; never changed by a test."""
    root = tmp_path_factory.mktemp("tiny") / "out"
    return write_tiny_pairset(root, samples=160, image_size=16)


@pytest.fixture(scope="session")
def small_clip(tmp_path_factory):
    """A folder with the architecture of a small CLIP and its weights; the model itself."""
    import open_clip

    folder = tmp_path_factory.mktemp("clip")
    config = {
        "embed_dim": 24,
        "vision_cfg": {"image_size": 32, "layers": 1, "width": 32, "patch_size": 8,
                       "head_width": 16},
        "text_cfg": {"context_length": 16, "vocab_size": 49408, "width": 32, "heads": 2,
                     "layers": 1},
    }  # fmt: skip
    (folder / "open_clip_config.json").write_text(json.dumps({"model_cfg": config}))
    torch.manual_seed(0)
    model = open_clip.model.CLIP(**config).eval()
    torch.save(model.state_dict(), folder / "open_clip_pytorch_model.bin")
    return folder, model
