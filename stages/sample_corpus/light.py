"""Light: how the hour and the weather change the colours of a scene."""

from __future__ import annotations

from dataclasses import dataclass

Rgb = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Light:
    """One lighting.

    Attributes:
        sky: colours from the top of the sky to the horizon.
        far: factors (r, g, b) on the colours of the background.
        near: factors on the colours of the things; milder, so that a colour keeps its name.
        grey: how far background colours move to grey, 0 .. 1.
        shadow: strength of the shadow under a thing, 0 .. 255.
    """

    sky: tuple[Rgb, ...]
    far: tuple[float, float, float]
    near: tuple[float, float, float]
    grey: float
    shadow: int


LIGHTS: dict[str, Light] = {
    "day": Light(
        ((66, 146, 230), (128, 190, 246), (206, 232, 250)),
        (1.0, 1.0, 1.0), (1.0, 1.0, 1.0), 0.0, 120,
    ),
    "dusk": Light(
        ((82, 62, 128), (214, 96, 104), (255, 178, 92)),
        (0.86, 0.62, 0.6), (1.0, 0.86, 0.78), 0.05, 110,
    ),
    "night": Light(
        ((10, 14, 44), (24, 34, 84), (56, 70, 128)),
        (0.36, 0.42, 0.62), (0.78, 0.8, 0.94), 0.08, 130,
    ),
    "overcast": Light(
        ((150, 158, 168), (178, 184, 190), (206, 210, 212)),
        (0.78, 0.8, 0.82), (0.9, 0.91, 0.93), 0.42, 60,
    ),
}  # fmt: skip


def shade(colour: Rgb, factor: float) -> Rgb:
    """Darker for a factor below 1; above 1, mixed with white by the excess."""
    if factor <= 1.0:
        return tinted(colour, (factor, factor, factor))
    return mixed(colour, (255, 255, 255), factor - 1.0)


def tinted(colour: Rgb, factors: tuple[float, float, float]) -> Rgb:
    """Channel by channel product, cut at 255."""
    red, green, blue = (min(255, int(c * f)) for c, f in zip(colour, factors, strict=True))
    return red, green, blue


def mixed(colour: Rgb, other: Rgb, share: float) -> Rgb:
    """`share` of `other` and the rest of `colour`."""
    red, green, blue = (int(a + (b - a) * share) for a, b in zip(colour, other, strict=True))
    return red, green, blue


def far_tone(colour: Rgb, light: Light) -> Rgb:
    """A background colour seen in a light."""
    grey = sum(colour) // 3
    return tinted(mixed(colour, (grey, grey, grey), light.grey), light.far)


def near_tone(colour: Rgb, light: Light) -> Rgb:
    """The colour of a thing seen in a light."""
    return tinted(colour, light.near)
