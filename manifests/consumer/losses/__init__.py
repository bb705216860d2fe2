"""One file a kind of loss; a kind is found by its name.

Each module has a class `Head`, built from the settings of `manifests.losses` of the same kind.
"""

from __future__ import annotations

import importlib

import torch

from ...losses import Loss
from .base import Head, Place

__all__ = ["Head", "Place", "build_head", "head_class"]


def head_class(kind: str) -> type[Head]:
    """Return the class of a kind of `manifests.losses.KINDS`."""
    return importlib.import_module(f"{__name__}.{kind}").Head


def build_head(settings: Loss, place: Place, seed: int) -> Head:
    """Make a loss with weights drawn from a seed; the global generator is left as it was.

    Raises:
        UsageError: the loss cannot work here: a package is not installed, or widths do not fit.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return head_class(settings.kind)(settings, place)
