"""Small pictures as `data:` URIs, within a budget of bytes for a whole page."""

from __future__ import annotations

import base64
import io
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from PIL import Image

from ..images import ImageError, decode
from ..pairset import Pairset
from ..shards import ShardReader

PX = 112
"""Longest side of a picture."""
LARGE_PX = 168
"""Longest side of an anchor's picture."""
_QUALITY = 62
_READERS = 8


@dataclass(frozen=True)
class Thumbnail:
    """A small picture, or why there is none.

    Attributes:
        uri: `data:image/webp;base64,...`, or "".
        note: why there is no picture, for people; "" where the corpus has none.
    """

    uri: str
    width: int
    height: int
    note: str = ""


NO_IMAGE = Thumbnail("", 0, 0)
"""A sample of a corpus of vectors or texts."""
_OVER_BUDGET = Thumbnail("", 0, 0, "left out: page size")


def thumbnails(
    pairset: Pairset,
    samples: Sequence[Mapping[str, Any]],
    large: frozenset[int],
    uses: Counter[int],
    budget_bytes: int,
) -> dict[int, Thumbnail]:
    """Make the pictures of some samples.

    Args:
        pairset: where they belong.
        samples: rows of `samples`, most important first: sample_id, shard, offset, size.
        large: ids whose picture is an anchor's.
        uses: how often each picture stands on the page.
        budget_bytes: bytes of all URIs together; samples behind it go without.

    Returns:
        A thumbnail for each sample id. A picture that cannot be read has a note and no URI.
    """
    found: dict[int, Thumbnail] = {}
    spent, reader = 0, ShardReader()
    with ThreadPoolExecutor(_READERS) as pool:
        for batch in _batches(samples, 4 * _READERS):
            if spent >= budget_bytes:
                found.update({int(sample["sample_id"]): _OVER_BUDGET for sample in batch})
                continue
            sides = [LARGE_PX if int(s["sample_id"]) in large else PX for s in batch]
            made = pool.map(lambda s, side: _make(pairset, reader, s, side), batch, sides)
            for sample, thumbnail in zip(batch, made, strict=True):
                name = int(sample["sample_id"])
                spent += len(thumbnail.uri) * uses[name]
                fits = spent <= budget_bytes
                found[name] = thumbnail if fits else _OVER_BUDGET
    return found


def _batches(
    samples: Sequence[Mapping[str, Any]], size: int
) -> Iterator[Sequence[Mapping[str, Any]]]:
    for start in range(0, len(samples), size):
        yield samples[start : start + size]


def _make(pairset: Pairset, reader: ShardReader, sample: Mapping[str, Any], side: int) -> Thumbnail:
    if not sample["shard"]:
        return NO_IMAGE
    try:
        data, size = webp_of(pairset, reader, sample, side)
    except (OSError, EOFError, ImageError) as error:
        # The corpus may have moved since the run; a page with a gap says more than no page.
        return Thumbnail("", 0, 0, f"not readable: {type(error).__name__}")
    text = base64.b64encode(data).decode("ascii")
    return Thumbnail(f"data:image/webp;base64,{text}", *size)


def webp_of(
    pairset: Pairset, reader: ShardReader, sample: Mapping[str, Any], side: int
) -> tuple[bytes, tuple[int, int]]:
    """Return a sample's picture as WebP, and its width and height; longest side `side` at most.

    Raises:
        OSError: its shard cannot be read.
        EOFError: its shard ends before it.
        ImageError: it cannot be decoded.
    """
    url = pairset.shard_url(sample["shard"])
    image = decode(reader.read(url, int(sample["offset"]), int(sample["size"])))
    image.thumbnail((side, side), Image.Resampling.LANCZOS, reducing_gap=2.0)
    buffer = io.BytesIO()
    image.save(buffer, "WEBP", quality=_QUALITY, method=4)
    return buffer.getvalue(), image.size
