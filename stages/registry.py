"""From a name in a config to a class.

`knn` in the package of positive miners means the one Miner defined in its `knn` module;
`my_lab.miners:Ours` means that class. Nothing is listed by hand, so a new file is enough.
"""

from __future__ import annotations

import difflib
import importlib
import inspect
import pkgutil
from collections.abc import Sequence
from typing import TypeVar

from ..manifests.errors import ConfigError
from .base import Component

T = TypeVar("T", bound=Component)

_NOT_COMPONENTS = frozenset({"base", "stage", "train"})


def names(package: str) -> list[str]:
    """List the names that a package of components knows."""
    home = importlib.import_module(package)
    return sorted(
        module.name
        for module in pkgutil.iter_modules(home.__path__)
        if module.name not in _NOT_COMPONENTS and not module.name.startswith("_")
    )


def load(name: str, package: str, base: type[T]) -> type[T]:
    """Return the class called `name`: a module of `package`, or "module:Class".

    Raises:
        ConfigError: there is none; the text suggests the nearest name.
    """
    if ":" in name:
        return _load_foreign(name, base)
    known = names(package)
    if name not in known:
        raise ConfigError(
            f"no {base.__name__.lower()} is called {name!r}.{suggestion(name, known)} "
            f"Known: {', '.join(known)}."
        )
    module = importlib.import_module(f"{package}.{name}")
    classes = [
        item
        for _, item in inspect.getmembers(module, inspect.isclass)
        if issubclass(item, base) and item.__module__ == module.__name__
    ]
    if len(classes) != 1:
        raise ConfigError(
            f"{module.__name__} defines {len(classes)} classes of kind {base.__name__}; "
            "one expected."
        )
    return classes[0]


def _load_foreign(name: str, base: type[T]) -> type[T]:
    module_name, _, class_name = name.partition(":")
    try:
        found = getattr(importlib.import_module(module_name), class_name)
    except (ImportError, AttributeError) as error:
        raise ConfigError(f"{name}: {error}.") from error
    if not (inspect.isclass(found) and issubclass(found, base)):
        raise ConfigError(f"{name} is not a {base.__name__}.")
    return found


def suggestion(name: str, known: list[str]) -> str:
    """Return " Did you mean 'x'?" for the nearest known name, or nothing."""
    close = difflib.get_close_matches(name, known, n=1)
    return f" Did you mean {close[0]!r}?" if close else ""


def numbered(components: Sequence[Component]) -> list[str]:
    """Return an id for each component: the name of its module, with a number from the second on."""
    seen: dict[str, int] = {}
    ids = []
    for component in components:
        name = type(component).__module__.rsplit(".", 1)[-1]
        seen[name] = seen.get(name, 0) + 1
        ids.append(name if seen[name] == 1 else f"{name}-{seen[name]}")
    return ids
