"""Writes the reference pages from models, schemas and recipes: `make docs`.

config.md, format.md and recipes.md are pure functions of the code (`pages`), and
tests/docs/test_pages.py holds the committed files equal to it. A setting means what the docstring
below its field says, or its class's `Attributes:`; a column what manifests/meanings.py says.
"""

from __future__ import annotations

import ast
import dataclasses
import inspect
import re
import runpy
import sys
import textwrap
import types
from collections.abc import Iterator, Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import pyarrow as pa
from pydantic import BaseModel, BeforeValidator
from pydantic_core import PydanticUndefined

from curate.manifests import losses, schema
from curate.manifests.arrays import ArraySource
from curate.manifests.meanings import MANIFEST_KEYS, MEANINGS
from curate.manifests.questions.log import FIELDS
from curate.pipeline.config import (
    MINERS,
    MIXERS,
    PLANNERS,
    SELECTORS,
    BatchEntry,
    Config,
    Entry,
    Space,
)
from curate.pipeline.resolve import ENCODERS
from curate.stages import registry
from curate.stages.batches.base import Planner
from curate.stages.embed.base import Encoder
from curate.stages.mining.base import Miner
from curate.stages.mining.base_mixer import Mixer
from curate.stages.selection.base import Selector

HERE = Path(__file__).parent
FAMILIES: Mapping[str, tuple[str, type[Any]]] = {
    **{section: (package, Miner) for section, package in MINERS.items()},
    "synthetic": (MIXERS, Mixer),
    "batches": (PLANNERS, Planner),
    "selection": (SELECTORS, Selector),
}
"""Sections of the config that list components: the package and the base class of each."""
LAYOUTS: Mapping[str, pa.Schema] = {
    "samples": schema.samples_schema({}, accept_rank=True),
    "pairs": schema.pairs_schema({extra.present: 1 for extra in schema.PAIR_EXTRAS}),
    "edges": schema.EDGES,
    "neighbors": schema.NEIGHBORS,
    "clusters": schema.CLUSTERS,
    "assets": schema.ASSETS,
    "selection": schema.SELECTION,
    "rejects": schema.REJECTS,
}
"""All columns that a table may have, attributes aside."""
NEEDED = "(needed)"

CONFIG_HEAD = """\
# The config, key by key

Made by `make docs` from the models; do not edit. `curate init CORPUS` writes a config to start
from. Unknown keys are errors that name the nearest. `--set a.b=c` sets a key from the command line.
A size is a number of bytes or a text such as `256MB`.
"""
FORMAT_HEAD = """\
# The format `pairset/1`, column by column

Made by `make docs` from `manifests/schema.py` and `manifests/meanings.py`; do not edit. How to read
it with other tools: [reading.md](reading.md). Ids are int64; in lists of one length an empty place
is -1. A column "may be null" where it says so.
"""
QUESTIONS_HEAD = """\
## questions.jsonl

What oracles were asked and said, one JSON object a line. `curate ask` and `curate view` append to
it; no line is ever changed, no run touches it, and the manifest does not list it.
"""


def pages() -> dict[str, str]:
    """Return name and text of every page that is made."""
    pages = {"config.md": config_page(), "format.md": format_page()}
    # docs/ is no package, so its other module is run by its path.
    return {**pages, "recipes.md": runpy.run_path(str(HERE / "recipe_page.py"))["recipes_page"]()}


# ---- settings ----------------------------------------------------------------------------------


def config_page() -> str:
    """Return docs/config.md."""
    parts = [CONFIG_HEAD, _settings_table(Config, "")]
    for name, info in Config.model_fields.items():
        for part, model in _sections(name, info.annotation):
            parts.append(f"## {part.split('.')[0]}\n\n{_about(model)}")
            parts.append(_settings_table(model, f"{part}."))
    parts.append("# Encoders\n\n`spaces.NAME.encoder`; its settings stand beside it.\n")
    parts.extend(_component("encoder", *item) for item in _encoders())
    parts.append("# Losses\n\n`loss.kind`; its settings stand beside it.\n")
    parts.extend(_component("loss", *item) for item in losses.KINDS.items())
    for section, (package, base) in FAMILIES.items():
        parts.append(f"# Entries of `{section}`\n")
        for name in registry.names(package):
            parts.append(
                _component(
                    "planner" if base is Planner else "miner",
                    name,
                    registry.load(name, package, base),
                )
            )
    return "\n".join(parts).rstrip() + "\n"


