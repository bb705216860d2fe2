"""Section `generate` of a config: the stages of assets, and what is published of them.

generate:  {clsp: {generator: latent, path: weights.safetensors, count: 8}}
positives: [{miner: synthetic, assets: clsp}]
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ..manifests.artifact import Artifact
from ..manifests.errors import ConfigError
from ..manifests.pairset import ASSETS
from ..stages import registry
from ..stages.assemble.assets import FinalAssets, published_shard
from ..stages.base import Stage
from ..stages.embed.base import Encoder
from ..stages.embed.stage import Embed
from ..stages.generate.base import Generator
from ..stages.generate.stage import Generate
from ..stages.neighbors.assets import AssetNeighbors
from .config import Config, build_component
from .runner import Node

GENERATORS = "curate.stages.generate"

Planned = tuple[str, Stage, dict[str, str]]
"""Name, stage and sources of a node."""


def open_generator(name: str, config: Config) -> Generator:
    """Return the generator of a section; its weights are found now, before any work.

    Raises:
        ConfigError: no such generator, wrong settings, or weights that are not there.
    """
    asked = config.generate[name]
    where = (config.document, ("generate", name, "generator"))
    generator = build_component(asked.generator, GENERATORS, Generator, asked.settings, where)
    try:
        generator.weights_digest()
    except ConfigError as error:
        text = str(error).replace("generate.NAME", f"generate.{name}")
        raise ConfigError(f"{config.at('generate', name)}: {text}") from error
    return generator


def plan_assets(config: Config, encoders: Mapping[str, Encoder]) -> Iterator[Planned]:
    """Yield the nodes that make, embed and measure assets.

    Args:
        config: of the run.
        encoders: by space, where a space is embedded by the run.

    Raises:
        ConfigError: a section cannot be made, or its space cannot be searched.
    """
    for name, asked in config.generate.items():
        space = asked.space
        place = config.at("generate", name, "space")
        if space not in config.spaces:
            known = sorted(config.spaces)
            raise ConfigError(
                f"{place}: no space is called {space!r}.{registry.suggestion(space, known)}"
            )
        if space not in encoders or config.spaces[space].of != "image":
            raise ConfigError(
                f"{place}: {space} is no space of images with an encoder, so new pictures cannot "
                "be embedded in it."
            )
        if not any(graph.partition(">")[2] == space for graph in config.neighbors):
            raise ConfigError(
                f"{place}: the nearest sample of each asset is looked for; add neighbors: "
                f"{space}>{space}."
            )
        generator = open_generator(name, config)
        make = Generate(name=name, generator=generator, count=asked.count, seed=config.seed)
        yield f"generate:{name}", make, {"samples": "samples", "scan": "scan"}
        made = f"generate:{name}"
        embed = Embed(space=space, of="image", encoder=encoders[space])
        yield f"asset_vectors:{name}", embed, {"samples": made, "scan": made}
        sources = {
            "assets": made,
            "query": f"asset_vectors:{name}",
            "bank": f"vectors:{space}",
            "index": f"index:{space}",
            "samples": "samples",
            "groups": "groups",
        }
        yield f"measured:{name}", AssetNeighbors(space=space), sources


def plan_tables(config: Config) -> Iterator[Planned]:
    """Yield the nodes that make the published table, one a section."""
    earlier: dict[str, str] = {}
    for name, asked in config.generate.items():
        stage = FinalAssets(section=name, generator=asked.generator)
        made = {"assets": f"generate:{name}", "measured": f"measured:{name}"}
        yield f"final_assets:{name}", stage, {**made, **earlier}
        earlier[f"earlier:{name}"] = f"generate:{name}"


def publish_assets(
    config: Config, nodes: Sequence[Node], done: Mapping[str, Artifact], add: Any
) -> dict[str, Any]:
    """Link tars and embeddings of all sections; return the manifest's entry `assets`.

    Args:
        config: of the run.
        nodes: of the run.
        done: their artifacts.
        add: links one file: (path, name, record) -> entry.
    """
    stages = {node.name: node.stage for node in nodes if isinstance(node.stage, Generate)}
    found = {}
    for name, asked in config.generate.items():
        made, vectors = done[f"generate:{name}"], done[f"asset_vectors:{name}"]
        stage = stages[f"generate:{name}"]
        found[name] = {
            "generator": stage.generator.identity(),
            "fidelity": stage.generator.fidelity,
            "paper": stage.generator.paper,
            "count": asked.count,
            "space": asked.space,
            "assets": made.rows,
            "random": done[f"measured:{name}"].receipts[0].facts["random"],
            "shards": [
                add(made.file(receipt.part, "tar"), published_shard(name, receipt.part), record)
                for receipt, record in _records(made, "tar")
            ],
            "vectors": [
                {
                    **add(
                        vectors.file(receipt.part, "npy"),
                        f"{ASSETS}/{name}-{receipt.part}.npy",
                        record,
                    ),
                    "rows": receipt.rows,
                }
                for receipt, record in _records(vectors, "npy")
            ],
        }
    return found


def _records(artifact: Artifact, suffix: str) -> Iterator[tuple[Any, Mapping[str, Any]]]:
    for receipt in artifact.receipts:
        for record in receipt.files:
            if record["name"] == f"{receipt.part}.{suffix}":
                yield receipt, record


def asset_tables(config: Config, done: Mapping[str, Artifact], add: Any) -> list[dict[str, Any]]:
    """Link the table `assets`, section after section; return its entries."""
    entries: list[dict[str, Any]] = []
    first = 0
    for name in config.generate:
        for receipt, record in _records(done[f"final_assets:{name}"], "parquet"):
            path = done[f"final_assets:{name}"].file(receipt.part)
            entry = add(path, f"{ASSETS}/{name}-{receipt.part}.parquet", record)
            entries.append({**entry, "rows": receipt.rows, "first_row": first})
            first += receipt.rows
    return entries
