"""The bytes behind `samples`: where (shard, offset, size) points, a picture stands."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from ..errors import CurateError
from ..images import ImageError, inspect_image
from ..shards import ShardReader
from .context import Context, drawn
from .files import is_inside

_QUICK_IMAGES = 256
_COLUMNS = ["shard", "offset", "size", "sha256", "ext", "width", "height", "key"]


def check_images(context: Context) -> None:
    """Read images (all, or 256 drawn ones), compare their hash and size, and parse them.

    Holds one image at a time.
    """
    listed = {entry["path"] for entry in context.pairset.manifest["images"]}
    reader, chosen = ShardReader(), np.arange(context.samples)
    if not context.deep:
        chosen = drawn(context.samples, _QUICK_IMAGES, "images")
    for first, block in context.blocks("samples", _COLUMNS):
        low, high = np.searchsorted(chosen, [first, first + block.num_rows])
        _check_shards(context, first, block, listed)
        for record in block.take(pa.array(chosen[low:high] - first)).to_pylist():
            row = int(chosen[low])
            low += 1
            if record["shard"]:
                problem = _problem(context, reader, record)
                context.notes.looked_at("images", 1)
                if problem:
                    message = f"{record['key']!r} in {record['shard']}: {problem[1]}"
                    context.notes.add(problem[0], "samples", row, message)


def _check_shards(context: Context, first: int, block: pa.Table, listed: set[str]) -> None:
    """A relative shard is one that the manifest lists; anything else would lead out of the root."""
    coded = block["shard"].combine_chunks().dictionary_encode()
    names = coded.dictionary.to_pylist()
    bad = {code for code, name in enumerate(names) if not _shard_is_known(context, name, listed)}
    codes = coded.indices.to_numpy(zero_copy_only=False)
    context.notes.rows(
        "shard",
        "samples",
        np.isin(codes, list(bad)),
        first,
        lambda row: f"shard {names[codes[row]]!r} is not in manifest.json",
    )


def _shard_is_known(context: Context, name: str, listed: set[str]) -> bool:
    if name == "":
        return True
    if context.pairset.shard_url(name) == name:
        return True
    return name in listed and is_inside(name)


def _problem(
    context: Context, reader: ShardReader, record: Mapping[str, Any]
) -> tuple[str, str] | None:
    """Return the check that fails and why, or None."""
    url = context.pairset.shard_url(record["shard"])
    try:
        data = reader.read(url, record["offset"], record["size"])
    except (OSError, EOFError, CurateError) as error:
        return "image-bytes", str(error)
    if record["sha256"] is not None:
        found = hashlib.sha256(data).hexdigest()
        if found != record["sha256"]:
            return "image-sha256", f"sha256 {found}, stored {record['sha256']}"
    try:
        width, height, ext = inspect_image(data)
    except ImageError as error:
        return "image-decode", f"{error.code}: {error.message}"
    if record["width"] is not None and (width, height) != (record["width"], record["height"]):
        stored = f"{record['width']} x {record['height']}"
        return "image-size", f"{width} x {height} pixels, stored {stored}"
    if ext != record["ext"]:
        return "image-ext", f"holds a {ext}, stored ext {record['ext']!r}"
    return None