def _sections(name: str, annotation: Any) -> Iterator[tuple[str, type[BaseModel]]]:
    """Yield dotted name and model of a key that holds a mapping of its own."""
    if inspect.isclass(annotation) and issubclass(annotation, BaseModel):
        yield name, annotation
    elif get_origin(annotation) is dict:
        model = get_args(annotation)[1]
        if inspect.isclass(model) and issubclass(model, BaseModel):
            yield f"{name}.{'GRAPH' if name == 'neighbors' else 'NAME'}", model


def _encoders() -> Iterator[tuple[str, type[Any]]]:
    yield "array", ArraySource
    for name in registry.names(ENCODERS):
        if name != "array":
            yield name, registry.load(name, ENCODERS, Encoder)


def _component(key: str, name: str, found: type[Any]) -> str:
    lines = [f"## {key}: {name}\n", _about(found)]
    if getattr(found, "paper", ""):
        lines.append(f"{found.paper}. Fidelity: {found.fidelity}.\n")
    rows = list(_settings(found, ""))
    lines.append(_table(("key", "type", "default", "meaning"), rows) if rows else "No settings.\n")
    return "\n".join(lines)


def _about(found: type[Any]) -> str:
    return (inspect.getdoc(found) or "").split("\n\n")[0] + "\n"


def _settings_table(model: type[Any], prefix: str) -> str:
    return _table(("key", "type", "default", "meaning"), list(_settings(model, prefix)))


def _settings(model: type[Any], prefix: str) -> Iterator[tuple[str, str, str, str]]:
    """Yield key, type, default and meaning of every setting; nested models are written out."""
    texts = meanings_of(model)
    for name, annotation, metadata, default in _fields(model):
        if model is ArraySource and name == "of":
            continue  # it is `of` of the space
        if prefix and inspect.isclass(annotation) and issubclass(annotation, BaseModel):
            yield from _settings(annotation, f"{prefix}{name}.")
            continue
        shown = _default(default)
        text = texts.get(name, "")
        text = text[:1].upper() + text[1:]
        yield f"`{prefix}{name}`", type_text(annotation, metadata), shown, text


def _fields(model: type[Any]) -> Iterator[tuple[str, Any, list[Any], Any]]:
    if dataclasses.is_dataclass(model):
        hints = inspect.get_annotations(model, eval_str=True)
        for item in dataclasses.fields(model):
            missing = item.default is dataclasses.MISSING
            default = PydanticUndefined if missing else item.default
            bounds = dict(item.metadata)
            words = bounds.pop("among", None)
            hint = Literal[words] if words else hints[item.name]  # pyright: ignore
            yield item.name, hint, [types.SimpleNamespace(**bounds)], default
        return
    for name, info in model.model_fields.items():
        default = info.default if info.default_factory is None else info.default_factory()
        yield name, info.annotation, list(info.metadata), default


def _default(value: Any) -> str:
    if value is PydanticUndefined:
        return NEEDED
    if isinstance(value, BaseModel):
        return "see below"
    if value is None:
        return "null"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, tuple | list):
        return f"`[{', '.join(str(item) for item in value)}]`"
    return f"`{value}`" if value != "" else '`""`'


def meanings_of(model: type[Any]) -> dict[str, str]:
    """Return what the settings of a class mean: by docstrings below fields, or `Attributes:`."""
    found: dict[str, str] = {}
    for owner in reversed(model.__mro__):
        if owner.__module__.split(".")[0] not in ("abc", "builtins", "pydantic"):
            found |= _attributes(inspect.getdoc(owner) or "") | _below_fields(owner)
    return found


def _below_fields(owner: type[Any]) -> dict[str, str]:
    body = ast.parse(textwrap.dedent(inspect.getsource(owner))).body[0]
    assert isinstance(body, ast.ClassDef)  # noqa: S101
    found = {}
    for field, text in zip(body.body, body.body[1:], strict=False):
        if isinstance(field, ast.AnnAssign) and isinstance(text, ast.Expr):
            value = getattr(text.value, "value", None)
            if isinstance(value, str):
                found[ast.unparse(field.target)] = " ".join(value.split())
    return found


def _attributes(docstring: str) -> dict[str, str]:
    _, _, section = docstring.partition("Attributes:\n")
    section = section.split("\n\n")[0]
    items = re.findall(r"^ {4}(\w[\w, ]*): (.*(?:\n {5,}.*)*)", section, re.MULTILINE)
    return {name: " ".join(text.split()) for names, text in items for name in names.split(", ")}


