import pytest
import torch

from curate.manifests.consumer import build_model
from curate.manifests.errors import UsageError


@pytest.mark.parametrize(("name", "width"), [("conv", 256), ("resnet18", 512)])
def test_models_depend_on_the_seed_and_leave_the_global_generator(name, width):
    before = torch.random.get_rng_state()
    one, two, other = (build_model(name, 32, seed).eval() for seed in (0, 0, 1))
    assert torch.equal(torch.random.get_rng_state(), before)
    images = torch.rand(2, 3, 32, 32)
    assert one(images).shape == (2, 32)
    assert one.features(images).shape == (2, width)
    assert torch.equal(one(images), two(images))
    assert not torch.equal(one(images), other(images))
    for unit in (one(images), one.features(images)):
        assert torch.allclose(unit.norm(dim=1), torch.ones(2), atol=1e-5)


def test_an_unknown_encoder_is_named():
    with pytest.raises(UsageError, match=r"'vit'.*Allowed: conv; of torchvision resnet18"):
        build_model("vit", 32, 0)
