import pytest
import torch
from torch import nn

from curate.manifests import PairStream
from curate.manifests.consumer import Augmentation, Place, Step, StepSettings
from curate.manifests.consumer.columns import sample_codes
from curate.manifests.stream import ImageTransform

STILL = Augmentation(area=(1, 1), ratio=(1, 1), flip=0, jitter=0, grey=0)
WIDTH, SAMPLES = 8, 160


class Net(nn.Module):
    """A linear encoder in place of the real one: no batch norm, so views do not mix."""

    def __init__(self):
        super().__init__()
        self.projection = WIDTH
        generator = torch.Generator().manual_seed(0)
        self.matrix = nn.Parameter(torch.randn(3 * 8 * 8, WIDTH, generator=generator))

    def project(self, given):
        images = getattr(given, "images", given)
        return images.flatten(1) @ self.matrix

    def forward(self, given):
        return nn.functional.normalize(self.project(given), dim=1)


@pytest.fixture
def net():
    return Net()


@pytest.fixture
def place(net, tiny):
    from curate.manifests import Pairset

    pairset = Pairset.open(tiny.root)
    return Place(net, 1, SAMPLES, lambda name: sample_codes(pairset, name))


@pytest.fixture
def batch(tiny):
    return next(iter(PairStream(tiny.root, 48, transform=ImageTransform(8), captions=True)))


@pytest.fixture
def step(batch):
    return Step(batch, StepSettings(STILL, seed=3, positives=1))


@pytest.fixture
def whole(batch):
    """The same batch with all positives shown."""
    return Step(batch, StepSettings(STILL, seed=3))
