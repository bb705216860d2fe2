"""An image encoder and a projection head."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from .backbones import build_encoder
from .chunks import in_chunks
from .distributed import encoded
from .shown import Shown

_HIDDEN = 512


class ContrastiveModel(nn.Module):
    """Encoder and two-layer projection head (Chen 2020): features for use, projections to train.

    Args:
        encoder: a module from float [n, 3, H, W] to [n, width].
        width: features of the encoder.
        projection: width of what the loss compares; 0 for no head: the features themselves.

    Attributes:
        projection: width of what the loss compares.
        bf16: whether encoder and head compute in bfloat16; the results are float32 all the same.
        chunk: images that the encoder takes at a time, see `chunks.in_chunks`; 0 for all.
    """

    bf16 = False
    chunk = 0

    def __init__(self, encoder: nn.Module, width: int, projection: int) -> None:
        super().__init__()
        self.encoder, self.width, self.projection = encoder, width, projection or width
        self.head: nn.Module = nn.Identity()
        if projection:
            # Without the batch norm small batches collapse to one point at learning rates from
            # 2e-3.
            self.head = nn.Sequential(
                nn.Linear(width, _HIDDEN),
                nn.BatchNorm1d(_HIDDEN),
                nn.ReLU(inplace=True),
                nn.Linear(_HIDDEN, projection),
            )

    def forward(self, images: Tensor | Shown) -> Tensor:
        """Return float32 [n, projection], unit rows."""
        return unit(self.project(images))

    def project(self, images: Tensor | Shown) -> Tensor:
        """Return float32 [n, projection] as the head makes them.

        Of views that several processes hold each encodes its own; the head sees all of them.
        """
        if isinstance(images, Tensor):
            return self._head(self._encode(images))
        own = images.images
        return self._head(encoded(images.holders, lambda: self._encode(own)))

    def features(self, images: Tensor) -> Tensor:
        """Return float32 [n, width], unit rows: what kNN and later tasks use."""
        return unit(self._encode(images))

    def _head(self, features: Tensor) -> Tensor:
        with self._precision(features):
            return self.head(features).float()

    def _precision(self, given: Tensor) -> torch.autocast:
        return torch.autocast(given.device.type, torch.bfloat16, enabled=self.bf16)

    def _encode(self, images: Tensor) -> Tensor:
        with self._precision(images):
            # Channels last halves the time of convolutions, on CPUs and GPUs.
            images = images.contiguous(memory_format=torch.channels_last)
            return in_chunks(self.encoder, images, self.chunk)


def unit(rows: Tensor) -> Tensor:
    """Return rows [..., d] of length 1, float32."""
    return functional.normalize(rows.float(), dim=-1)


def build_model(
    name: str, projection: int, seed: int, image_px: int = 64, pretrained: bool = True
) -> ContrastiveModel:
    """Make a model with weights drawn from a seed; the global generator is left as it was.

    Args:
        name: of the encoder; see `backbones.build_encoder`.
        projection: width of the projection head; 0 for none.
        seed: of the weights.
        image_px: side of the images; some encoders are built for it.
        pretrained: False draws weights where the name asks for others: they are loaded later.

    Raises:
        UsageError: no such encoder, or it cannot take such images.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        encoder, width = build_encoder(name, image_px, pretrained)
        # `to` takes a memory format only by name, which torch's stubs do not know for modules.
        encoder = encoder.to(memory_format=torch.channels_last)  # pyright: ignore
        return ContrastiveModel(encoder, width, projection)
