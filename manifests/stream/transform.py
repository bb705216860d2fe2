"""From a decoded picture to the tensor a model eats, with Pillow alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image
from torch import Tensor

Transform = Callable[[Image.Image, int], Tensor]
"""Makes float32 [3, H, W] of an RGB picture; every picture of a stream gets one shape.

The second argument is a random int in 0..2^63-1 that depends on (seed, epoch, sample_id) alone:
a transform that draws must draw from it, and then epochs are equal on any number of workers.
"""


@dataclass(frozen=True)
class ImageTransform:
    """Resize the short side, cut the centre square, scale to [0, 1], then normalise.

    Attributes:
        image_px: side of the square, pixels.
        mean: what is taken from each channel after scaling; zeros leave [0, 1].
        std: what each channel is divided by.
        draft: let JPEGs be decoded at 1/2, 1/4 or 1/8 of their size where that is still
            `image_px` or more. Of photos twice as large or larger this is faster (see
            benchmarks/results), and their pixels are others: the decoder's own filter has done a
            part of what the resizing would have done. So it is off by default, and belongs to
            what a model was trained with.
    """

    image_px: int = 224
    mean: tuple[float, float, float] = (0.0, 0.0, 0.0)
    std: tuple[float, float, float] = (1.0, 1.0, 1.0)
    draft: bool = False

    @property
    def decoded_px(self) -> int | None:
        """Shortest side that a decoded picture needs; any transform may say this of itself."""
        return self.image_px if self.draft else None

    def __call__(self, image: Image.Image, draw: int = 0) -> Tensor:
        """Return float32 [3, image_px, image_px]; nothing is drawn."""
        del draw
        side = min(image.size)
        left, top = (image.width - side) / 2, (image.height - side) / 2
        square = image.resize(
            (self.image_px, self.image_px),
            Image.Resampling.BICUBIC,
            box=(left, top, left + side, top + side),
            reducing_gap=2.0,
        )
        planes = torch.from_numpy(np.array(square)).permute(2, 0, 1)
        # Channel by channel in memory: what follows is twice as fast as on interleaved ones.
        pixels = torch.empty(planes.shape)
        torch.div(planes, 255, out=pixels)
        if self.mean == (0.0, 0.0, 0.0) and self.std == (1.0, 1.0, 1.0):
            return pixels
        return normalise(pixels, self.mean, self.std)


def normalise(
    images: Tensor, mean: tuple[float, float, float], std: tuple[float, float, float]
) -> Tensor:
    """Return (images - mean) / std by channel; images float [..., 3, H, W]."""
    shift = images.new_tensor(mean)[:, None, None]
    return (images - shift) / images.new_tensor(std)[:, None, None]
