"""From a config to nodes: which stage runs, with which settings, fed by which others."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from ..manifests.arrays import ArraySource
from ..manifests.errors import ConfigError
from ..manifests.schema import ATTRIBUTE_PREFIX, Role
from ..manifests.views import score_of, view_graphs
from ..stages import registry
from ..stages.assemble.assemble import Assemble, MinerRef, MixerRef
from ..stages.assemble.final import FinalEdges, FinalNeighbors, FinalPairs, FinalSamples
from ..stages.base import Stage
from ..stages.embed._views import View
from ..stages.embed.array import ArrayVectors
from ..stages.embed.base import Encoder
from ..stages.embed.stage import Embed
from ..stages.ingest.base import Reader
from ..stages.ingest.census import Census
from ..stages.ingest.detect import reader_for
from ..stages.ingest.samples import Samples
from ..stages.ingest.scan import Scan
from ..stages.mining.base import Miner
from ..stages.mining.base_mixer import Mixer
from ..stages.mining.calibrate import Calibrate
from ..stages.mining.mix import Mix
from ..stages.mining.negatives.random import Random
from ..stages.mining.positives.self_aug import SelfAug
from ..stages.mining.stage import Mine
from . import clusters, selection
from .assets import plan_assets, plan_tables
from .batches import batch_nodes
from .config import Config, Space, build_component, build_miner, build_mixers
from .plan_graphs import plan_graphs
from .resolve import ENCODERS
from .runner import Node
from .yaml_file import Document

ARRAY = "array"
"""The encoder name of precomputed vectors."""
UNPLACED = Document("config", {})
"""For configs that were not read from a text."""


@dataclass(frozen=True)
class PlannedMiner:
    """A miner with the id that edges and kinds know it by."""

    id: str
    miner: Miner

    @property
    def role(self) -> Role:
        """What its edges are for."""
        return self.miner.role


@dataclass
class _Builder:
    """Collects nodes in the order in which they run."""

    nodes: list[Node] = field(default_factory=list)

    def add(self, name: str, stage: Stage, **sources: str) -> None:
        self.nodes.append(Node(name, stage, sources))

    def add_map(self, name: str, stage: Stage, sources: Mapping[str, str]) -> None:
        self.nodes.append(Node(name, stage, dict(sources)))


def open_corpus(config: Config) -> Reader:
    """Return the reader of the config's corpus.

    Raises:
        ConfigError: nothing is there, or its format cannot be told.
    """
    corpus = config.corpus
    return reader_for(
        corpus.format, corpus.source, corpus.fields, shard_bytes=config.output.shards.size
    )


def build_nodes(config: Config, reader: Reader, memory_bytes: int, number: int = 0) -> list[Node]:
    """Return all nodes of a run, each after those that feed it.

    Args:
        config: the validated config.
        reader: the corpus.
        memory_bytes: what the workers of a stage may hold together.
        number: of the mining round; see `rounds`.

    Raises:
        ConfigError: a space or a graph that is needed is not in the config.
    """
    plan = _Builder()
    miners = planned_miners(config)
    _plan_corpus(plan, config, reader, miners)
    for name, space in config.spaces.items():
        _plan_space(plan, name, space, config)
    clusters.plan(plan, config)
    selection.plan(plan, config)
    plan_graphs(plan.add_map, config, memory_bytes)
    encoders = {
        node.stage.space: node.stage.encoder for node in plan.nodes if isinstance(node.stage, Embed)
    }
    for node in plan_assets(config, encoders):
        plan.add_map(*node)
    _plan_mining(plan, miners, config, number)
    _plan_tables(plan, miners, config)
    return [*plan.nodes, *batch_nodes(config)]


def _plan_corpus(
    plan: _Builder, config: Config, reader: Reader, miners: Sequence[PlannedMiner]
) -> None:
    arrays = {
        name: array_source(name, space, config.document)
        for name, space in config.spaces.items()
        if space.encoder == ARRAY
    }
    plan.add("scan", Scan(reader=reader, max_pixels=config.corpus.max_pixels))
    plan.add(
        "census",
        Census(
            arrays=arrays,
            max_reject_fraction=config.corpus.max_reject_fraction,
            mask_groups=config.mask_groups,
            asked=_asked_columns(miners),
        ),
        scan="scan",
    )
    plan.add("samples", Samples(), scan="scan", census="census")


def _asked_columns(miners: Sequence[PlannedMiner]) -> dict[str, tuple[str, ...]]:
    """Return the attribute columns that miners ask for, and the types that each may have."""
    asked: dict[str, tuple[str, ...]] = {}
    for item in miners:
        asked |= {name.partition("/")[0]: () for name in item.miner.columns}
    for item in miners:
        asked |= dict.fromkeys(item.miner.number_columns, ("float", "time"))
    return {name: types for name, types in asked.items() if name.startswith(ATTRIBUTE_PREFIX)}


def array_source(name: str, space: Space, document: Document = UNPLACED) -> ArraySource:
    """Return where the vectors of an `array` space stand.

    Raises:
        ConfigError: the space has other settings than an array takes.
    """
    place = document.place(("spaces", name))
    known = sorted({item.name for item in dataclasses.fields(ArraySource)} - {"of"})
    for key in space.settings:
        if key not in known:
            raise ConfigError(
                f"{document.place(('spaces', name, key))}: spaces.{name}.{key}: unknown key."
                f"{registry.suggestion(key, known)} An array space takes: {', '.join(known)}."
            )
    if "path" not in space.settings:
        raise ConfigError(
            f"{place}: spaces.{name}: an array space needs `path`, a .npy or Parquet file."
        )
    return ArraySource(of=space.of, **space.settings)


def _plan_space(plan: _Builder, name: str, space: Space, config: Config) -> None:
    if space.view is not None and (space.encoder == ARRAY or space.of != "image"):
        raise ConfigError(
            f"{config.at('spaces', name, 'view')}: a view is a crop of a picture, which only an "
            f"encoder of images can embed; this space is of {space.of!r}, encoder {space.encoder}. "
            "Leave view out."
        )
    if space.encoder == ARRAY:
        stage = ArrayVectors(space=name, source=array_source(name, space, config.document))
        plan.add(f"vectors:{name}", stage, samples="samples", scan="scan")
        return
    encoder = open_encoder(name, space, config.document)
    if space.of not in encoder.modalities:
        raise ConfigError(
            f"{config.at('spaces', name, 'of')}: encoder {space.encoder} embeds "
            f"{', '.join(encoder.modalities)}, not {space.of!r}. "
            "Give vectors instead: encoder: array, path: FILE."
        )
    of = "caption" if space.of == "caption" else "image"
    view = None if space.view is None else View(number=space.view, seed=config.seed)
    stage = Embed(space=name, of=of, encoder=encoder, view=view)
    plan.add(f"vectors:{name}", stage, samples="samples", scan="scan")


def open_encoder(name: str, space: Space, document: Document = UNPLACED) -> Encoder:
    """Return the encoder of a space; its weights are found now, before any work.

    Raises:
        ConfigError: no such encoder, wrong settings, or weights that cannot be had.
    """
    where = (document, ("spaces", name, "encoder"))
    encoder = build_component(space.encoder, ENCODERS, Encoder, space.settings, where)
    encoder.weights_digest()
    return encoder


def planned_miners(config: Config) -> list[PlannedMiner]:
    """Return all miners of a run in the order in which they run, fillers included.

    `self_aug` fills anchors without a positive, `random` fills empty places of negatives; a
    config that names them itself gets what it says.
    """
    miners: list[Miner] = []
    for section, position, entry in config.miner_entries():
        miners.append(build_miner(entry, config.document, (section, position)))
    by_role = {role: [m for m in miners if m.role == role] for role in Role}
    positives, negatives = by_role[Role.POSITIVE], by_role[Role.NEGATIVE]
    if not any(isinstance(miner, SelfAug) for miner in positives):
        positives.append(SelfAug(only_missing=True))
    if config.output.negatives and not any(isinstance(miner, Random) for miner in negatives):
        negatives.append(Random(count=config.output.negatives))
    ordered = [*positives, *by_role[Role.FALSE_NEGATIVE], *negatives, *by_role[Role.SOFT]]
    return [PlannedMiner(*named) for named in zip(registry.numbered(ordered), ordered, strict=True)]


def planned_mixers(config: Config) -> dict[str, Mixer]:
    """Return all mixers of a run by id, in the order in which their recipes stand in a row."""
    mixers = build_mixers(config)
    return dict(zip(registry.numbered(mixers), mixers, strict=True))


def _plan_mining(
    plan: _Builder, miners: Sequence[PlannedMiner], config: Config, number: int
) -> None:
    for name in dict.fromkeys(name for item in miners for name in item.miner.threshold_names):
        _plan_calibration(plan, name, config)
    for position, item in enumerate(miners):
        sources = _sources(item.id, item.miner, miners[:position], config)
        names, level = item.miner.cluster_names, item.miner.cluster_level
        sources.update(clusters.need_of(config, f"miner {item.id}", names, level))
        for name in item.miner.asset_names:
            _need(name in config.generate, item.id, f"generate: {name}")
            sources[f"assets:{name}"] = f"generate:{name}"
            sources[f"measured:{name}"] = f"measured:{name}"
        for score in item.miner.threshold_names:
            sources[f"calibrate:{score}"] = f"calibrate:{score}"
        for graph in item.miner.graph_names:
            if config.neighbors[graph].correct is not None:
                sources[f"hubs:{graph}"] = f"hubs:{graph}"
        for name, stage in item.miner.preparations.items():
            sources[f"prepared:{name}"] = f"prepare:{name}"
            if not any(node.name == f"prepare:{name}" for node in plan.nodes):
                plan.add_map(f"prepare:{name}", stage, {need: need for need in stage.needs})
        stage = Mine(miner=item.miner, id=item.id, seed=config.seed, round=number)
        plan.add_map(f"mine:{item.id}", stage, sources)
    for name, mixer in planned_mixers(config).items():
        stage = Mix(mixer=mixer, id=name, seed=config.seed, round=number)
        plan.add_map(f"mix:{name}", stage, _sources(name, mixer, miners, config))


def _plan_calibration(plan: _Builder, name: str, config: Config) -> None:
    """Plan what finds the thresholds of a graph, or of a score over it and some views."""
    graph, views, aggregate = score_of(name)
    sources = {"samples": "samples", "groups": "groups", "graph": f"graph:{graph}"}
    sources.update(_caption_vectors(config))
    spaces = [
        space for joined in (graph, *view_graphs(graph, views)) for space in joined.split(">")
    ]
    sources |= {f"of:{space}": f"vectors:{space}" for space in spaces if views}
    stage = Calibrate(graph=graph, views=views, aggregate=aggregate, seed=config.seed)
    plan.add_map(f"calibrate:{name}", stage, sources)


def _sources(
    name: str, miner: Miner | Mixer, earlier: Sequence[PlannedMiner], config: Config
) -> dict[str, str]:
    """Return what feeds a miner or mixer; `earlier` are those whose edges it sees."""
    sources = {"samples": "samples", "groups": "groups", **selection.selected(config)}
    for graph in miner.graph_names:
        _need(graph in config.neighbors, name, f"neighbors: {graph}")
        sources[f"graph:{graph}"] = f"graph:{graph}"
    for space in miner.space_names:
        _need(space in config.spaces, name, f"spaces: {space}")
        sources[f"vectors:{space}"] = f"vectors:{space}"
    return sources | {f"edges:{item.id}": f"mine:{item.id}" for item in earlier}


def _caption_vectors(config: Config) -> dict[str, str]:
    """Return the first caption space as an input: what captions say is a judge of pairs."""
    names = [f"vectors:{name}" for name, space in config.spaces.items() if space.of == "caption"]
    return {name: name for name in names[:1]}


def _need(there: bool, miner: str, what: str) -> None:
    if not there:
        raise ConfigError(f"miner {miner} needs {what}, which the config does not have.")


def _reference(item: PlannedMiner) -> MinerRef:
    miner = item.miner
    return MinerRef(
        id=item.id,
        places=miner.positive_capacity,
        soft=miner.capacity if miner.role is Role.SOFT else 0,
        texts=miner.capacity if miner.makes_texts else 0,
        assets=miner.capacity if miner.asset_names else 0,
        scheduled=miner.is_scheduled,
    )


def _plan_tables(plan: _Builder, miners: Sequence[PlannedMiner], config: Config) -> None:
    output = config.output
    mixers = planned_mixers(config)
    named = [(item.id, item.miner) for item in miners]
    level = clusters.published(config, named)
    stage = Assemble(
        miners=tuple(_reference(item) for item in miners),
        mixers=tuple(MixerRef(id=name, count=mixer.count) for name, mixer in mixers.items()),
        positives=output.positives,
        negatives=output.negatives,
        false_negatives=output.false_negatives,
        cluster_level=level.level if level else 0,
    )
    base = {"samples": "samples", "groups": "groups"}
    edges = {f"edges:{item.id}": f"mine:{item.id}" for item in miners}
    captions = _caption_vectors(config)
    mixes = {f"synthetic:{name}": f"mix:{name}" for name in mixers}
    assets = {f"assets:{name}": f"generate:{name}" for name in config.generate}
    for node in plan_tables(config):
        plan.add_map(*node)
    clustered = {"clusters": f"clusters:{level.name}"} if level else {}
    around = {**base, **edges, **mixes, **captions, **assets, **clustered}
    plan.add_map("assemble", stage, {**around, **selection.selected(config)})
    if level and any(miner.acceptance for _, miner in named):
        clustered["ranks"] = f"ranks:{level.name}"
    samples = FinalSamples(level=level.level if level else 0)
    plan.add_map("final_samples", samples, {**base, **clustered})
    plan.add("final_pairs", FinalPairs(), assemble="assemble")
    plan.add("final_edges", FinalEdges(), assemble="assemble")
    for graph in config.neighbors:
        sources = {"samples": "samples", "graph": f"graph:{graph}"}
        if config.neighbors[graph].correct is not None:
            sources["hubs"] = f"hubs:{graph}"
        plan.add_map(f"final_neighbors:{graph}", FinalNeighbors(graph=graph), sources)
