"""The config of a run: the YAML of contract §4 as a validated model.

Components (encoders, miners) are validated by their own classes, so a setting is defined in one
place only. Every message names file, line, key, value, and what is allowed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PrivateAttr,
    StringConstraints,
    ValidationError,
)

from ..manifests.errors import ConfigError
from ..stages import registry
from ..stages.base import Component
from ..stages.batches.base import Planner
from ..stages.clusters.settings import ClusterSettings
from ..stages.ingest.base import Fields
from ..stages.mining.base import Miner
from ..stages.mining.base_mixer import Mixer
from ..stages.selection.base import Selector
from . import clusters
from .entries import BatchEntry, Entry, SelectorEntry
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

_UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12}


def _bytes(value: Any) -> Any:
    if isinstance(value, str):
        match = re.fullmatch(r"\s*([0-9.]+)\s*([kmgt]?)i?b?\s*", value.lower())
        if match:
            return int(float(match[1]) * _UNITS[match[2]])
    return value


ByteSize = Annotated[int, BeforeValidator(_bytes)]
"""A number of bytes: 268435456, "256MB", "1.5 GB"."""


SpaceName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_-]*$")]
"""The name of a space: it becomes the name of a folder and a part of names of graphs."""


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Corpus(_Section):
    """What is read."""

    source: str
    format: str = "auto"
    fields: Fields = Fields()
    max_reject_fraction: float = Field(default=0.05, ge=0, le=1)
    max_pixels: int = Field(default=178_956_970, ge=1)


class Space(BaseModel):
    """One embedding space: what is embedded and by which encoder; other keys are the encoder's."""

    model_config = ConfigDict(frozen=True, extra="allow")

    of: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    encoder: str

    @property
    def settings(self) -> dict[str, Any]:
        """The settings of the encoder."""
        return dict(self.model_extra or {})


class Neighbors(_Section):
    """One neighbour graph."""

    k: int = Field(default=64, ge=1, le=2048)
    min_recall: float = Field(default=0.95, ge=0, le=1)
    exact_below: int | None = Field(default=None, ge=0)


class Duplicates(_Section):
    """When two samples are one picture: their group is never contrasted."""

    space: str | None = None
    threshold: float = Field(default=0.985, gt=0, le=1)


class Shards(_Section):
    """How images are packed."""

    size: ByteSize = Field(default=256 << 20, ge=1 << 20)


class Output(_Section):
    """How long the lists of a pair row are, and what is written."""

    positives: int | None = Field(default=None, ge=1, le=64)
    negatives: int = Field(default=4, ge=0, le=1024)
    false_negatives: int = Field(default=8, ge=0, le=1024)
    cluster: str | None = None
    """The set of clusters in column `cluster_id`: NAME (its finest level) or NAME.LEVEL."""
    shards: Shards = Shards()
    formats: tuple[Literal["parquet", "webdataset"], ...] = ("parquet",)


class Loss(BaseModel):
    """What the trainer must do; copied into manifest.json (algorithms.md §0.2)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    t: float = Field(default=0.1, gt=0)
    pos_in_denom: Literal["self", "all", "none"] = "self"
    tau_plus: float = Field(default=0.0, ge=0, lt=1)
    beta: float = Field(default=0.0, ge=0)


class Budget(_Section):
    """What the run may occupy."""

    memory: ByteSize | Literal["auto"] = "auto"
    disk: ByteSize | Literal["auto"] = "auto"


class Config(_Section):
    """A whole run."""

    corpus: Corpus
    spaces: dict[SpaceName, Space]
    neighbors: dict[str, Neighbors] = Field(default_factory=dict)
    duplicates: Duplicates = Duplicates()
    clusters: dict[SpaceName, ClusterSettings] = Field(default_factory=dict)
    selection: tuple[SelectorEntry, ...] = ()
    positives: tuple[Entry, ...] = ()
    negatives: tuple[Entry, ...] = ()
    false_negatives: tuple[Entry, ...] = ()
    batches: tuple[BatchEntry, ...] = ()
    soft: tuple[Entry, ...] = ()
    synthetic: tuple[Entry, ...] = ()
    loss: Loss = Loss()
    output: Output = Output()
    budget: Budget = Budget()
    mask_groups: tuple[str, ...] = ("group_id",)
    recipes: tuple[str, ...] = ()
    seed: int = Field(default=0, ge=0, lt=2**63)
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
        return f"{self._document.place(path)}: {_dotted(path)}"

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
        raise ConfigError(explain(error, document, ())) from error
    config._document = document
    _check_graphs(config, document)
    clusters.check(config)
    for section, position, entry in config.miner_entries():
        build_miner(entry, document, (section, position))
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
        raise ConfigError(f"{document.place(path)}: {_dotted(path)}: {error}") from error
    try:
        return found(**settings)
    except ValidationError as error:
        raise ConfigError(explain(error, document, tuple(path[:-1]), found)) from error


def explain(
    error: ValidationError,
    document: Document,
    path: tuple[str | int, ...],
    owner: type[Component] | None = None,
) -> str:
    """Turn a validation error into lines that name file, key, value and what is allowed."""
    lines: list[str] = []
    for item in error.errors():
        # Tags of unions are no keys of the file; so are names of functions in the path.
        steps = (*path, *(step for step in item["loc"] if not _is_tag(step)))
        key = _dotted(steps)
        text = item["msg"][0].lower() + item["msg"][1:]
        for said, meant in _PLAIN_WORDS.items():
            text = re.sub(said, meant, text)
        if item["type"] == "extra_forbidden":
            known = _known_keys(path, steps, owner)
            text = f"unknown key.{registry.suggestion(str(steps[-1]), known)}"
            text += f" Known here: {', '.join(sorted(known))}" if known else ""
        elif item["type"] == "missing":
            text = "this key is needed"
        else:
            text = f"{text} (got {item['input']!r})"
        lines.append(f"{document.place(steps)}: {key}: {text}.")
    return "\n".join(dict.fromkeys(lines))


_PLAIN_WORDS = {
    "a valid tuple": "a list",
    r"a valid dictionary( or instance of \w+)?": "a mapping (KEY: VALUE)",
    "^value error, ": "",
}
_TAG = re.compile(r"[\[\]()]|^literal|^constrained-|^int$|^str$|^float$")


def _is_tag(step: str | int) -> bool:
    return isinstance(step, str) and bool(_TAG.search(step))


def _dotted(steps: Sequence[str | int]) -> str:
    text = ""
    for step in steps:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else step
    return text


def _known_keys(
    base: tuple[str | int, ...], steps: tuple[str | int, ...], owner: type[BaseModel] | None
) -> list[str]:
    model: Any = owner or Config
    for step in steps[len(base) if owner else 0 : -1]:
        fields = getattr(model, "model_fields", {})
        if step not in fields:
            continue
        model = fields[step].annotation
        arguments = getattr(model, "__args__", ())
        models = [item for item in arguments if isinstance(item, type)]
        nested = [item for item in models if issubclass(item, BaseModel)]
        model = nested[0] if nested else model
    return sorted(getattr(model, "model_fields", {}))


def graph_spaces(name: str) -> tuple[str, str]:
    """Return query space and bank space of a graph's name ("image>caption").

    Raises:
        ConfigError: the name is not of that form.
    """
    query, sign, bank = name.partition(">")
    if not (query and sign and bank) or ">" in bank:
        raise ConfigError(f"{name!r} is not a graph; write QUERY>BANK, such as image>image.")
    return query, bank


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
                    f"{registry.suggestion(space, known)} Spaces: {', '.join(known)}."
                )
