"""The ten outdoor settings, each painted over its sky and ground."""

from __future__ import annotations

from .stage import Stage


def beach(stage: Stage) -> None:
    """Sea, surf and a palm tree."""
    h = stage.horizon
    stage.box((34, 132, 196), 0, h, 1, h + 0.13)
    stage.line((130, 204, 230), 0.012, 0, h + 0.05, 1, h + 0.045)
    stage.poly(
        (250, 250, 246), 0, h + 0.12, 0.3, h + 0.145, 0.65, h + 0.12, 1, h + 0.15,
        1, h + 0.175, 0.65, h + 0.145, 0.3, h + 0.17, 0, h + 0.145,
    )  # fmt: skip
    x = stage.draws.pick((0.06, 0.93))
    stage.line((128, 92, 56), 0.026, x, h + 0.3, x + 0.02, h - 0.18)
    for dx, dy in ((-0.15, 0.03), (0.15, 0.03), (-0.1, -0.08), (0.11, -0.08), (0.0, 0.1)):
        stage.line((56, 142, 62), 0.03, x + 0.02, h - 0.19, x + 0.02 + dx, h - 0.19 + dy)


def desert(stage: Stage) -> None:
    """Dunes and two cacti."""
    h = stage.horizon
    stage.ridge((214, 150, 90), h + 0.01, 0.12, 5, sharp=False)
    stage.poly(
        (250, 196, 118), 0, h + 0.2, 0.35, h + 0.07, 0.8, h + 0.22, 1, h + 0.17, 1, h + 0.24,
        0, h + 0.3,
    )  # fmt: skip
    for _ in range(2):
        x, y = stage.draws.between(0.04, 0.96), h + stage.draws.between(0.04, 0.12)
        stage.line((70, 128, 70), 0.036, x, y, x, y - 0.22)
        stage.line((70, 128, 70), 0.026, x - 0.06, y - 0.16, x - 0.06, y - 0.09, x, y - 0.07)
        stage.line((70, 128, 70), 0.026, x + 0.06, y - 0.19, x + 0.06, y - 0.12, x, y - 0.1)


def farm(stage: Stage) -> None:
    """Furrows, a red barn and its silo."""
    h = stage.horizon
    stage.ridge((140, 176, 92), h + 0.01, 0.07, 4, sharp=False)
    for step in range(-6, 7):
        stage.line((140, 108, 50), 0.012, 0.5 + step * 0.06, h + 0.02, 0.5 + step * 0.32, 1)
    x = stage.draws.pick((0.1, 0.7))
    stage.box((172, 56, 48), x, h - 0.12, x + 0.22, h + 0.04)
    stage.poly(
        (96, 60, 56), x - 0.03, h - 0.11, x + 0.04, h - 0.2, x + 0.18, h - 0.2, x + 0.25, h - 0.11
    )
    stage.box((250, 240, 220), x + 0.07, h - 0.06, x + 0.15, h + 0.04)
    stage.box((200, 204, 212), x + 0.25, h - 0.24, x + 0.32, h + 0.03)
    stage.oval((168, 172, 184), x + 0.25, h - 0.28, x + 0.32, h - 0.2)


def forest(stage: Stage) -> None:
    """Two rows of pines."""
    h = stage.horizon
    stage.box((60, 100, 60), 0, h - 0.3, 1, h + 0.02)
    for layer, colour in enumerate(((48, 92, 58), (32, 74, 46))):
        for step in range(7):
            x = (step + 0.5 * layer) / 6.5 + stage.draws.between(-0.03, 0.03)
            y, tall = h + 0.03 + 0.05 * layer, stage.draws.between(0.34, 0.5)
            stage.box((84, 60, 40), x - 0.015, y - 0.1, x + 0.015, y)
            for part in range(3):
                wide, low = 0.095 - 0.02 * part, y - 0.05 - tall * 0.26 * part
                stage.poly(colour, x - wide, low, x + wide, low, x, low - tall * 0.42)


def garden(stage: Stage) -> None:
    """A hedge, a picket fence and flower beds."""
    h = stage.horizon
    for step in range(9):
        x = step / 8
        stage.oval((64, 132, 62), x - 0.1, h - 0.13 - 0.03 * (step % 2), x + 0.1, h + 0.06)
    for step in range(13):
        x = step / 12 - 0.02
        stage.poly(
            (250, 248, 240), x, h + 0.07, x, h - 0.07, x + 0.022, h - 0.1, x + 0.044, h - 0.07,
            x + 0.044, h + 0.07,
        )  # fmt: skip
    stage.box((250, 248, 240), 0, h - 0.03, 1, h - 0.012)
    stage.box((250, 248, 240), 0, h + 0.03, 1, h + 0.048)
    for _ in range(16):
        x, y = stage.draws.unit(), h + stage.draws.between(0.08, 0.42)
        colour = stage.draws.pick(
            ((240, 96, 120), (250, 220, 90), (250, 250, 250), (170, 110, 210))
        )
        stage.oval(colour, x - 0.014, y - 0.014, x + 0.014, y + 0.014)


