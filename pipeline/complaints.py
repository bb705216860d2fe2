"""What is wrong with a config, in lines that name file, key, value and what is allowed."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel, ValidationError

from ..stages import registry
from .yaml_file import Document


def explain(
    error: ValidationError,
    document: Document,
    path: tuple[str | int, ...],
    owner: type[BaseModel],
) -> str:
    """Turn a validation error into lines that name file, key, value and what is allowed.

    Args:
        error: what pydantic said.
        document: where each value was written.
        path: of the mapping that was validated.
        owner: the class that validated it.
    """
    lines: list[str] = []
    for item in error.errors():
        # Tags of unions are no keys of the file; so are names of functions in the path.
        steps = (*path, *(step for step in item["loc"] if not _is_tag(step)))
        key = dotted(steps)
        text = item["msg"][0].lower() + item["msg"][1:]
        for said, meant in _PLAIN_WORDS.items():
            text = re.sub(said, meant, text)
        if item["type"] == "extra_forbidden":
            known = _known_keys(path, steps, owner)
            text = f"unknown key.{registry.suggestion(str(steps[-1]), known)}"
            text += f" Known here: {', '.join(sorted(known))}" if known else ""
        elif item["type"] == "missing":
            text = f"this key is needed; in the file, or as --set {'.'.join(map(str, steps))}=VALUE"
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


def dotted(steps: Sequence[str | int]) -> str:
    """Return a path of keys as people write it: "negatives[0].k"."""
    text = ""
    for step in steps:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else step
    return text


def _known_keys(
    base: tuple[str | int, ...], steps: tuple[str | int, ...], owner: type[BaseModel]
) -> list[str]:
    model: Any = owner
    for step in steps[len(base) : -1]:
        fields = getattr(model, "model_fields", {})
        if step not in fields:
            continue
        model = fields[step].annotation
        arguments = getattr(model, "__args__", ())
        models = [item for item in arguments if isinstance(item, type)]
        nested = [item for item in models if issubclass(item, BaseModel)]
        model = nested[0] if nested else model
    return sorted(getattr(model, "model_fields", {}))
