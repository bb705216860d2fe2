"""Random views of images, on the device, many at once, with draws that depend on pairs alone.

Crop and flip are one affine resampling; colours are tensor arithmetic. The recipe is SimCLR's
(Chen 2020, appendix A) without blur, hue and solarisation.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from ..fingerprint import draw_uniform

DRAWS = 9
"""Uniform numbers that one view takes."""
_LUMA = (0.299, 0.587, 0.114)


@dataclass(frozen=True)
class Augmentation:
    """Random resized crop, flip, brightness, contrast, saturation, greyscale.

    Attributes:
        area: share of the image's area that a crop keeps, from and to.
        ratio: width over height of a crop, from and to.
        flip: chance of a mirror image.
        jitter: brightness, contrast and saturation are scaled by 1 - jitter .. 1 + jitter.
        grey: chance of a grey image.
    """

    area: tuple[float, float] = (0.3, 1.0)
    ratio: tuple[float, float] = (0.75, 4 / 3)
    flip: float = 0.5
    jitter: float = 0.4
    grey: float = 0.2

    def __call__(self, images: Tensor, draws: Tensor) -> Tensor:
        """Return one view of each image.

        Args:
            images: float32 [n, 3, H, W] in [0, 1].
            draws: float32 [n, DRAWS] in [0, 1), on the same device.

        Returns:
            float32 [n, 3, H, W] in [0, 1].
        """
        views = functional.grid_sample(
            images,
            functional.affine_grid(self._boxes(draws), list(images.shape), align_corners=False),
            padding_mode="border",
            align_corners=False,
        )
        return self._colours(views, draws[:, 5:])

    def _boxes(self, draws: Tensor) -> Tensor:
        area = self.area[0] + draws[:, 0] * (self.area[1] - self.area[0])
        low, high = np.log(self.ratio[0]), np.log(self.ratio[1])
        ratio = torch.exp(low + draws[:, 1] * (high - low))
        width = (area * ratio).sqrt().clamp(max=1)
        height = (area / ratio).sqrt().clamp(max=1)
        sign = torch.where(draws[:, 4] < self.flip, -1.0, 1.0)
        zero = torch.zeros_like(width)
        across = torch.stack([sign * width, zero, (1 - width) * (2 * draws[:, 2] - 1)], 1)
        down = torch.stack([zero, height, (1 - height) * (2 * draws[:, 3] - 1)], 1)
        return torch.stack([across, down], 1)

    def _colours(self, views: Tensor, draws: Tensor) -> Tensor:
        factors = (1 + self.jitter * (2 * draws[:, :3] - 1))[:, :, None, None, None]
        views = (views * factors[:, 0]).clamp(0, 1)
        mean = _luma(views).mean((2, 3), keepdim=True)
        views = (mean + (views - mean) * factors[:, 1]).clamp(0, 1)
        grey = _luma(views)
        views = (grey + (views - grey) * factors[:, 2]).clamp(0, 1)
        is_grey = (draws[:, 3] < self.grey)[:, None, None, None]
        return torch.where(is_grey, _luma(views), views)


def view_draws(seed: int, epoch: int, ids: Tensor, view: str) -> Tensor:
    """Draw the numbers of one view of each of n pairs (or samples): float32 [n, DRAWS].

    A pure function of (seed, epoch, id, view), so a view is the same on any rank and worker.
    """
    rows = ids.cpu().numpy()
    return torch.from_numpy(draw_uniform(seed, rows, f"{view}/{epoch}", DRAWS).astype(np.float32))


def _luma(images: Tensor) -> Tensor:
    weights = images.new_tensor(_LUMA)[:, None, None]
    return (images * weights).sum(1, keepdim=True)
