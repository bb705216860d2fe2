"""The world the sample corpus is photographed in: kinds, colours, places, cameras, light.

Everything here is a finite vocabulary. Scenes (`scene.py`) draw from it, captions (`captions.py`)
name it and the painters (`shapes.py`, `backgrounds.py`) show it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from .draws import Draws

KINDS: tuple[str, ...] = (
    "apple", "ball", "balloon", "bird", "boat", "bus", "butterfly", "car", "cat", "chair",
    "clock", "cup", "dog", "fish", "flower", "guitar", "house", "lamp", "mushroom", "robot",
    "rocket", "star", "tree", "umbrella",
)  # fmt: skip
COLOURS: dict[str, tuple[int, int, int]] = {
    "red": (216, 44, 46),
    "orange": (246, 136, 24),
    "yellow": (252, 212, 48),
    "green": (58, 164, 70),
    "blue": (40, 96, 218),
    "purple": (134, 64, 184),
    "pink": (248, 136, 188),
    "brown": (132, 84, 48),
    "white": (246, 246, 242),
    "black": (44, 44, 50),
}
TEXTURES: dict[str, float] = {"plain": 0.6, "striped": 0.16, "dotted": 0.12, "checkered": 0.12}
SIZES: dict[str, float] = {"small": 0.25, "medium": 0.33, "large": 0.44}
LIGHTINGS: dict[str, float] = {"day": 0.4, "dusk": 0.2, "night": 0.2, "overcast": 0.2}
VIEWPOINTS: dict[str, float] = {
    "front": 0.3, "close": 0.16, "far": 0.16, "left": 0.13, "right": 0.13, "above": 0.12,
}  # fmt: skip
AIRBORNE: frozenset[str] = frozenset({"balloon", "bird", "butterfly", "rocket", "star"})

SETTINGS: tuple[str, ...] = (
    "beach", "desert", "farm", "forest", "garden", "kitchen", "meadow", "mountains", "room",
    "sea", "snow", "street",
)  # fmt: skip
"""Twelve sorts of place; each region of the world has one place of each sort."""
INDOORS: frozenset[str] = frozenset({"kitchen", "room"})

# Where a kind is mostly met. It is only a habit: a scene keeps to it in two cases of three, so
# that a class cannot be told from its background alone.
HABITS: dict[str, tuple[str, ...]] = {
    "apple": ("kitchen", "farm", "garden"),
    "ball": ("beach", "room", "meadow"),
    "balloon": ("room", "street", "meadow"),
    "bird": ("forest", "sea", "garden"),
    "boat": ("sea", "beach"),
    "bus": ("street", "farm", "mountains"),
    "butterfly": ("garden", "meadow", "forest"),
    "car": ("street", "desert", "mountains"),
    "cat": ("room", "kitchen", "garden"),
    "chair": ("room", "kitchen", "beach"),
    "clock": ("room", "kitchen", "street"),
    "cup": ("kitchen", "room"),
    "dog": ("room", "meadow", "snow"),
    "fish": ("sea", "beach", "kitchen"),
    "flower": ("garden", "meadow", "kitchen"),
    "guitar": ("room", "beach", "street"),
    "house": ("farm", "mountains", "snow"),
    "lamp": ("room", "kitchen", "street"),
    "mushroom": ("forest", "meadow", "garden"),
    "robot": ("street", "desert", "room"),
    "rocket": ("desert", "sea", "snow"),
    "star": ("mountains", "desert", "snow"),
    "tree": ("forest", "snow", "farm"),
    "umbrella": ("beach", "street", "garden"),
}

REGIONS: dict[str, tuple[float, float]] = {
    "lisbon": (38.72, -9.14),
    "oslo": (59.91, 10.75),
    "nairobi": (-1.29, 36.82),
    "kyoto": (35.01, 135.77),
    "lima": (-12.05, -77.04),
    "denver": (39.74, -104.99),
    "hobart": (-42.88, 147.33),
    "goa": (15.49, 73.83),
    "fes": (34.03, -5.0),
    "quebec": (46.81, -71.21),
}
CAMERAS_PER_REGION = 3


@dataclass(frozen=True, slots=True)
class Place:
    """One place of the world, met again and again.

    Attributes:
        place_id: 0 .. number of places - 1.
        name: the region and the sort of place, such as `oslo-beach`.
        region: a key of `REGIONS`.
        setting: one of `SETTINGS`; decides the background.
        lat: latitude in degrees north.
        lon: longitude in degrees east.
        horizon: height of the horizon in a picture, as a fraction from the top.
        look: an integer that fixes the details of the background.
    """

    place_id: int
    name: str
    region: str
    setting: str
    lat: float
    lon: float
    horizon: float
    look: int


@lru_cache(maxsize=8)
def places(seed: int) -> tuple[Place, ...]:
    """Every place of the corpus with this seed, in order of `place_id`."""
    found: list[Place] = []
    for region, (lat, lon) in REGIONS.items():
        for setting in SETTINGS:
            draws = Draws(seed, "place", region, setting)
            found.append(
                Place(
                    place_id=len(found),
                    name=f"{region}-{setting}",
                    region=region,
                    setting=setting,
                    lat=round(lat + draws.between(-0.06, 0.06), 5),
                    lon=round(lon + draws.between(-0.06, 0.06), 5),
                    horizon=draws.between(0.46, 0.58),
                    look=draws.below(1 << 30),
                )
            )
    return tuple(found)


def place_of(seed: int, region: str, setting: str) -> Place:
    """The place of a region that has the given setting."""
    index = list(REGIONS).index(region) * len(SETTINGS) + SETTINGS.index(setting)
    return places(seed)[index]
