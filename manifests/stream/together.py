"""Images written straight into the tensor of their batch: stacking would copy all bytes again."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import torch
from torch import Tensor

from ..errors import StreamError


def write_together(images: Iterable[Tensor | None], count: int) -> list[Tensor | None]:
    """Copy images, as they come, one behind the other into one tensor; None stays None.

    Args:
        images: of one shape and type each.
        count: how many come at most.

    Returns:
        views of the tensor's rows.

    Raises:
        StreamError: two images differ in shape.
    """
    out: Tensor | None = None
    found: list[Tensor | None] = []
    kept = 0
    for image in images:
        if image is None:
            found.append(None)
            continue
        if out is None:
            out = empty_batch(image, count)
        if image.shape != out.shape[1:]:
            raise StreamError(
                f"transform returned {tuple(image.shape)} after {tuple(out.shape[1:])}: every "
                "picture of a stream must get one shape."
            )
        out[kept] = image
        found.append(out[kept])
        kept += 1
    return found


def empty_batch(image: Tensor, count: int) -> Tensor:
    """Return [count, ...] for images like one, on the CPU, its bytes not set.

    numpy asks for huge pages for what is large and torch does not: first touching a batch of 224 px
    in pages of 4 kB costs five times what writing it costs.
    """
    return torch.from_numpy(np.empty((count, *image.shape), image.numpy().dtype))


def together(images: Sequence[Tensor]) -> Tensor:
    """Return [n, ...] of n >= 1 images; no byte is copied where they stand so already."""
    first, count = images[0], len(images)
    base, step = first._base, first.numel() * first.element_size()
    whole = base is not None and base.shape[1:] == first.shape and base.is_contiguous()
    places = (image.data_ptr() - first.data_ptr() - step * at for at, image in enumerate(images))
    if base is None or not whole or any(places) or any(image._base is not base for image in images):
        return torch.stack(list(images))
    start = (first.data_ptr() - base.data_ptr()) // step
    return base[start : start + count]
