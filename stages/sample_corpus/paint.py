"""Painting one thing: outline, textured body, details, shadow."""

from __future__ import annotations

from functools import lru_cache

from PIL import Image, ImageChops, ImageDraw, ImageFilter

from .drawings import DRAWINGS
from .layout import Item
from .light import LIGHTS, Rgb, mixed, near_tone, shade
from .shapes import PAINTS, Stroke
from .world import COLOURS

_SWATCH = 128
_INK = (30, 28, 38)
_VARIANT_SHADE = (1.0, 0.92, 1.1)


class Brush:
    """Draws the strokes of one thing at its place in a picture.

    Args:
        left: pixel x of the left edge of the thing's square.
        top: pixel y of its upper edge.
        side: side of the square in pixels.
        flip: whether to mirror left and right.
    """

    __slots__ = ("_flip", "_left", "_side", "_top")

    def __init__(self, left: float, top: float, side: float, flip: bool) -> None:
        self._left, self._top, self._side, self._flip = left, top, side, flip

    def _corners(self, points: tuple[float, ...]) -> list[float]:
        left, top, side = self._left, self._top, self._side
        corners = [left + p * side if i % 2 == 0 else top + p * side for i, p in enumerate(points)]
        if self._flip:
            for i in range(0, len(corners), 2):
                corners[i] = 2 * left + side - corners[i]
        return corners

    def _box(self, points: tuple[float, ...], grow: float) -> tuple[float, float, float, float]:
        x0, y0, x1, y1 = self._corners(points)
        return min(x0, x1) - grow, y0 - grow, max(x0, x1) + grow, y1 + grow

    def _angles(self, angles: tuple[float, float]) -> tuple[float, float]:
        return (180 - angles[1], 180 - angles[0]) if self._flip else angles

    def draw(
        self, pen: ImageDraw.ImageDraw, stroke: Stroke, fill: Rgb | int, grow: float = 0.0
    ) -> None:
        """Draw one stroke, `grow` pixels larger on every side."""
        width = max(1, round(stroke.extra * self._side + 2 * grow))
        if stroke.form == "poly":
            corners = self._corners(stroke.points)
            pen.polygon(corners, fill=fill)
            if grow:
                pen.line([*corners, *corners[:4]], fill=fill, width=round(2 * grow), joint="curve")
        elif stroke.form == "oval":
            pen.ellipse(self._box(stroke.points, grow), fill=fill)
        elif stroke.form == "box":
            radius = stroke.extra * self._side + grow
            pen.rounded_rectangle(self._box(stroke.points, grow), radius=radius, fill=fill)
        elif stroke.form == "line":
            pen.line(self._corners(stroke.points), fill=fill, width=width, joint="curve")
        elif stroke.form == "arc":
            start, end = self._angles(stroke.angles)
            pen.arc(self._box(stroke.points, grow), start, end, fill=fill, width=width)
        else:
            start, end = self._angles(stroke.angles)
            pen.pieslice(self._box(stroke.points, grow), start, end, fill=fill)


def _pattern(pen: ImageDraw.ImageDraw, texture: str, variant: int, colour: Rgb) -> None:
    """Draw a texture over a swatch, in one colour."""
    size = _SWATCH
    if texture == "striped":
        step = size // 6
        for edge in range(-size, 2 * size, step):
            wide = step // 2
            if variant == 0:
                pen.rectangle((0, edge, size, edge + wide), fill=colour)
            elif variant == 1:
                pen.rectangle((edge, 0, edge + wide, size), fill=colour)
            else:
                pen.line((edge, 0, edge + size, size), fill=colour, width=wide)
    elif texture == "dotted":
        step = size // 6
        for row in range(7):
            for column in range(7):
                x, y = column * step + (row % 2) * step // 2, row * step + step // 4
                pen.ellipse((x - step * 0.28, y - step * 0.28, x + step * 0.28, y + step * 0.28),
                            fill=colour)  # fmt: skip
    elif texture == "checkered":
        step = size // 8
        for row in range(8):
            for column in range(row % 2, 8, 2):
                pen.rectangle(
                    (column * step, row * step, (column + 1) * step - 1, (row + 1) * step - 1),
                    fill=colour,
                )


