"""The torch device of a worker."""

from __future__ import annotations

import os


def torch_device() -> str:
    """Return the torch device of this process, and give torch the threads that it was given.

    One thread unless OMP_NUM_THREADS says more (Ray sets it to a task's cores).
    """
    import torch

    if torch.cuda.is_available():
        return "cuda:0"
    torch.set_num_threads(max(1, int(os.environ.get("OMP_NUM_THREADS") or 1)))
    return "cpu"
