"""From what a person typed to the config of a run: file, recipes, options, defaults.

Order of authority, strongest last: defaults, recipes, the config file, options of the command.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from ..manifests import storage
from ..manifests.errors import ConfigError, UsageError
from ..manifests.losses import DEFAULT as DEFAULT_LOSS
from ..manifests.views import view_graphs, view_of
from ..stages import registry
from ..stages.embed.base import Encoder
from . import yaml_file
from .config import BATCHES, MINERS, Config, load
from .rounds import keep_groups
from .yaml_file import Document

ENCODERS = "curate.stages.embed"
RECIPES = "curate.pipeline.recipes"
DEFAULT_RECIPE = "default"
DEFAULT_ENCODER = "open_clip"
DEFAULT_GRAPH = "image>image"
DEFAULT_K = 10
"""Neighbours that a miner over views looks at where it does not say (`topk_threshold`)."""
LISTS = (*MINERS, "synthetic")
"""Sections of the config that are lists of components; those of several recipes are joined."""
_GRAPH = re.compile(r"[^>\s]+>[^>\s]+")


@dataclass(frozen=True)
class Request:
    """What `curate run` was asked for, as typed."""

    target: str
    format: str | None = None
    recipes: Sequence[str] = ()
    sets: Sequence[str] = ()
    encoder: str | None = None
    embeddings: Sequence[str] = ()
    round_of: str | None = None


def resolve(request: Request) -> Config:
    """Return the validated config of a request.

    Raises:
        ConfigError: something is wrong with it; nothing was started.
    """
    document = _document(request.target)
    body: dict[str, Any] = copy.deepcopy(document.body)
    corpus = body.setdefault("corpus", {})
    _refuse_late_recipes(request.sets)
    if request.format and isinstance(corpus, dict):
        corpus["format"] = request.format
    names = list(request.recipes) or _recipes_of(body, document)
    if not names and not any(body.get(section) for section in LISTS):
        names = [DEFAULT_RECIPE]
    if names:
        pairs = (text.partition("=") for text in request.sets if text.startswith("loss."))
        decided = {key.removeprefix("loss."): value for key, _, value in pairs}
        _apply([recipe(name) for name in names], body, document, decided)
        body["recipes"] = names
    for text in request.sets:
        _set(body, text)
    if request.round_of is not None:
        body["round_of"] = request.round_of
    _spaces(body, request)
    _graphs(body)
    _views(body)
    keep_groups(body)
    return load(Document(document.name, body, document.lines))


def _refuse_late_recipes(sets: Sequence[str]) -> None:
    for text in sets:
        if text.split("=")[0].split(".")[0] == "recipes":
            # Recipes bring keys that --set may change, so they are applied before any --set.
            raise ConfigError(f"--set {text}: choose recipes with --recipe NAME.")


def _recipes_of(body: Mapping[str, Any], document: Document) -> list[str]:
    names = body.get("recipes") or []
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        place = document.place(("recipes",))
        raise ConfigError(f"{place}: recipes: a list of names is expected (got {names!r}).")
    return list(names)


def _document(target: str) -> Document:
    if not target.lower().endswith((".yaml", ".yml")):
        if not storage.is_remote(target) and not _exists(target):
            raise UsageError(f"{target}: there is no such folder, file or config.")
        return Document("command line", {"corpus": {"source": target}})
    try:
        text = storage.read_bytes(target).decode()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{target}: cannot be read: {error}.") from error
    return yaml_file.parse(text, target)


def _exists(target: str) -> bool:
    # Brace and glob patterns name many files; their reader says when none is there.
    return any(sign in target for sign in "{*?[") or storage.local_path(target).exists()


def _set(body: dict[str, Any], text: str) -> None:
    path, sign, value = text.partition("=")
    if not sign or not path:
        raise ConfigError(f"--set {text}: write KEY.KEY=VALUE, such as output.negatives=8.")
    steps: list[Any] = path.split(".")
    place: Any = body
    for step in steps[:-1]:
        if isinstance(place, list):
            place = _item(place, step, text)
        else:
            place = place.setdefault(step, {})
        if not isinstance(place, dict | list):
            raise ConfigError(f"--set {text}: {step} holds a value, so nothing stands below it.")
    if isinstance(place, list):
        _item(place, steps[-1], text)
        place[int(steps[-1])] = yaml_file.scalar(value)
    else:
        place[steps[-1]] = yaml_file.scalar(value)


def _item(place: list[Any], step: str, text: str) -> Any:
    if not step.isdigit() or int(step) >= len(place):
        raise ConfigError(f"--set {text}: {step!r} is not a position in a list of {len(place)}.")
    return place[int(step)]


def recipe_names() -> list[str]:
    """List the recipes that come with the package."""
    files = resources.files(RECIPES).iterdir()
    return sorted(file.name.removesuffix(".yaml") for file in files if file.name.endswith(".yaml"))


def recipe(name: str) -> Document:
    """Return a recipe by its name, or from a file.

    Raises:
        ConfigError: there is none (the text suggests the nearest), or the file cannot be read.
    """
    if name.endswith((".yaml", ".yml")):
        try:
            return yaml_file.parse(Path(name).read_text(), name)
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"recipe {name}: cannot be read: {error}.") from error
    known = recipe_names()
    if name not in known:
        raise ConfigError(
            f"no recipe is called {name!r}.{registry.suggestion(name, known)} "
            f"Known: {', '.join(known)}."
        )
    text = resources.files(RECIPES).joinpath(f"{name}.yaml").read_text()
    return yaml_file.parse(text, f"recipe {name}")


def _apply(
    recipes: Sequence[Document],
    body: dict[str, Any],
    document: Document,
    decided: Mapping[str, str],
) -> None:
    runs = [(item.body.get("name", item.name), item.body.get("run") or {}) for item in recipes]
    for section in ("selection", *LISTS, BATCHES):
        entries = body.setdefault(section, [])
        if not isinstance(entries, list):
            place = document.place((section,))
            kinds = {"selection": "selectors", BATCHES: "planners"}
            what = kinds.get(section, "miners")
            raise ConfigError(f"{place}: {section}: a list of {what} is expected.")
        for _, run in runs:
            entries.extend(entry for entry in run.get(section, ()) if entry not in entries)
    for _, run in runs:
        for section in ("neighbors", "clusters"):
            _fill(body.setdefault(section, {}), run.get(section) or {})
        if run.get("generate"):
            _fill(body.setdefault("generate", {}), run["generate"])
    masks = [name for _, run in runs for name in run.get("mask_groups") or ()]
    if masks:
        # One row serves all recipes, so what any of them must not contrast is masked for all.
        body.setdefault("mask_groups", list(dict.fromkeys(masks)))
    lengths: dict[str, Any] = {}
    for _, run in runs:
        for key, value in (run.get("output") or {}).items():
            known = lengths.setdefault(key, value)
            lengths[key] = known if isinstance(value, str) else max(known, value)
    if len(runs) > 1:
        # Several recipes share one row: its positives are those of all of them.
        lengths.pop("positives", None)
    _fill(body.setdefault("output", {}), lengths)
    own = {**(body.setdefault("loss", {}) or {}), **decided}
    _fill(body["loss"], _one_loss(runs, own))


def _one_loss(
    runs: Sequence[tuple[str, Mapping[str, Any]]], chosen: Mapping[str, Any]
) -> dict[str, Any]:
    loss: dict[str, Any] = {}
    owner: dict[str, str] = {}
    for name, run in runs:
        wanted = run.get("loss") or {}
        if wanted:
            wanted = {"kind": DEFAULT_LOSS, **wanted}
        if wanted and chosen.get("kind", wanted["kind"]) != wanted["kind"]:
            continue  # Settings of one kind mean nothing to another.
        for key, value in wanted.items():
            if key in loss and loss[key] != value and key not in chosen:
                raise ConfigError(
                    f"recipes {owner[key]} and {name} want different losses: {key} is "
                    f"{loss[key]!r} and {value!r}. Choose with --set loss.{key}=VALUE."
                )
            loss.setdefault(key, value)
            owner.setdefault(key, name)
    return loss


def _fill(target: Any, defaults: Mapping[str, Any]) -> None:
    for key, value in defaults.items():
        if isinstance(target, dict) and isinstance(value, Mapping):
            _fill(target.setdefault(key, {}), value)
        elif isinstance(target, dict):
            target.setdefault(key, copy.deepcopy(value))


def _spaces(body: dict[str, Any], request: Request) -> None:
    spaces = body.setdefault("spaces", {})
    if not isinstance(spaces, dict):
        return
    given: dict[str, dict[str, Any]] = {}
    for name, space in map(_embedding, request.embeddings):
        if name in given:
            raise ConfigError(f"--embeddings {name}=...: given twice; one space has one source.")
        given[name] = space
    if not spaces and not given:
        chosen = encoder_settings(request.encoder or DEFAULT_ENCODER)
        spaces.update({of: {"of": of, **chosen} for of in _modalities(chosen["encoder"])})
    elif request.encoder:
        chosen = encoder_settings(request.encoder)
        _replace(spaces, chosen, request.encoder)
    spaces.update(given)


def _replace(spaces: dict[str, Any], chosen: Mapping[str, Any], typed: str) -> None:
    """Give the spaces that an encoder can make to it; arrays and other modalities stay."""
    modalities = _modalities(chosen["encoder"])
    replaced = False
    for name in list(spaces) or modalities:
        space = spaces.get(name)
        array = isinstance(space, dict) and space.get("encoder") == "array"
        of = space.get("of", name) if isinstance(space, dict) else name
        if not array and of in modalities:
            view = space.get("view") if isinstance(space, dict) else None
            spaces[name] = {"of": of, **chosen, **({"view": view} if view else {})}
            replaced = True
    if not replaced:
        raise ConfigError(
            f"--encoder {typed}: it embeds {', '.join(modalities)}, and the config has no such "
            f"space to encode (it has: {', '.join(spaces)})."
        )


def _modalities(encoder: str) -> Sequence[str]:
    """Return what an encoder embeds; an unknown one is refused later, where its place is known."""
    try:
        return registry.load(encoder, ENCODERS, Encoder).modalities
    except ConfigError:
        return Encoder.modalities


def _embedding(text: str) -> tuple[str, dict[str, Any]]:
    name, sign, path = text.partition("=")
    if not sign or not name or not path:
        raise ConfigError(f"--embeddings {text}: write SPACE=FILE, such as image=vectors.npy.")
    of = "caption" if name.startswith("caption") else "image" if name.startswith("image") else name
    return name, {"of": of, "encoder": "array", "path": path}


def encoder_settings(text: str) -> dict[str, Any]:
    """Return the config keys of an encoder as typed: NAME, or open_clip:MODEL[/PRETRAINED].

    Examples: "builtin", "open_clip:ViT-B-16/openai", "open_clip:local-dir:/models/my-clip",
    "onnx:encoder.onnx", "checkpoint:out/train".
    """
    name, _, rest = text.partition(":")
    if not rest:
        return {"encoder": name}
    if name in ("onnx", "checkpoint"):
        return {"encoder": name, "path": rest}
    if rest.startswith("local-dir:"):
        return {"encoder": name, "model": rest}
    model, _, pretrained = rest.partition("/")
    return {"encoder": name, "model": model, **({"pretrained": pretrained} if pretrained else {})}


def _graphs(body: dict[str, Any]) -> None:
    graphs = body.setdefault("neighbors", {})
    if not isinstance(graphs, dict):
        return
    for section in (*LISTS, BATCHES):
        for entry in body.get(section) or ():
            for name in _graphs_of(entry):
                graphs.setdefault(name, {})
    for name, k in _graphs_of_views(body).items():
        graphs.setdefault(name, {"k": k})
    if not graphs and "image" in (body.get("spaces") or {}):
        graphs[DEFAULT_GRAPH] = {}


def _graphs_of_views(body: Mapping[str, Any]) -> dict[str, int]:
    """Return the graphs of views that miners ask for by number, and the k that suffices."""
    found: dict[str, int] = {}
    for section in MINERS:
        for entry in body.get(section) or ():
            given = entry if isinstance(entry, dict) else {}
            views, k = given.get("views"), given.get("k", DEFAULT_K)
            if isinstance(views, int) and isinstance(k, int) and 0 < views < 100 and k > 0:
                for name in view_graphs(str(given.get("space", DEFAULT_GRAPH)), views):
                    found[name] = max(k, found.get(name, 0))
    return found


def _views(body: dict[str, Any]) -> None:
    """Add the views of encoded spaces that graphs name: other crops, by the same encoder."""
    spaces, graphs = body.get("spaces"), body.get("neighbors")
    if not isinstance(spaces, dict) or not isinstance(graphs, dict):
        return
    for name in dict.fromkeys(part for graph in graphs for part in str(graph).split(">")):
        view = view_of(name)
        space = spaces.get(view[0]) if view and name not in spaces else None
        if view and isinstance(space, dict) and space.get("encoder") != "array":
            spaces[name] = {**space, "view": view[1]}


def _graphs_of(entry: Any) -> Iterator[str]:
    """Yield the graphs that a component's settings name: whatever reads QUERY>BANK."""
    for value in entry.values() if isinstance(entry, dict) else ():
        for name in value if isinstance(value, list) else [value]:
            if isinstance(name, str) and _GRAPH.fullmatch(name):
                yield name
