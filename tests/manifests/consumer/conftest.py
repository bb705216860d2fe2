import pytest
import torch
from tiny_pairset import write_tiny_pairset

torch.set_num_threads(1)


@pytest.fixture(scope="session")
def tiny(tmp_path_factory):
    """160 samples of six colours; never changed by a test."""
    root = tmp_path_factory.mktemp("tiny") / "out"
    return write_tiny_pairset(root, samples=160, image_size=16)
