"""Strokes: the parts that drawings of things are made of.

A drawing is a tuple of strokes in a unit square, x to the right and y down, the thing standing on
the lower edge and looking to the right. Strokes are painted in order. Those of paint `body` carry
the thing's own colour and texture; `dark` and `light` are shades of that colour; all other paints
are fixed colours of `PAINTS`.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import cos, pi, sin

PAINTS: dict[str, tuple[int, int, int]] = {
    "ink": (34, 34, 42),
    "tyre": (44, 44, 50),
    "steel": (176, 184, 196),
    "glass": (176, 220, 244),
    "cream": (250, 240, 214),
    "snow": (252, 252, 252),
    "wood": (140, 92, 52),
    "bark": (112, 74, 44),
    "leaf": (70, 150, 62),
    "sun": (255, 214, 70),
    "flame": (255, 132, 30),
    "rose": (244, 140, 150),
    "coffee": (92, 56, 36),
    "slate": (92, 98, 116),
    "lime": (150, 210, 80),
}


@dataclass(frozen=True, slots=True)
class Stroke:
    """One primitive.

    Attributes:
        form: `poly`, `oval`, `box`, `line`, `arc` or `pie`.
        paint: `body`, `dark`, `light` or a key of `PAINTS`.
        points: corner coordinates x0, y0, x1, y1, ... in the unit square; the bounding box for
            `oval`, `box`, `arc` and `pie`.
        extra: corner radius of a box, width of a line or an arc, as fractions of the square.
        angles: start and end in degrees, clockwise from three o'clock, for `arc` and `pie`.
    """

    form: str
    paint: str
    points: tuple[float, ...]
    extra: float = 0.0
    angles: tuple[float, float] = (0.0, 360.0)


def poly(paint: str, *points: float) -> Stroke:
    """A filled polygon."""
    return Stroke("poly", paint, points)


def oval(paint: str, *points: float) -> Stroke:
    """A filled ellipse in a bounding box."""
    return Stroke("oval", paint, points)


def box(paint: str, x0: float, y0: float, x1: float, y1: float, radius: float = 0.0) -> Stroke:
    """A filled rectangle with round corners."""
    return Stroke("box", paint, (x0, y0, x1, y1), radius)


def line(paint: str, width: float, *points: float) -> Stroke:
    """An open line of a width."""
    return Stroke("line", paint, points, width)


def arc(paint: str, width: float, start: float, end: float, *bounds: float) -> Stroke:
    """Part of an ellipse's outline, `start` to `end` degrees."""
    return Stroke("arc", paint, bounds, width, (start, end))


def pie(paint: str, start: float, end: float, *bounds: float) -> Stroke:
    """A filled slice of an ellipse."""
    return Stroke("pie", paint, bounds, 0.0, (start, end))


def ring(points: int, inner: float, outer: float, cx: float, cy: float) -> tuple[float, ...]:
    """The corners of a star with its first tip up."""
    corners: list[float] = []
    for step in range(2 * points):
        radius = inner if step % 2 else outer
        angle = pi * step / points - pi / 2
        corners += [cx + radius * cos(angle), cy + radius * sin(angle)]
    return tuple(corners)


def petals(count: int, cx: float, cy: float, reach: float, radius: float) -> list[Stroke]:
    """Circles of paint `body` around a centre, the first on top."""
    strokes: list[Stroke] = []
    for step in range(count):
        angle = 2 * pi * step / count - pi / 2
        x, y = cx + reach * cos(angle), cy + reach * sin(angle)
        strokes.append(oval("body", x - radius, y - radius, x + radius, y + radius))
    return strokes


def wheel(x: float, y: float, r: float) -> list[Stroke]:
    """A tyre and its hub."""
    hub = 0.45 * r
    return [
        oval("tyre", x - r, y - r, x + r, y + r),
        oval("steel", x - hub, y - hub, x + hub, y + hub),
    ]


def eye(x: float, y: float, r: float) -> list[Stroke]:
    """A white circle with a pupil."""
    pupil = 0.55 * r
    return [
        oval("snow", x - r, y - r, x + r, y + r),
        oval("ink", x - pupil, y - pupil, x + pupil, y + pupil),
    ]
