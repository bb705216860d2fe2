"""From section `selection` of a config to nodes, and to what the nodes behind them are fed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from ..manifests.errors import ConfigError
from ..stages import registry
from ..stages.assemble.final_selection import FinalSelection
from ..stages.base import Stage
from ..stages.selection.base import Selector
from ..stages.selection.stage import Decide, Measure, Selected
from . import clusters
from .config import Config, build_selector

_SELECT = "select:"
"""Beginning of the names of the nodes that decide."""


class Builder(Protocol):
    """Collects nodes in the order in which they run."""

    def add_map(self, name: str, stage: Stage, sources: Mapping[str, str]) -> None:
        """Add a node; `sources` names the node behind each input."""
        ...


@dataclass(frozen=True)
class PlannedSelector:
    """A selector with the id that the table `selection` knows it by."""

    id: str
    selector: Selector


def planned_selectors(config: Config) -> list[PlannedSelector]:
    """Return all selectors of a run in the order of the config."""
    found = [build_selector(config, at, config.document) for at in range(len(config.selection))]
    return [PlannedSelector(*named) for named in zip(registry.numbered(found), found, strict=True)]


def plan(builder: Builder, config: Config) -> None:
    """Add the nodes of all selectors, what they keep together, and the published table.

    Sets of clusters that are found `after` a selector are planned behind it; the others are there
    already, so that no set waits for a selector that reads it.

    Raises:
        ConfigError: a selector needs a space or a set of clusters that the config does not have,
            or that is only found later; a set stands behind a selector that is not there.
    """
    done: list[str] = []
    for position, item in enumerate(planned_selectors(config)):
        where = f"{config.at('selection', position)}: selector {item.id}"
        sources = {"samples": "samples", **_needed(config, item, where, done)}
        if item.selector.among == "kept":
            sources |= {name: name for name in done}
        settings = {"selector": item.selector, "id": item.id, "seed": config.seed}
        builder.add_map(f"measure:{item.id}", Measure(**settings), sources)
        measured = {**sources, "measured": f"measure:{item.id}"}
        builder.add_map(f"select:{item.id}", Decide(**settings), measured)
        done.append(f"select:{item.id}")
        if any(asked.after == item.id for asked in config.clusters.values()):
            builder.add_map(f"selected:{item.id}", Selected(), {name: name for name in done})
            clusters.plan(builder, config, item.id)
    ids = tuple(name.removeprefix(_SELECT) for name in done)
    for name, asked in config.clusters.items():
        if asked.after is not None and asked.after not in ids:
            raise ConfigError(
                f"{config.at('clusters', name, 'after')}: no selector is called {asked.after!r}."
                f"{registry.suggestion(asked.after, list(ids))} "
                f"Selectors: {', '.join(ids) or 'none'}."
            )
    if done:
        verdicts = {name: name for name in done}
        builder.add_map("selected", Selected(), verdicts)
        final = FinalSelection(selectors=ids)
        builder.add_map("final_selection", final, {"samples": "samples", **verdicts})


def _needed(
    config: Config, item: PlannedSelector, where: str, done: Sequence[str]
) -> dict[str, str]:
    """Return the vectors and clusters that feed a selector; `done` are the nodes before it."""
    found = {}
    for space in item.selector.space_names:
        if space not in config.spaces:
            raise ConfigError(f"{where} needs spaces: {space}, which the config does not have.")
        found[f"vectors:{space}"] = f"vectors:{space}"
    names, level = item.selector.cluster_names, item.selector.cluster_level
    found |= clusters.need_of(config, where, names, level, ("clusters",))
    for name in names:
        asked = config.clusters[name]
        if asked.after is not None and f"{_SELECT}{asked.after}" not in done:
            raise ConfigError(
                f"{where} reads clusters {name}, which are found after {asked.after}: it must "
                "stand behind that selector."
            )
        if asked.space not in item.selector.space_names:
            raise ConfigError(
                f"{where} compares vectors of {', '.join(item.selector.space_names)}, but clusters "
                f"{name} are of {asked.space or 'places'}: name one space in both."
            )
    return found


def selected(config: Config) -> dict[str, str]:
    """Return which samples were selected as an input of other nodes, where any were."""
    return {"selected": "selected"} if config.selection else {}
