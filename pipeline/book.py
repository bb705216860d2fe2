"""The recipe book, as facts: what each recipe is and what it sets."""

from __future__ import annotations

from typing import Any

import yaml

from ..manifests.errors import ConfigError
from .resolve import recipe, recipe_names

KEYS = ("name", "title", "systems", "paper", "fidelity", "offline", "trainer", "run")
"""What every recipe says."""


def book() -> list[dict[str, Any]]:
    """Return name, title, systems, paper and fidelity class of every recipe, by name."""
    keys = ("name", "title", "systems", "paper", "fidelity")
    return [{key: page(name)[key] for key in keys} for name in recipe_names()]


def page(name: str) -> dict[str, Any]:
    """Return everything about one recipe; `yaml` is what it adds to a config.

    Raises:
        ConfigError: there is no such recipe, or it lacks a key.
    """
    body = recipe(name).body
    missing = [key for key in KEYS if key not in body]
    if missing:
        raise ConfigError(f"recipe {name}: {', '.join(missing)} must be there.")
    text = yaml.safe_dump(body["run"], sort_keys=False, default_flow_style=None)
    return {**body, "yaml": text}
