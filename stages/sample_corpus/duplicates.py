"""Which rows are copies of an earlier row, of what sort, and in which split a row stands."""

from __future__ import annotations

from dataclasses import dataclass

from PIL import Image, ImageEnhance

from .draws import Draws
from .render import jpeg_bytes
from .scene import burst_of

EXACT, NEAR = 0.02, 0.03
"""Shares of the rows that are exact and near duplicates."""
SPLITS: dict[str, float] = {"train": 0.9, "val": 0.05, "test": 0.05}
_EDITS = ("resized", "cropped", "brightness", "recompressed")


@dataclass(frozen=True, slots=True)
class Origin:
    """Where the picture of a row comes from.

    Attributes:
        row: the row whose scene is shown: the row itself, or an earlier one that is no duplicate.
        duplicate: `exact` (the same bytes), `near` (the same scene, edited) or None.
        edit: for a near duplicate, what was done to it; else None.
    """

    row: int
    duplicate: str | None
    edit: str | None


def origin_of(seed: int, row: int) -> Origin:
    """The origin of a row; a pure function, as everything here is."""
    draws = Draws(seed, "duplicate", row)
    point = draws.unit()
    if row == 0 or point >= EXACT + NEAR:
        return Origin(row, None, None)
    # The copy of a copy is a copy of the first.
    source = origin_of(seed, draws.below(row)).row
    if point < EXACT:
        return Origin(source, "exact", None)
    return Origin(source, "near", draws.pick(_EDITS))


def split_of(seed: int, row: int) -> str:
    """`train`, `val` or `test`: one for all frames of a scene and all their duplicates."""
    scene_id, _ = burst_of(seed, origin_of(seed, row).row)
    return Draws(seed, "split", scene_id).weighted(SPLITS)


def edited_jpeg(image: Image.Image, edit: str, draws: Draws) -> bytes:
    """A near duplicate of a picture.

    Args:
        image: the original, RGB, square.
        edit: `resized` (three quarters of the side), `cropped` (2 to 6 % off every side, then
            enlarged), `brightness` (5 to 15 % lighter or darker) or `recompressed` (quality 60).
        draws: says how strong the edit is.

    Returns:
        JPEG bytes.
    """
    side = image.width
    if edit == "resized":
        small = max(8, side * 3 // 4)
        return jpeg_bytes(image.resize((small, small), Image.Resampling.LANCZOS))
    if edit == "cropped":
        cut = side * draws.between(0.02, 0.06)
        box = (cut, cut, side - cut, side - cut)
        return jpeg_bytes(image.resize((side, side), Image.Resampling.BICUBIC, box=box))
    if edit == "brightness":
        change = draws.between(0.05, 0.15) * draws.pick((-1, 1))
        return jpeg_bytes(ImageEnhance.Brightness(image).enhance(1 + change))
    return jpeg_bytes(image, quality=60)
