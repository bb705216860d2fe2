"""Other crops of a picture, the same on every machine: what a view of a space embeds."""

from __future__ import annotations

import math

import numpy as np
from PIL import Image
from pydantic import Field

from ...manifests.fingerprint import draw_uniform
from ..base import Component

AREA = (0.2, 1.0)
"""Share of the picture's area that a crop keeps, evenly drawn."""
RATIO = (3 / 4, 4 / 3)
"""Width over height of a crop, evenly drawn on a logarithmic scale."""

Box = tuple[int, int, int, int]


class View(Component):
    """One random crop and flip a picture, drawn by (seed, sample, number of the view).

    The crop of Inception (Szegedy et al., Going Deeper with Convolutions, 2015, §6), as SimCLR and
    its followers use it, without change of colour. A crop that would be wider or higher than the
    picture is cut to it, so one draw suffices.
    """

    number: int = Field(ge=1, le=99)
    """Of the view: each has crops of its own."""
    seed: int = Field(default=0, ge=0)
    """Of the draws."""

    def box(self, sample: int, width: int, height: int) -> tuple[Box, bool]:
        """Return the crop (left, upper, right, lower) in pixels, and whether it is mirrored."""
        drawn = draw_uniform(self.seed, np.array([sample]), f"embed/view/{self.number}", 5)[0]
        area = width * height * (AREA[0] + (AREA[1] - AREA[0]) * drawn[0])
        low, high = (math.log(bound) for bound in RATIO)
        ratio = math.exp(low + (high - low) * drawn[1])
        across = min(max(round(math.sqrt(area * ratio)), 1), width)
        down = min(max(round(math.sqrt(area / ratio)), 1), height)
        left = int(drawn[2] * (width - across + 1))
        upper = int(drawn[3] * (height - down + 1))
        return (left, upper, left + across, upper + down), bool(drawn[4] < 0.5)

    def of(self, image: Image.Image, sample: int) -> Image.Image:
        """Return the view of the picture of a sample."""
        box, mirrored = self.box(sample, *image.size)
        crop = image.crop(box)
        return crop.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if mirrored else crop
