"""The planners of a run: what each reads, and the nodes that make and publish its batches."""

from __future__ import annotations

from dataclasses import dataclass

from ..manifests.errors import ConfigError
from ..stages import registry
from ..stages.batches.base import Planner
from ..stages.batches.stage import FinalPlan, Plan
from .config import BATCHES, Config, build_planner
from .runner import Node


@dataclass(frozen=True)
class PlannedBatches:
    """A planner with the name of its plan."""

    id: str
    planner: Planner


def planned_batches(config: Config) -> list[PlannedBatches]:
    """Return all planners of a run, each with the name of its plan."""
    planners = [
        build_planner(entry, config.document, position)
        for position, entry in enumerate(config.batches)
    ]
    names = registry.numbered(planners)
    return [PlannedBatches(*named) for named in zip(names, planners, strict=True)]


def batch_nodes(config: Config) -> list[Node]:
    """Return the nodes of all planners; they are fed by `final_pairs`, graphs and vectors.

    Raises:
        ConfigError: a planner needs a graph, more neighbours, or a space that the config lacks.
    """
    nodes = []
    for position, item in enumerate(planned_batches(config)):
        planner, place = item.planner, f"{config.at(BATCHES, position)}: planner {item.id}"
        judge = planner.judge_space or _first_image_space(config)
        sources = {
            "samples": "samples",
            "pairs": "final_pairs",
            **_graphs(planner, config, place),
            **_spaces([*planner.space_names, *([judge] if judge else [])], config, place),
        }
        stage = Plan(planner=planner, id=item.id, judge=judge, seed=config.seed)
        nodes.append(Node(f"plan:{item.id}", stage, sources))
        nodes.append(Node(f"final_plan:{item.id}", FinalPlan(), {"plan": f"plan:{item.id}"}))
    return nodes


def _graphs(planner: Planner, config: Config, place: str) -> dict[str, str]:
    for graph, depth in planner.graph_depths.items():
        found = config.neighbors.get(graph)
        if found is None or found.k < depth:
            have = "is not in the config" if found is None else f"has k = {found.k}"
            raise ConfigError(
                f"{place} needs {depth} neighbours of {graph}, which {have}. "
                f'Write neighbors: {{"{graph}": {{k: {depth}}}}}, or ask for less.'
            )
    return {f"graph:{graph}": f"graph:{graph}" for graph in planner.graph_depths}


def _spaces(wanted: list[str], config: Config, place: str) -> dict[str, str]:
    for space in wanted:
        if space not in config.spaces:
            known = ", ".join(sorted(config.spaces))
            raise ConfigError(f"{place} needs the space {space!r}. Spaces: {known}.")
    return {f"vectors:{space}": f"vectors:{space}" for space in wanted}


def _first_image_space(config: Config) -> str | None:
    return next((name for name, space in config.spaces.items() if space.of == "image"), None)
