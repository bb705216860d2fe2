"""Backgrounds: twelve sorts of place, each in the looks its places were given.

A background is painted from its place (`Place.look` fixes hills, windows, trees), the light and
the horizon, so a place is known again on another day, by its shapes if not by its colours.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

from PIL import Image, ImageDraw

from . import indoors, outdoors
from .draws import Draws
from .light import LIGHTS, Rgb, far_tone, shade
from .stage import Stage, Stops, gradient_column, paint_sky
from .world import INDOORS, Place

_GROUND: dict[str, tuple[Rgb, Rgb]] = {
    "beach": ((246, 226, 168), (232, 200, 132)),
    "desert": ((240, 178, 98), (214, 136, 66)),
    "farm": ((172, 186, 74), (120, 140, 50)),
    "forest": ((74, 112, 52), (44, 78, 36)),
    "garden": ((126, 190, 84), (84, 150, 60)),
    "kitchen": ((214, 164, 110), (182, 126, 76)),
    "meadow": ((152, 206, 88), (96, 164, 62)),
    "mountains": ((120, 150, 104), (84, 116, 80)),
    "room": ((176, 122, 82), (140, 92, 60)),
    "sea": ((62, 150, 196), (18, 82, 140)),
    "snow": ((250, 252, 255), (210, 224, 242)),
    "street": ((128, 130, 140), (88, 90, 100)),
}
_WALLS: tuple[Rgb, ...] = (
    (236, 214, 186), (196, 218, 210), (222, 206, 226), (240, 226, 164), (206, 216, 236),
    (232, 190, 176),
)  # fmt: skip


_FEATURES: dict[str, Callable[[Stage], None]] = {
    "beach": outdoors.beach,
    "desert": outdoors.desert,
    "farm": outdoors.farm,
    "forest": outdoors.forest,
    "garden": outdoors.garden,
    "kitchen": indoors.kitchen,
    "meadow": outdoors.meadow,
    "mountains": outdoors.mountains,
    "room": indoors.room,
    "sea": outdoors.sea,
    "snow": outdoors.snow,
    "street": outdoors.street,
}


@lru_cache(maxsize=4096)
def _column(setting: str, look: int, lighting: str, horizon: float, size: int) -> Image.Image:
    """Sky or wall above the horizon, ground below it: one pixel wide."""
    light = LIGHTS[lighting]
    near, front = (far_tone(colour, light) for colour in _GROUND[setting])
    if setting in INDOORS:
        wall = far_tone(Draws(look, "wall").pick(_WALLS), light)
        above: Stops = ((0.0, shade(wall, 0.9)), (horizon, wall))
    else:
        top, middle, low = light.sky
        above = ((0.0, top), (horizon * 0.55, middle), (horizon, low))
    return gradient_column(size, (*above, (horizon + 1e-6, near), (1.0, front)))


def paint_background(
    place: Place, lighting: str, horizon: float, grain: int, size: int
) -> Image.Image:
    """The empty place.

    Args:
        place: which place.
        lighting: a key of `light.LIGHTS`.
        horizon: fraction of the height.
        grain: fixes the sky of the day.
        size: side in pixels.

    Returns:
        A new RGB image of `size` x `size`.
    """
    horizon = round(horizon * 100) / 100  # few values, so that the columns are found again
    column = _column(place.setting, place.look, lighting, horizon, size)
    canvas = column.resize((size, size))
    stage = Stage(
        canvas=canvas,
        pen=ImageDraw.Draw(canvas),
        size=size,
        light=LIGHTS[lighting],
        lighting=lighting,
        horizon=horizon,
        draws=Draws(place.look, "features"),
    )
    if place.setting not in INDOORS:
        # A low sun is painted whole; the ground goes over its lower half.
        edge = int(horizon * size)
        ground = canvas.crop((0, edge, size, size))
        paint_sky(stage, grain)
        canvas.paste(ground, (0, edge))
    _FEATURES[place.setting](stage)
    return canvas
