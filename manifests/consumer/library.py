"""The losses that come from `lightly` (the extra `controls`), rather than by hand."""

from __future__ import annotations

import importlib
from typing import Any

from torch import nn

from ..errors import UsageError


def lightly_loss(name: str, **settings: Any) -> nn.Module:
    """Return a loss of lightly.

    Raises:
        UsageError: lightly is not installed.
    """
    try:
        module = importlib.import_module("lightly.loss")
    except ModuleNotFoundError as error:
        raise UsageError(
            f"this loss is lightly's {name}, and {error.name} is not installed: "
            'pip install "curate-pairs[controls]"'
        ) from error
    return getattr(module, name)(**settings)
