"""An image encoder and a projection head: a small convolutional net, or a torchvision ResNet."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..errors import UsageError

ENCODERS = ("conv", "resnet18", "resnet34", "resnet50")
_HIDDEN = 512


class ContrastiveModel(nn.Module):
    """Encoder and two-layer projection head (Chen 2020): features for use, projections to train.

    Args:
        encoder: a module from float [n, 3, H, W] to [n, width].
        width: features of the encoder.
        projection: width of what the loss compares.

    Attributes:
        bf16: whether encoder and head compute in bfloat16; the results are float32 all the same.
    """

    bf16 = False

    def __init__(self, encoder: nn.Module, width: int, projection: int) -> None:
        super().__init__()
        self.encoder, self.width, self.projection = encoder, width, projection
        # Without the batch norm small batches collapse to one point at learning rates from 2e-3.
        self.head = nn.Sequential(
            nn.Linear(width, _HIDDEN),
            nn.BatchNorm1d(_HIDDEN),
            nn.ReLU(inplace=True),
            nn.Linear(_HIDDEN, projection),
        )

    def forward(self, images: Tensor) -> Tensor:
        """Return float32 [n, projection], unit rows."""
        return unit(self.project(images))

    def project(self, images: Tensor) -> Tensor:
        """Return float32 [n, projection] as the head makes them."""
        with self._precision(images):
            return self.head(self._encode(images)).float()

    def features(self, images: Tensor) -> Tensor:
        """Return float32 [n, width], unit rows: what kNN and later tasks use."""
        with self._precision(images):
            encoded = self._encode(images)
        return unit(encoded)

    def _precision(self, images: Tensor) -> torch.autocast:
        return torch.autocast(images.device.type, torch.bfloat16, enabled=self.bf16)

    def _encode(self, images: Tensor) -> Tensor:
        # Channels last halves the time of convolutions, on CPUs and GPUs.
        return self.encoder(images.contiguous(memory_format=torch.channels_last))


def unit(rows: Tensor) -> Tensor:
    """Return rows [..., d] of length 1, float32."""
    return functional.normalize(rows.float(), dim=-1)


def build_model(name: str, projection: int, seed: int) -> ContrastiveModel:
    """Make a model with weights drawn from a seed; the global generator is left as it was.

    Args:
        name: "conv" (1.2 M weights, quick on a CPU) or a torchvision ResNet.
        projection: width of the projection head.
        seed: of the weights.

    Raises:
        UsageError: no such encoder.
    """
    if name not in ENCODERS:
        raise UsageError(f"encoder={name!r} is not known; allowed: {', '.join(ENCODERS)}.")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        encoder, width = _conv() if name == "conv" else _resnet(name)
        # `to` takes a memory format only by name, which torch's stubs do not know for modules.
        encoder = encoder.to(memory_format=torch.channels_last)  # pyright: ignore
        return ContrastiveModel(encoder, width, projection)


def _conv(width: int = 32) -> tuple[nn.Module, int]:
    # A stem of 4 x 4 patches: at full resolution a CPU spends its time moving activations.
    layers: list[nn.Module] = [*_block(3, width, stride=4, size=4), *_block(width, width)]
    channels = width
    for stage in range(1, 4):
        out = width << stage
        layers += _block(channels, out, stride=2) + _block(out, out)
        channels = out
    layers += [nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    return nn.Sequential(*layers), channels


def _block(channels: int, out: int, stride: int = 1, size: int = 3) -> list[nn.Module]:
    # Groups, not batches, are normalised: features of an image are the same in any company.
    convolution = nn.Conv2d(channels, out, size, stride, padding=size % 2, bias=False)
    return [convolution, nn.GroupNorm(8, out), nn.ReLU(inplace=True)]


def _resnet(name: str) -> tuple[nn.Module, int]:
    import torchvision

    net: Any = torchvision.models.get_model(name, weights=None)
    width = int(net.fc.in_features)
    net.fc = nn.Identity()
    return net, width
