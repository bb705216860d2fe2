"""The two indoor settings, painted over their wall and floor."""

from __future__ import annotations

from .light import shade
from .stage import Stage


def _window(stage: Stage, x: float, y: float, wide: float, tall: float) -> None:
    frame = (250, 248, 244)
    stage.box(frame, x - 0.02, y - 0.02, x + wide + 0.02, y + tall + 0.02)
    s = stage.size
    sky = stage.light.sky
    stage.pen.rectangle([v * s for v in (x, y, x + wide, y + tall)], fill=sky[1])
    stage.pen.rectangle([v * s for v in (x, y + tall * 0.55, x + wide, y + tall)], fill=sky[2])
    stage.box(frame, x + wide / 2 - 0.008, y, x + wide / 2 + 0.008, y + tall)
    stage.box(frame, x, y + tall / 2 - 0.008, x + wide, y + tall / 2 + 0.008)


def room(stage: Stage) -> None:
    """A window, a picture on the wall, a round rug."""
    h = stage.horizon
    x = stage.draws.pick((0.08, 0.62))
    _window(stage, x, h - 0.42, 0.28, 0.3)
    side = 0.5 if x < 0.5 else 0.1
    stage.box((120, 84, 56), side, h - 0.36, side + 0.3, h - 0.16)
    stage.box(stage.draws.pick(((226, 120, 90), (90, 150, 170), (230, 200, 110))),
              side + 0.02, h - 0.34, side + 0.28, h - 0.18)  # fmt: skip
    stage.poly(
        (250, 236, 200), side + 0.02, h - 0.18, side + 0.12, h - 0.28, side + 0.2, h - 0.22,
        side + 0.28, h - 0.18,
    )  # fmt: skip
    stage.box((250, 248, 242), 0, h - 0.03, 1, h + 0.01)
    rug = stage.draws.pick(((190, 70, 80), (70, 100, 160), (90, 140, 110)))
    stage.oval(rug, 0.06, h + 0.14, 0.94, h + 0.44)
    stage.oval(shade(rug, 1.3), 0.14, h + 0.17, 0.86, h + 0.41)


def kitchen(stage: Stage) -> None:
    """Tiles, cupboards, a window and a wooden table."""
    h = stage.horizon
    tile = stage.draws.pick(((246, 248, 248), (206, 230, 226), (250, 236, 206)))
    stage.box(tile, 0, h - 0.2, 1, h)
    for step in range(11):
        stage.line((190, 200, 206), 0.005, step / 10, h - 0.2, step / 10, h)
    for y in (h - 0.2, h - 0.13, h - 0.065):
        stage.line((190, 200, 206), 0.005, 0, y, 1, y)
    x = stage.draws.pick((0.1, 0.6))
    _window(stage, x, h - 0.46, 0.26, 0.2)
    side = 0.48 if x < 0.5 else 0.06
    door = stage.draws.pick(((120, 150, 140), (180, 120, 90), (110, 130, 170)))
    for step in range(2):
        left = side + 0.22 * step
        stage.box(door, left, 0.0, left + 0.2, h - 0.24)
        stage.oval((240, 230, 200), left + 0.15, h - 0.34, left + 0.18, h - 0.31)
    stage.box((150, 98, 58), 0, h, 1, h + 0.035)
    for step in range(4):
        y = h + 0.1 + step * 0.11
        stage.line((168, 116, 70), 0.007, 0, y, 1, y)
