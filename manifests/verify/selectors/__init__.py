"""The rules of selectors, re-checked from the files alone.

The rule of a selector stands in the module of its name and is found by that name (`base` and what
begins with `_` are shared by them):

    check(context, described, verdicts)

with its entry in the manifest and its verdicts about all samples.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

from ..context import Context
from .base import Verdicts

__all__ = ["Verdicts", "rules"]

Rule = Callable[[Context, Mapping[str, Any], Verdicts], None]


@cache
def rules() -> dict[str, Rule]:
    """Return the rule of each selector that has one, by the selector's name."""
    names = [item.name for item in pkgutil.iter_modules(__path__)]
    found = [name for name in names if name != "base" and not name.startswith("_")]
    return {name: importlib.import_module(f"{__name__}.{name}").check for name in found}