def meadow(stage: Stage) -> None:
    """Hills and grass."""
    h = stage.horizon
    stage.ridge((126, 186, 104), h + 0.015, 0.1, 3, sharp=False)
    stage.poly((170, 216, 100), 0, h + 0.16, 0.4, h + 0.05, 1, h + 0.2, 1, h + 0.3, 0, h + 0.3)
    for _ in range(26):
        x, y = stage.draws.unit(), h + stage.draws.between(0.05, 0.44)
        stage.line((70, 140, 50), 0.008, x, y, x + 0.008, y - 0.035)


def mountains(stage: Stage) -> None:
    """Three peaks with snow on them."""
    h = stage.horizon
    peaks = [(stage.draws.between(-0.05, 0.25), 0.32), (stage.draws.between(0.4, 0.6), 0.42),
             (stage.draws.between(0.8, 1.05), 0.3)]  # fmt: skip
    for x, tall in peaks:
        stage.poly((112, 124, 152), x - 0.36, h + 0.02, x, h - tall, x + 0.36, h + 0.02)
        stage.poly((86, 98, 128), x, h - tall, x + 0.36, h + 0.02, x + 0.06, h + 0.02)
        cap = tall * 0.34
        top, wide = h - tall, 0.36 * 0.33
        stage.poly(
            (248, 250, 255), x - wide, top + cap, x, top, x + wide, top + cap,
            x + 0.05, top + cap * 0.7, x, top + cap * 1.05, x - 0.06, top + cap * 0.75,
        )  # fmt: skip
    stage.ridge((88, 128, 84), h + 0.03, 0.06, 6, sharp=False)


def sea(stage: Stage) -> None:
    """Waves and a far island."""
    h = stage.horizon
    x = stage.draws.between(0.1, 0.8)
    stage.poly(
        (112, 132, 112), x, h + 0.005, x + 0.07, h - 0.06, x + 0.14, h - 0.03, x + 0.22, h + 0.005
    )
    for step in range(22):
        y = h + 0.02 + 0.46 * (step / 22) ** 1.4
        px, wide = stage.draws.between(-0.1, 0.95), 0.03 + 0.1 * step / 22
        stage.line((146, 208, 232), 0.007, px, y, px + wide * 0.5, y - 0.012, px + wide, y)


def snow(stage: Stage) -> None:
    """White hills, snowed-in firs, falling snow."""
    h = stage.horizon
    stage.ridge((214, 226, 244), h + 0.015, 0.14, 4, sharp=False)
    for step in range(6):
        x, y = step / 5 + stage.draws.between(-0.07, 0.07), h + stage.draws.between(0.0, 0.05)
        for part in range(3):
            wide, low = 0.055 - 0.013 * part, y - 0.05 * part
            stage.poly((72, 112, 104), x - wide, low, x + wide, low, x, low - 0.08)
            stage.poly(
                (248, 252, 255), x - wide * 0.5, low - 0.038, x, low - 0.082, x + wide * 0.5,
                low - 0.038,
            )  # fmt: skip
    for _ in range(30):
        x, y = stage.draws.unit(), stage.draws.unit()
        stage.oval((255, 255, 255), x - 0.006, y - 0.006, x + 0.006, y + 0.006)


def street(stage: Stage) -> None:
    """A row of houses, a pavement, a road."""
    h = stage.horizon
    x = -0.04
    while x < 1.0:
        wide, tall = stage.draws.between(0.12, 0.2), stage.draws.between(0.2, 0.44)
        wall = stage.draws.pick(((178, 116, 96), (150, 160, 178), (204, 186, 150), (124, 132, 158)))
        stage.box(wall, x, h - tall, x + wide, h + 0.04)
        for row in range(int(tall / 0.075)):
            for column in range(3):
                wx, wy = x + 0.02 + column * wide * 0.3, h - tall + 0.03 + row * 0.075
                # Drawn by day too, so that the houses are the same at every hour.
                lit = stage.draws.chance(0.55) and stage.lighting in ("night", "dusk")
                fill = (255, 214, 110) if lit else stage.tone((206, 226, 240))
                area = (wx, wy, wx + wide * 0.18, wy + 0.036)
                stage.pen.rectangle([v * stage.size for v in area], fill=fill)
        x += wide + 0.008
    stage.box((176, 176, 180), 0, h + 0.04, 1, h + 0.1)
    stage.box((110, 110, 116), 0, h + 0.1, 1, h + 0.112)
    for step in range(5):
        px = step * 0.24 - 0.04
        stage.poly(
            (244, 240, 220), px, h + 0.3, px + 0.12, h + 0.3, px + 0.11, h + 0.325, px - 0.015,
            h + 0.325,
        )  # fmt: skip
