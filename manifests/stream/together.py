"""Images written straight into the tensor of their batch: stacking would copy all bytes again."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence

import numpy as np
import torch
from torch import Tensor

from ..errors import StreamError

_FREE = 2  # the list of buffers, and the question itself


class Buffers:
    """Memory of batches, taken again when nobody holds a batch in it any more.

    A batch of 224 px is hundreds of megabytes, which the allocator gives back to the system at
    once and gets anew, page by page, for the next one: that costs several times what writing the
    images costs. So the last few stay here. numpy owns them, and a tensor over a numpy array
    holds a reference to it for as long as its storage lives: an array that has no other reference
    is free.

    Args:
        most: buffers that are kept.
    """

    def __init__(self, most: int = 3) -> None:
        self._held: list[np.ndarray] = []
        self._most = most

    def take(self, image: Tensor, count: int) -> Tensor:
        """Return [count, ...] for images like one, on the CPU; its bytes are not set."""
        need = count * image.numel() * image.element_size()
        free = [at for at in range(len(self._held)) if sys.getrefcount(self._held[at]) <= _FREE]
        large = [at for at in free if self._held[at].nbytes >= need]
        if large:
            held = self._held[min(large, key=lambda at: self._held[at].nbytes)]
        else:
            # The next batch may have some images more.
            held = np.empty(need + need // 8, np.uint8)
            small = set(free)
            kept = [array for at, array in enumerate(self._held) if at not in small]
            self._held = [*kept, held][-self._most :]
        shaped = held[:need].view(image.numpy().dtype).reshape(count, *image.shape)
        return torch.from_numpy(shaped)


def write_together(
    images: Iterable[Tensor | None], count: int, buffers: Buffers | None = None
) -> list[Tensor | None]:
    """Copy images, as they come, one behind the other into one tensor; None stays None.

    Args:
        images: of one shape and type each.
        count: how many come at most.
        buffers: whose memory is taken; None: new memory.

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
            out = (buffers or Buffers()).take(image, count)
        if image.shape != out.shape[1:]:
            raise StreamError(
                f"transform returned {tuple(image.shape)} after {tuple(out.shape[1:])}: every "
                "picture of a stream must get one shape."
            )
        out[kept] = image
        found.append(out[kept])
        kept += 1
    return found


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