def type_text(annotation: Any, metadata: list[Any]) -> str:
    """Return a type and its bounds for people."""
    arguments, origin = get_args(annotation), get_origin(annotation)
    if origin is Annotated:
        return type_text(arguments[0], [*arguments[1:], *metadata])
    if origin in (Union, types.UnionType):
        words = [type_text(item, metadata) for item in arguments if item is not type(None)]
        return " or ".join(words + ["null"] * (type(None) in arguments))
    if origin is Literal:
        return " or ".join(f"`{item}`" for item in arguments)
    if inspect.isclass(annotation) and issubclass(annotation, StrEnum):
        return " or ".join(f"`{item}`" for item in annotation)
    if any(isinstance(mark, BeforeValidator) for mark in metadata):
        return "size" + _bounds(metadata)
    if origin is dict:
        return f"mapping of names to {type_text(arguments[1], [])}"
    if origin is tuple and arguments[-1] is not ...:
        return f"[{', '.join(type_text(item, []) for item in arguments)}]"
    if origin in (tuple, list):
        return f"list of {type_text(arguments[0], [])}" + _bounds(metadata)
    names = {int: "int", float: "number", str: "text", bool: "`true` or `false`"}
    names |= {Entry: "miners", BatchEntry: "planners", Space: "spaces"}
    if annotation in names:
        return names[annotation] + _bounds(metadata)
    return "mapping"


def _bounds(metadata: list[Any]) -> str:
    words = {"ge": "at least", "gt": "above", "le": "at most", "lt": "below"}
    marks = [item for mark in metadata for item in (mark, *getattr(mark, "metadata", ()))]
    found = [
        f"{text} {_number(getattr(mark, name))}"
        for name, text in words.items()
        for mark in marks
        if getattr(mark, name, None) is not None
    ]
    return f" ({', '.join(dict.fromkeys(found))})" if found else ""


def _number(value: float) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:g}"


# ---- the format --------------------------------------------------------------------------------


def format_page() -> str:
    """Return docs/format.md."""
    parts = [FORMAT_HEAD]
    for name, layout in LAYOUTS.items():
        parts.append(f"## {name}\n\nFiles: `{_files(name)}`.\n")
        rows = [
            (f"`{field.name}`", arrow_text(field), MEANINGS[name][field.name]) for field in layout
        ]
        if name == "pairs":
            extras = ", ".join(f"`{extra.name}`" for extra in schema.PAIR_EXTRAS)
            parts.append(f"Only where something in the run mines them: {extras}.\n")
        if name == "samples":
            note = "An attribute of the corpus, a column each: text, number or time."
            rows.append(
                (f"`{schema.ATTRIBUTE_PREFIX}NAME`", "string, double or timestamp, null", note)
            )
        parts.append(_table(("column", "type", "meaning"), rows))
    parts.append(_words())
    parts.append(QUESTIONS_HEAD)
    parts.append(_table(("field", "meaning"), [(f"`{k}`", v) for k, v in FIELDS.items()]))
    parts.append("## manifest.json\n")
    parts.append(_table(("key", "meaning"), [(f"`{k}`", v) for k, v in MANIFEST_KEYS.items()]))
    return "\n".join(parts).rstrip() + "\n"


def _files(table: str) -> str:
    folders = {"neighbors": "neighbors/QUERY_to_BANK", "clusters": "clusters/NAME"}
    return f"{folders.get(table, table)}/part-*.parquet"


def arrow_text(field: pa.Field) -> str:
    """Return the type of a column for people."""
    kind = field.type
    text = f"list of {kind.value_type}" if pa.types.is_list(kind) else str(kind)
    return f"{text}, may be null" if field.nullable else text


def _words() -> str:
    groups = {
        "edges.role": schema.Role,
        "edges.action": schema.Action,
        "edges.reason": schema.Reason,
        "rejects.code": schema.RejectCode,
    }
    rows = [
        (f"`{name}`", ", ".join(f"`{word}`" for word in words if str(word)))
        for name, words in groups.items()
    ]
    return "## Words\n\n" + _table(("column", "words"), rows)


def _table(header: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = [header, ("---",) * len(header), *rows]
    cells = [" | ".join(cell.replace("|", "\\|") for cell in row) for row in lines]
    return "".join(f"| {row} |\n" for row in cells)


def main() -> None:
    """Write the pages."""
    for name, text in pages().items():
        (HERE / name).write_text(text)
        sys.stdout.write(f"wrote docs/{name}\n")


if __name__ == "__main__":
    main()
