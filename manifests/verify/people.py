"""What people and oracles said, as the pairset keeps it, with the samples that they named."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from ..pairset import PEOPLE
from .context import Context


def said(context: Context, name: str, *keys: str) -> list[dict[str, Any]]:
    """Return the records of people/<name>, each with the sample id of its keys (-1: unknown).

    Args:
        context: of the verification.
        name: of the file.
        keys: fields that hold keys of samples; field `key` gives `key_id`.
    """
    held = context.people.get(name)
    if held is None:
        path = context.pairset.root / PEOPLE / name
        rows = [json.loads(line) for line in path.read_text().splitlines()]
        ids = _ids(context, {row[key] for row in rows for key in keys})
        held = [row | {f"{key}_id": ids.get(row[key], -1) for key in keys} for row in rows]
        context.people[name] = held
    return held


def _ids(context: Context, wanted: Iterable[str]) -> dict[str, int]:
    names, found = set(wanted), {}
    for first, table in context.blocks("samples", ["key"]):
        for at, key in enumerate(table["key"].to_pylist()):
            if key in names:
                found[key] = first + at
    return found
