"""What Hugging Face datasets reads: Parquet with pictures in it, and the card that names it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

PICTURE = pa.struct([pa.field("bytes", pa.binary()), pa.field("path", pa.string())])
"""The Arrow type of the feature `Image`: the bytes of a file, or a path that it is read from."""
GROUP_ROWS = 64
"""Rows of a row group with pictures in it: what a reader holds at a time."""


def with_features(schema: pa.Schema) -> pa.Schema:
    """Return a schema that says which columns are pictures, as `datasets` notes it.

    Lists are noted as "Sequence", which all versions read.
    """
    features = {field.name: _feature(field.type) for field in schema}
    note = json.dumps({"info": {"features": features}})
    return schema.with_metadata({**(schema.metadata or {}), b"huggingface": note.encode()})


def _feature(kind: pa.DataType) -> dict[str, Any]:
    if kind == PICTURE:
        return {"_type": "Image"}
    if pa.types.is_list(kind):
        return {"feature": _feature(kind.value_type), "_type": "Sequence"}
    if pa.types.is_struct(kind):
        return {field.name: _feature(field.type) for field in kind}
    name = {pa.float32(): "float32", pa.float64(): "float64"}.get(kind, str(kind))
    return {"dtype": name, "_type": "Value"}


def card(configs: Mapping[str, Mapping[str, str]], title: str, text: str) -> str:
    """Return a README.md whose header tells which files are which split.

    Only Parquet is named: a hub reads a repository with one reader.

    Args:
        configs: for each config its splits, and the pattern of the files of each.
        title: of the card.
        text: below the title.
    """
    lines = ["---", "configs:"]
    for name, splits in configs.items():
        lines += [f"- config_name: {name}", "  data_files:"]
        for split, pattern in splits.items():
            lines += [f"  - split: {split}", f"    path: {pattern}"]
    return "\n".join([*lines, "---", f"# {title}", "", text.strip(), ""])


def picture(data: bytes | None, path: str | None) -> dict[str, Any]:
    """Return a value of type PICTURE."""
    return {"bytes": data, "path": path}


def patterns(folder: str, names: Sequence[str]) -> dict[str, str]:
    """Return the pattern of the files of each split in a folder."""
    return {name: f"{folder}/{name}-*.parquet" for name in names}
