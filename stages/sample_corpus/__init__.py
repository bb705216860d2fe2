"""The rendered corpus that `curate sample` writes: pictures, captions, attributes and their truth.

Each row is a pure function of (seed, row): `scene_at` draws the scene, `render` paints it,
`captions_for` describes it, `record_at` puts them together and `write_corpus` writes them all.
"""

from __future__ import annotations

from .captions import captions_for
from .corpus import Written, write_corpus
from .duplicates import Origin, origin_of, split_of
from .layouts import LAYOUTS
from .records import Record, key_of, record_at
from .render import jpeg_bytes, render
from .scene import Scene, scene_at

__all__ = [
    "LAYOUTS",
    "Origin",
    "Record",
    "Scene",
    "Written",
    "captions_for",
    "jpeg_bytes",
    "key_of",
    "origin_of",
    "record_at",
    "render",
    "scene_at",
    "split_of",
    "write_corpus",
]