@lru_cache(maxsize=1)
def _modelling() -> Image.Image:
    """Light from the upper left on a body: a factor image in `L` mode."""
    down = Image.linear_gradient("L").resize((_SWATCH, _SWATCH))
    across = down.transpose(Image.Transpose.ROTATE_90)
    return ImageChops.blend(down, across, 0.35).point([255 - v * 76 // 255 for v in range(256)])


@lru_cache(maxsize=1024)
def swatch(colour: str, texture: str, variant: int, lighting: str) -> Image.Image:
    """The textured, lit surface of a body: RGB, `_SWATCH` pixels square."""
    light = LIGHTS[lighting]
    base = shade(COLOURS[colour], _VARIANT_SHADE[variant])
    other = _partner(colour)
    image = Image.new("RGB", (_SWATCH, _SWATCH), near_tone(base, light))
    _pattern(ImageDraw.Draw(image), texture, variant, near_tone(other, light))
    return ImageChops.multiply(image, Image.merge("RGB", [_modelling()] * 3))


def _partner(colour: str) -> Rgb:
    """The second colour of a texture: far from the first, yet of no other name."""
    if colour == "white":
        return 176, 180, 190
    if colour in {"yellow", "pink"}:
        return mixed(COLOURS[colour], (255, 255, 255), 0.72)
    if colour == "black":
        return 128, 130, 138
    return mixed(COLOURS[colour], (255, 255, 255), 0.66)


@lru_cache(maxsize=1)
def _puddle() -> Image.Image:
    image = Image.new("L", (96, 48), 0)
    ImageDraw.Draw(image).ellipse((14, 10, 82, 38), fill=255)
    return image.filter(ImageFilter.GaussianBlur(5))


def paint_shadow(canvas: Image.Image, item: Item, lighting: str) -> None:
    """Darken the ground under a thing, softly."""
    size = canvas.width
    wide, high = max(2, int(item.side * size * 1.15)), max(2, int(item.side * size * 0.26))
    spread = 0.7 if item.floats else 1.0
    strength = LIGHTS[lighting].shadow * spread / 255
    mask = _puddle().resize((wide, high), Image.Resampling.BILINEAR)
    mask = mask.point([int(v * strength) for v in range(256)])
    left = int(item.x * size - wide * 0.46)
    canvas.paste((14, 14, 26), (left, int(item.base * size - high * 0.62)), mask)


def paint_item(canvas: Image.Image, item: Item, lighting: str) -> None:
    """Paint one thing on an RGB canvas of any size."""
    size = canvas.width
    side = item.side * size
    left, top = item.x * size - side / 2, item.base * size - side * 0.97
    light = LIGHTS[lighting]
    base = shade(COLOURS[item.colour], _VARIANT_SHADE[item.variant])
    shades = {"dark": shade(base, 0.68), "light": shade(base, 1.42)}
    if item.colour == "black":
        shades["dark"] = (24, 24, 28)
    tones = {k: near_tone(v, light) for k, v in (PAINTS | shades).items()}
    strokes = DRAWINGS[item.kind]
    bodies = [i for i, stroke in enumerate(strokes) if stroke.paint == "body"]
    brush, pen = Brush(left, top, side, item.flip), ImageDraw.Draw(canvas)
    grow = max(0.8, side * 0.014)
    ink = (118, 120, 132) if item.colour == "black" and lighting == "night" else _INK
    for stroke in strokes[: bodies[-1] + 1]:
        brush.draw(pen, stroke, ink, grow)
    for stroke in strokes[: bodies[0]]:
        brush.draw(pen, stroke, tones[stroke.paint])
    _paint_body(canvas, item, lighting, [strokes[i] for i in bodies])
    for stroke in strokes[bodies[-1] + 1 :]:
        brush.draw(pen, stroke, tones[stroke.paint])


def _paint_body(canvas: Image.Image, item: Item, lighting: str, strokes: list[Stroke]) -> None:
    """Paint the body strokes through one mask, so that a texture runs on across them."""
    size = canvas.width
    side = item.side * size
    left, top = item.x * size - side / 2, item.base * size - side * 0.97
    edge = max(2, round(side))
    mask = Image.new("L", (edge, edge), 0)
    pen = ImageDraw.Draw(mask)
    brush = Brush(left - int(left), top - int(top), side, item.flip)
    for stroke in strokes:
        brush.draw(pen, stroke, 255)
    surface = swatch(item.colour, item.texture, item.variant, lighting)
    surface = surface.resize((edge, edge), Image.Resampling.BILINEAR)
    canvas.paste(surface, (int(left), int(top)), mask)
