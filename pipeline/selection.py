"""From section `selection` of a config to nodes, and to what the nodes behind them are fed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from ..manifests.errors import ConfigError
from ..stages import registry
from ..stages.assemble.final_selection import FinalSelection
from ..stages.base import Stage
from ..stages.selection.base import Selector
from ..stages.selection.stage import Decide, Measure, Selected
from .config import Config, build_selector


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

    Raises:
        ConfigError: a selector needs a space that the config does not have.
    """
    done: list[str] = []
    for position, item in enumerate(planned_selectors(config)):
        sources = {"samples": "samples"}
        for space in item.selector.space_names:
            if space not in config.spaces:
                raise ConfigError(
                    f"{config.at('selection', position)}: selector {item.id} needs "
                    f"spaces: {space}, which the config does not have."
                )
            sources[f"vectors:{space}"] = f"vectors:{space}"
        if item.selector.among == "kept":
            sources |= {name: name for name in done}
        settings = {"selector": item.selector, "id": item.id, "seed": config.seed}
        builder.add_map(f"measure:{item.id}", Measure(**settings), sources)
        measured = {**sources, "measured": f"measure:{item.id}"}
        builder.add_map(f"select:{item.id}", Decide(**settings), measured)
        done.append(f"select:{item.id}")
    if done:
        verdicts = {name: name for name in done}
        builder.add_map("selected", Selected(), verdicts)
        ids = tuple(name.removeprefix("select:") for name in done)
        final = FinalSelection(selectors=ids)
        builder.add_map("final_selection", final, {"samples": "samples", **verdicts})


def selected(config: Config) -> dict[str, str]:
    """Return which samples were selected as an input of other nodes, where any were."""
    return {"selected": "selected"} if config.selection else {}
