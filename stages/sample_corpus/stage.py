"""A canvas with its light and horizon: what the painters of backgrounds draw on."""

from __future__ import annotations

from dataclasses import dataclass

from PIL import Image, ImageDraw

from .draws import Draws
from .light import Light, Rgb, far_tone, mixed

Stops = tuple[tuple[float, Rgb], ...]


@dataclass(slots=True)
class Stage:
    """A canvas with its light and horizon; coordinates are fractions of the picture."""

    canvas: Image.Image
    pen: ImageDraw.ImageDraw
    size: int
    light: Light
    lighting: str
    horizon: float
    draws: Draws

    def tone(self, colour: Rgb) -> Rgb:
        """The colour in this light."""
        return far_tone(colour, self.light)

    def poly(self, colour: Rgb, *points: float) -> None:
        """A filled polygon."""
        self.pen.polygon([p * self.size for p in points], fill=self.tone(colour))

    def box(self, colour: Rgb, x0: float, y0: float, x1: float, y1: float) -> None:
        """A filled rectangle; nothing when it is turned inside out (above the picture)."""
        s = self.size
        if y1 <= y0:
            return
        self.pen.rectangle((x0 * s, y0 * s, x1 * s, y1 * s), fill=self.tone(colour))

    def oval(self, colour: Rgb, x0: float, y0: float, x1: float, y1: float) -> None:
        """A filled ellipse."""
        s = self.size
        self.pen.ellipse((x0 * s, y0 * s, x1 * s, y1 * s), fill=self.tone(colour))

    def line(self, colour: Rgb, width: float, *points: float) -> None:
        """An open line."""
        wide = max(1, round(width * self.size))
        self.pen.line([p * self.size for p in points], fill=self.tone(colour), width=wide)

    def ridge(self, colour: Rgb, base: float, height: float, steps: int, sharp: bool) -> None:
        """Hills or peaks from one side of the picture to the other, standing on `base`."""
        points = [-0.1, base]
        for step in range(steps + 1):
            x = -0.1 + 1.2 * step / steps
            tall = height * self.draws.between(0.35, 1.0)
            points += [x, base - (tall if not sharp or step % 2 else tall * 0.25)]
        self.poly(colour, *points, 1.1, base)


def gradient_column(size: int, stops: Stops) -> Image.Image:
    """An RGB image of 1 x `size` whose colour runs downwards through `(y, colour)` stops."""
    rows = bytearray()
    segment = 0
    for row in range(size):
        y = row / size
        while segment + 2 < len(stops) and y >= stops[segment + 1][0]:
            segment += 1
        (y0, above), (y1, below) = stops[segment], stops[segment + 1]
        share = min(1.0, max(0.0, (y - y0) / max(1e-6, y1 - y0)))
        rows += bytes(mixed(above, below, share))
    return Image.frombytes("RGB", (1, size), bytes(rows))


def paint_sky(stage: Stage, grain: int) -> None:
    """Sun, moon, stars and clouds above the horizon; the clouds change from day to day."""
    draws = Draws(grain, "sky")
    x, size, top = draws.between(0.1, 0.9), stage.size, stage.horizon
    pen = stage.pen
    if stage.lighting == "night":
        for _ in range(26):
            px, py = draws.unit() * size, draws.unit() * top * size
            dot = size * draws.between(0.002, 0.006)
            pen.ellipse((px - dot, py - dot, px + dot, py + dot), fill=(236, 238, 255))
        r, cx, cy = 0.05 * size, x * size, 0.12 * size
        pen.ellipse((cx - r, cy - r, cx + r, cy + r), fill=(250, 244, 214))
        cut = stage.canvas.getpixel((2, int(cy)))
        pen.ellipse((cx - r * 0.4, cy - r * 1.2, cx + r * 1.5, cy + r * 0.7), fill=cut)
        return
    if stage.lighting != "overcast":
        low = stage.lighting == "dusk"
        cy, r = (top - 0.02 if low else 0.13) * size, (0.1 if low else 0.065) * size
        glow, disc = (
            ((255, 196, 110), (255, 224, 130)) if low else ((190, 224, 250), (255, 246, 190))
        )
        pen.ellipse((x * size - r * 1.5, cy - r * 1.5, x * size + r * 1.5, cy + r * 1.5), fill=glow)
        pen.ellipse((x * size - r, cy - r, x * size + r, cy + r), fill=disc)
    tint = {"day": (250, 252, 255), "dusk": (250, 168, 150), "overcast": (232, 234, 238)}
    for _ in range({"day": 2, "dusk": 2, "overcast": 6}[stage.lighting]):
        cx, cy = draws.between(-0.1, 0.9), draws.between(0.02, max(0.06, top - 0.2))
        _cloud(pen, size, cx, cy, draws.between(0.5, 1.1), tint[stage.lighting])


_PUFFS = ((0.0, 0.03, 0.04), (0.06, 0.0, 0.06), (0.13, 0.015, 0.05), (0.19, 0.035, 0.035))


def _cloud(
    pen: ImageDraw.ImageDraw, size: int, x: float, y: float, scale: float, colour: Rgb
) -> None:
    for dx, dy, r in _PUFFS:
        cx, cy, radius = (x + dx * scale) * size, (y + dy * scale) * size, r * scale * size
        area = (cx - radius, cy - radius * 0.7, cx + radius, cy + radius * 0.7)
        pen.ellipse(area, fill=colour)
