"""Sets of clusters: what the config says of them, their nodes, and what the manifest says."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from ..manifests.artifact import Artifact
from ..manifests.errors import ConfigError
from ..manifests.schema import ACCEPT_RANK
from ..stages import registry
from ..stages.assemble.final import FinalClusters
from ..stages.clusters.assign import Assign
from ..stages.clusters.ranks import Ranks
from ..stages.clusters.train import Train
from ..stages.mining.base import Miner

if TYPE_CHECKING:
    from .config import Config


class Builder(Protocol):
    """Who collects the nodes of a plan."""

    def add_map(self, name: str, stage: Any, sources: Mapping[str, str]) -> None:
        """Add a node behind those that feed it."""
        ...


@dataclass(frozen=True)
class Level:
    """One level of one set of clusters, as `output.cluster` names it: NAME or NAME.LEVEL."""

    name: str
    level: int = 0

    def __str__(self) -> str:
        return f"{self.name}.{self.level}"

    def to_json(self) -> dict[str, Any]:
        """Return the manifest's entry."""
        return {"clusters": self.name, "level": self.level}


def check(config: Config) -> None:
    """Look at the sections `clusters` and `output.cluster`.

    Raises:
        ConfigError: a space or a set of clusters is not there.
    """
    for name, asked in config.clusters.items():
        if asked.space is not None and asked.space not in config.spaces:
            raise ConfigError(
                f"{config.at('clusters', name, 'space')}: no space is called {asked.space!r}."
                f"{_known(asked.space, config.spaces, 'Spaces')}"
            )
    if config.output.cluster is not None:
        _need(config, _parsed(config.output.cluster), config.at("output", "cluster"))


def published(config: Config, miners: Sequence[tuple[str, Miner]]) -> Level | None:
    """Return the level that stands in column `cluster_id`: what `output.cluster` says.

    A miner whose clusters mask pairs needs them there, so it decides where nothing is said.

    Args:
        config: the whole config.
        miners: id and miner of the run.

    Raises:
        ConfigError: two are needed, and there is one column.
    """
    said = _parsed(config.output.cluster) if config.output.cluster is not None else None
    for name, miner in miners:
        if miner.acceptance is None:
            continue
        needed = Level(miner.cluster_names[0], miner.cluster_level)
        if said is not None and said != needed:
            raise ConfigError(
                f"miner {name} masks pairs by clusters {needed}, which must stand in the column "
                f"cluster_id; output.cluster or another miner wants {said} there."
            )
        said = needed
    return said


def need_of(
    config: Config,
    who: str,
    names: Sequence[str],
    level: int,
    kinds: Sequence[str] = ("clusters", "ranks"),
) -> dict[str, str]:
    """Return what feeds a miner or selector that reads sets of clusters at a level.

    Raises:
        ConfigError: the config has no such set, or the set no such level.
    """
    for name in names:
        _need(config, Level(name, level), who)
    return {f"{kind}:{name}": f"{kind}:{name}" for name in names for kind in kinds}


def plan(builder: Builder, config: Config, after: str | None = None) -> None:
    """Add the nodes of the sets that stand behind a selector: train, assign, rank, and the table.

    Args:
        builder: takes the nodes.
        config: the whole config.
        after: id of the selector, whose node `selected:<id>` is there; None for the sets that are
            found among all samples.
    """
    for name, asked in config.clusters.items():
        if asked.after != after:
            continue
        base = {"samples": "samples"}
        if asked.space is not None:
            base["vectors"] = f"vectors:{asked.space}"
        ids = {"clusters": f"clusters:{name}"}
        kept = {} if after is None else {"selected": f"selected:{after}"}
        train = Train(settings=asked, seed=config.seed)
        builder.add_map(f"centroids:{name}", train, {**base, **kept})
        builder.add_map(
            ids["clusters"], Assign(settings=asked), {**base, "trained": f"centroids:{name}"}
        )
        builder.add_map(f"ranks:{name}", Ranks(), ids)
        builder.add_map(
            f"final_clusters:{name}",
            FinalClusters(cluster_set=name),
            {**ids, "ranks": f"ranks:{name}"},
        )


def described(config: Config, done: Mapping[str, Artifact]) -> dict[str, Any]:
    """Return the manifest's `clusters`: for each set its settings, sizes, and a hash.

    The hash is over the sha256 of the files of the trained centroids.
    """
    found = {}
    for name, asked in config.clusters.items():
        trained, ranks = done[f"centroids:{name}"].receipts[0], done[f"ranks:{name}"].receipts[0]
        files = "".join(sorted(str(record["sha256"]) for record in trained.files))
        found[name] = {
            **asked.model_dump(mode="json", exclude={"k", "levels"}),
            "levels": ranks.facts["sizes"],
            "ranked": ranks.facts["ranked"],
            "without_cluster": ranks.facts["without_cluster"],
            "dim": trained.facts["dim"],
            "drawn": trained.facts["drawn"],
            "similarity": trained.facts["similarity"],
            "centroids_sha256": hashlib.sha256(files.encode()).hexdigest(),
        }
    return found


def mask_schedules(
    miners: Sequence[tuple[str, Miner]], done: Mapping[str, Artifact]
) -> list[dict[str, Any]]:
    """Return which pairs clusters mask at which progress.

    At training progress p, with r(p) = from + (to - from) * p: two rows of equal `column` are
    masked when both have 0 <= `accept` < floor(r(p) * ranked).
    """
    found = []
    for name, miner in miners:
        if miner.acceptance is not None:
            first, last = miner.acceptance
            ranked = done[f"ranks:{miner.cluster_names[0]}"].receipts[0].facts["ranked"]
            found.append(
                {
                    "miner": name,
                    "column": "cluster_id",
                    "accept": ACCEPT_RANK,
                    "schedule": "linear",
                    "from": first,
                    "to": last,
                    "ranked": ranked,
                }
            )
    return found


def _parsed(text: str) -> Level:
    name, _, level = text.rpartition(".")
    return Level(name, int(level)) if name and level.isdigit() else Level(text)


def _need(config: Config, level: Level, who: str) -> None:
    asked = config.clusters.get(level.name)
    if asked is None:
        raise ConfigError(
            f"{who}: no set of clusters is called {level.name!r}."
            f"{_known(level.name, config.clusters, 'Sets')} Add clusters: {{{level.name}: ...}}."
        )
    if level.level >= len(asked.sizes):
        raise ConfigError(
            f"{who}: clusters {level.name} have levels 0 (finest) to {len(asked.sizes) - 1}, "
            f"not {level.level}."
        )


def _known(name: str, names: Mapping[str, Any], title: str) -> str:
    listed = ", ".join(names) or "none"
    return f"{registry.suggestion(name, list(names))} {title}: {listed}."
