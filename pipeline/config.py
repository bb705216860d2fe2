"""The config of a run: the YAML of contract §4 as a validated model.

Components (encoders, miners) are validated by their own classes, so a setting is defined in one
place only. Every message names file, line, key, value, and what is allowed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import (
    Field,
    PrivateAttr,
    ValidationError,
)

from ..manifests import losses
from ..manifests.errors import ConfigError
from ..manifests.views import view_of
from ..stages import registry
from ..stages.batches.base import Planner
from ..stages.clusters.settings import ClusterSettings
from ..stages.mining.base import Miner
from ..stages.mining.base_mixer import Mixer
from ..stages.selection.base import Selector
from . import clusters
from .complaints import dotted, explain
from .generated import Generated
from .sections import (
    BatchEntry,
    Budget,
    Corpus,
    Duplicates,
    Entry,
    Loss,
    Neighbors,
    Output,
    Section,
    SelectorEntry,
    Space,
    SpaceName,
)
from .yaml_file import Document

MINERS = {
    "positives": "curate.stages.mining.positives",
    "false_negatives": "curate.stages.mining.false_negatives",
    "negatives": "curate.stages.mining.negatives",
    "soft": "curate.stages.mining.soft",
}
"""Sections of miners, in the order in which they run, and the package of each."""
MIXERS = "curate.stages.mining.synthetic"
"""The package of the mixers, which section `synthetic` names."""
SELECTORS = "curate.stages.selection"
"""The package of what section `selection` names."""

BATCHES = "batches"
"""The section of planners."""
PLANNERS = "curate.stages.batches"


class Config(Section):
    """A whole run."""

    corpus: Corpus
    """What is read."""
    spaces: dict[SpaceName, Space]
    """Embedding spaces by name."""
    neighbors: dict[str, Neighbors] = Field(default_factory=dict)
    """Neighbour graphs by name, QUERY>BANK: "image>image"."""
    duplicates: Duplicates = Duplicates()
    """When two samples are one picture."""
    generate: dict[SpaceName, Generated] = Field(default_factory=dict)
    """Generated pictures by name."""
    clusters: dict[SpaceName, ClusterSettings] = Field(default_factory=dict)
    """Sets of clusters by name."""
    selection: tuple[SelectorEntry, ...] = ()
    """Selectors: which samples are used at all, in order."""
    positives: tuple[Entry, ...] = ()
    """Miners of positives, in order."""
    negatives: tuple[Entry, ...] = ()
    """Miners of negatives, in order."""
    false_negatives: tuple[Entry, ...] = ()
    """Miners of false negatives, in order."""
    batches: tuple[BatchEntry, ...] = ()
    """Planners of batches, in order."""
    soft: tuple[Entry, ...] = ()
    """Miners of soft targets, in order."""
    synthetic: tuple[Entry, ...] = ()
    """Mixers: recipes of synthetic negatives, in order."""
    loss: Loss = Loss()
    """What the trainer must do."""
    output: Output = Output()
    """How long lists are, and what is written."""
    budget: Budget = Budget()
    """What the run may occupy."""
    mask_groups: tuple[str, ...] = ("group_id",)
    """Columns of samples in which equal values mean: never contrast."""
    recipes: tuple[str, ...] = ()
    """Recipes that this config starts from; what it says itself is stronger."""
    round_of: str | None = None
    """Folder of the pairset that the round before mined: this run is the round after it."""
    seed: int = Field(default=0, ge=0, lt=2**63)
    """Seed of all draws."""
    _document: Document = PrivateAttr(default_factory=lambda: Document("config", {}))

    @property
    def document(self) -> Document:
        """Where each value was written, for messages."""
        return self._document

    def __eq__(self, other: object) -> bool:
        """Two configs are equal when they say the same, wherever it was written."""
        return isinstance(other, Config) and self.model_dump() == other.model_dump()

    def at(self, *path: str | int) -> str:
        """Return "file:line:column: key" of a value, the beginning of a message about it."""
        return f"{self._document.place(path)}: {dotted(path)}"

    def miner_entries(self) -> list[tuple[str, int, Entry]]:
        """Return (section, position, entry) of every miner, in the order in which they run."""
        return [
            (section, position, entry)
            for section in MINERS
            for position, entry in enumerate(getattr(self, section))
        ]


def load(document: Document) -> Config:
    """Validate a document.

    Raises:
        ConfigError: one line for each wrong value: file:line:column, key, value, what is allowed.
    """
    try:
        config = Config.model_validate(document.body)
    except ValidationError as error:
        raise ConfigError(explain(error, document, (), Config)) from error
    config._document = document
    _check_graphs(config, document)
    clusters.check(config)
    _check_loss(config, document)
    wrong = []
    for section, position, entry in config.miner_entries():
        try:
            build_miner(entry, document, (section, position))
        except ConfigError as error:
            wrong.append(str(error))
    if wrong:
        raise ConfigError("\n".join(wrong))
    for position in range(len(config.selection)):
        build_selector(config, position, document)
    for position, planner in enumerate(config.batches):
        build_planner(planner, document, position)
    build_mixers(config)
    return config


def build_selector(config: Config, position: int, document: Document) -> Selector:
    """Build a selector of the config; its class validates its settings."""
    entry, path = config.selection[position], ("selection", position, "selector")
    return build_component(entry.selector, SELECTORS, Selector, entry.settings, (document, path))


def build_mixers(config: Config) -> list[Mixer]:
    """Build the mixers of section `synthetic`; their classes validate their settings."""
    document = config.document
    return [
        build_component(
            entry.miner,
            MIXERS,
            Mixer,
            entry.settings,
            (document, ("synthetic", position, "miner")),
        )
        for position, entry in enumerate(config.synthetic)
    ]


def build_miner(entry: Entry, document: Document, path: tuple[str | int, ...]) -> Miner:
    """Build the miner of an entry; its class validates its settings."""
    package = MINERS[str(path[0])]
    return build_component(
        entry.miner, package, Miner, entry.settings, (document, (*path, "miner"))
    )


def build_planner(entry: BatchEntry, document: Document, position: int) -> Planner:
    """Build the planner of an entry; its class validates its settings."""
    where = (document, (BATCHES, position, "planner"))
    return build_component(entry.planner, PLANNERS, Planner, entry.settings, where)


def build_component(
    name: str,
    package: str,
    base: type[Any],
    settings: Mapping[str, Any],
    where: tuple[Document, Sequence[str | int]],
) -> Any:
    """Build the component called `name` with its settings.

    Args:
        name: a module of `package`, or "module:Class".
        package: where components of this kind stand.
        base: what the component must be.
        settings: its settings.
        where: document and path of the name, for messages.

    Raises:
        ConfigError: no such component, or settings that it refuses.
    """
    document, path = where
    try:
        found = registry.load(name, package, base)
    except ConfigError as error:
        raise ConfigError(f"{document.place(path)}: {dotted(path)}: {error}") from error
    try:
        return found(**settings)
    except ValidationError as error:
        raise ConfigError(explain(error, document, tuple(path[:-1]), found)) from error


def graph_spaces(name: str) -> tuple[str, str]:
    """Return query space and bank space of a graph's name ("image>caption").

    Raises:
        ConfigError: the name is not of that form.
    """
    query, sign, bank = name.partition(">")
    if not (query and sign and bank) or ">" in bank:
        raise ConfigError(f"{name!r} is not a graph; write QUERY>BANK, such as image>image.")
    return query, bank


def _check_loss(config: Config, document: Document) -> None:
    lines = [
        f"{document.place(('loss', key))}: loss.{key}: {text}."
        for key, text in losses.problems(config.loss.model_dump()).items()
    ]
    if lines:
        raise ConfigError("\n".join(lines))


def _view_needed(space: str, config: Config) -> str:
    view = view_of(space)
    if view is None or view[0] not in config.spaces:
        return ""
    return (
        f" It is a crop of the pictures of {view[0]!r}, whose vectors are given: give its own too "
        f"(--embeddings {space}=FILE), or an encoder for {view[0]!r}."
    )


def _check_graphs(config: Config, document: Document) -> None:
    for name in config.neighbors:
        place = document.place(("neighbors", name))
        try:
            spaces = graph_spaces(name)
        except ConfigError as error:
            raise ConfigError(f"{place}: neighbors: {error}") from error
        for space in spaces:
            if space not in config.spaces:
                known = sorted(config.spaces)
                raise ConfigError(
                    f"{place}: neighbors.{name}: no space is called {space!r}."
                    f"{registry.suggestion(space, known)}{_view_needed(space, config)} "
                    f"Spaces: {', '.join(known)}."
                )
