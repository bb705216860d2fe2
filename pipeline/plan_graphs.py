"""The nodes of search: indexes, joins, near-duplicate groups, hub corrections, graphs, recall."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal

from ..manifests.errors import ConfigError
from ..stages.base import Stage
from ..stages.neighbors.graph import Graph
from ..stages.neighbors.groups import Groups
from ..stages.neighbors.hubs import CORRECT_K, Hubs
from ..stages.neighbors.index import BuildIndex
from ..stages.neighbors.join import Join
from ..stages.neighbors.recall import Recall
from . import selection
from .config import Config, graph_spaces

Add = Callable[[str, Stage, Mapping[str, str]], None]
"""Takes a node: its name, its stage, and by input the nodes that feed it."""


def plan_graphs(add: Add, config: Config, memory_bytes: int) -> None:
    """Plan every graph of the config, and the near-duplicate groups that one of them shows.

    Groups are found by cosines: where their graph is corrected, it is joined twice.

    Args:
        add: takes the nodes, in order.
        config: the validated config.
        memory_bytes: what the workers of a stage may hold together.

    Raises:
        ConfigError: near-duplicates are asked for in a graph that is not there.
    """
    for name in dict.fromkeys(graph_spaces(graph)[1] for graph in config.neighbors):
        _plan_index(add, name, config, memory_bytes)
    for graph, asked in config.neighbors.items():
        if asked.correct is None or graph == _duplicates_graph(config):
            _plan_join(add, graph, config)
    _plan_groups(add, config)
    for graph in config.neighbors:
        _plan_graph(add, graph, config)


def _plan_index(add: Add, name: str, config: Config, memory_bytes: int) -> None:
    asked = [item for graph, item in config.neighbors.items() if graph_spaces(graph)[1] == name]
    exact = [item.exact_below for item in asked if item.exact_below is not None]
    stage = BuildIndex(
        space=name,
        exact_below=max(exact) if exact else None,
        min_recall=max(item.min_recall for item in asked),
        k=max(item.k for item in asked),
        memory_bytes=memory_bytes,
        seed=config.seed,
    )
    add(f"index:{name}", stage, {"vectors": f"vectors:{name}", "samples": "samples"})


def _around(graph: str, config: Config) -> dict[str, str]:
    query, bank = graph_spaces(graph)
    return {
        "samples": "samples",
        "query": f"vectors:{query}",
        "bank": f"vectors:{bank}",
        "index": f"index:{bank}",
        **selection.selected(config),
    }


def _plan_join(add: Add, graph: str, config: Config) -> None:
    stage = Join(graph=graph, k=config.neighbors[graph].k)
    add(f"join:{graph}", stage, _around(graph, config))


def _duplicates_graph(config: Config) -> str:
    space = config.duplicates.space or next(
        (name for name, space in config.spaces.items() if space.of == "image"), None
    )
    return f"{space}>{space}"


def _plan_groups(add: Add, config: Config) -> None:
    graph = _duplicates_graph(config)
    sources = {"samples": "samples"}
    if graph in config.neighbors:
        sources["join"] = f"join:{graph}"
    elif config.duplicates.space is not None:
        raise ConfigError(
            f"{config.at('duplicates', 'space')}: near-duplicates are found in a graph; "
            f"add neighbors: {graph}."
        )
    add("groups", Groups(threshold=config.duplicates.threshold), sources)


def _plan_graph(add: Add, graph: str, config: Config) -> None:
    asked = config.neighbors[graph]
    around, join = {**_around(graph, config), "groups": "groups"}, f"join:{graph}"
    if asked.correct is not None:
        join = f"corrected:{graph}"
        add(f"hubs:{graph}", _hubs(graph, config), around)
        around["hubs"] = f"hubs:{graph}"
        add(join, Join(graph=graph, k=asked.k), around)
    add(f"graph:{graph}", Graph(graph=graph, k=asked.k), {**around, "join": join})
    add(
        f"recall:{graph}",
        Recall(graph=graph, k=asked.k, min_recall=asked.min_recall, seed=config.seed),
        {**around, "graph": f"graph:{graph}"},
    )


def _hubs(graph: str, config: Config) -> Hubs:
    asked = config.neighbors[graph]
    kind: Literal["csls", "nnn"] = asked.correct or "csls"
    given: dict[str, Any] = {"alpha": asked.correct_alpha, "reference": asked.correct_reference}
    return Hubs(
        graph=graph,
        by=kind,
        k=asked.correct_k or CORRECT_K[kind],
        seed=config.seed,
        **{name: value for name, value in given.items() if value is not None},
    )
