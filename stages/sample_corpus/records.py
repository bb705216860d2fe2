"""One row of the corpus: its picture, what a corpus says of it, and what is true of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .captions import captions_for
from .draws import Draws
from .duplicates import edited_jpeg, origin_of, split_of
from .render import jpeg_bytes, render
from .scene import scene_at


@dataclass(frozen=True, slots=True)
class Record:
    """One row.

    Attributes:
        key: `scene-00000000`, from the row.
        image: JPEG bytes.
        metadata: captions, label, labels, camera, time, lat, lon, place, split, lighting,
            viewpoint: what the corpus tells its reader.
        truth: key, row, label, scene_id, place_id, duplicate_of, duplicate_kind: what a miner
            should find out; `duplicate_of` is a key or None.
    """

    key: str
    image: bytes
    metadata: dict[str, Any]
    truth: dict[str, Any]


def key_of(row: int) -> str:
    """The key of a row."""
    return f"scene-{row:08d}"


def record_at(seed: int, row: int, image_px: int) -> Record:
    """Make one row, alone.

    Args:
        seed: the seed of the corpus.
        row: 0 or more.
        image_px: side of the picture in pixels.

    Returns:
        The record; equal arguments give equal bytes.

    Raises:
        ValueError: `image_px` is out of range.
    """
    origin = origin_of(seed, row)
    scene = scene_at(seed, origin.row)
    picture = render(scene, image_px)
    if origin.edit is None:
        image = jpeg_bytes(picture)
    else:
        image = edited_jpeg(picture, origin.edit, Draws(seed, "edit", row))
    metadata = {
        "captions": captions_for(seed, row, scene),
        "label": scene.label,
        "labels": scene.labels,
        "camera": scene.camera,
        "time": scene.time,
        "lat": scene.lat,
        "lon": scene.lon,
        "place": scene.place.name,
        "split": split_of(seed, row),
        "lighting": scene.lighting,
        "viewpoint": scene.viewpoint,
    }
    truth = {
        "key": key_of(row),
        "row": row,
        "label": scene.label,
        "scene_id": scene.scene_id,
        "place_id": scene.place.place_id,
        "duplicate_of": None if origin.duplicate is None else key_of(origin.row),
        "duplicate_kind": origin.duplicate,
    }
    return Record(key_of(row), image, metadata, truth)
