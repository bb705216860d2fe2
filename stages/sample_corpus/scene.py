"""Scenes: what stands in a picture, where, when, and who took it.

`scene_at(seed, row)` is a pure function of its two arguments. Rows come in blocks of twelve; a
block is cut into bursts of one to five frames, and a burst is one scene: one camera, one place,
the same things, frames a few seconds apart. So a row needs only its own block, never the rows
before it, and a small corpus is the beginning of a large one.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache

from .draws import Draws
from .layout import Group, Item, lay_out
from .world import (
    CAMERAS_PER_REGION,
    COLOURS,
    HABITS,
    KINDS,
    LIGHTINGS,
    REGIONS,
    SETTINGS,
    TEXTURES,
    VIEWPOINTS,
    Place,
    place_of,
)

BLOCK = 12
_BURST_LENGTHS = {1: 0.55, 2: 0.15, 3: 0.12, 4: 0.1, 5: 0.08}
_FIRST_DAY = datetime(2023, 1, 1, tzinfo=UTC)
_DAYS = 730
_SIZE_WEIGHTS = {"small": 0.22, "medium": 0.4, "large": 0.38}
_HOURS = {"day": (9.0, 16.5), "overcast": (8.0, 17.0), "dusk": (18.3, 20.0), "night": (21.0, 28.0)}


@dataclass(frozen=True, slots=True)
class Scene:
    """One frame of one scene: all that the painter and the captions need.

    Attributes:
        row: the row of the corpus this frame was first made for.
        scene_id: equal for the frames of one burst, and for nothing else.
        frame: 0 for the first frame of the burst.
        place: where it is.
        camera: such as `oslo-cam2`.
        time: ISO 8601 in UTC, whole seconds, ending in `Z`.
        lat: measured latitude in degrees (the place's, with a few metres of error).
        lon: measured longitude in degrees.
        lighting: a key of `world.LIGHTINGS`.
        viewpoint: a key of `world.VIEWPOINTS`.
        groups: one to three groups; the first is the primary one and gives the class label.
        primary_left: whether the primary group stands left of the second (when there is one).
        items: the single things, placed in the picture, in painting order.
        grain: an integer that fixes small details (noise, clouds).
    """

    row: int
    scene_id: int
    frame: int
    place: Place
    camera: str
    time: str
    lat: float
    lon: float
    lighting: str
    viewpoint: str
    groups: tuple[Group, ...]
    primary_left: bool
    items: tuple[Item, ...]
    grain: int

    @property
    def label(self) -> str:
        """The class: the kind of the primary group."""
        return self.groups[0].kind

    @property
    def labels(self) -> list[str]:
        """Every kind in the picture, primary first."""
        return [group.kind for group in self.groups]


@lru_cache(maxsize=64)
def _bursts(seed: int, block: int) -> tuple[int, ...]:
    """The lengths of the bursts of one block; they add up to `BLOCK`."""
    draws = Draws(seed, "block", block)
    lengths: list[int] = []
    while (left := BLOCK - sum(lengths)) > 0:
        lengths.append(min(left, draws.weighted(_BURST_LENGTHS)))
    return tuple(lengths)


def burst_of(seed: int, row: int) -> tuple[int, int]:
    """The scene id and the frame number of a row (as if it were no duplicate)."""
    block, offset = divmod(row, BLOCK)
    start = 0
    for length in _bursts(seed, block):
        if offset < start + length:
            break
        start += length
    return block * BLOCK + start, offset - start


def _draw_groups(draws: Draws) -> tuple[Group, ...]:
    """One to three groups of different kinds, five things in all at most.

    The primary group is never smaller than another: the class label is what a person sees first.
    """
    many = draws.weighted({1: 0.5, 2: 0.37, 3: 0.13})
    count = draws.weighted({1: 0.55, 2: 0.22, 3: 0.15, 4: 0.08})
    count = min(count, 6 - many)
    size = draws.weighted(_SIZE_WEIGHTS)
    kinds = list(KINDS)
    groups: list[Group] = []
    for index in range(many):
        if index:
            size = "small" if size == "small" else draws.weighted({"small": 0.7, "medium": 0.3})
            spare = 5 - sum(group.count for group in groups) - (many - 1 - index)
            count = 2 if spare >= 2 and draws.chance(0.2) else 1
        groups.append(
            Group(
                kind=kinds.pop(draws.below(len(kinds))),
                colour=draws.pick(tuple(COLOURS)),
                texture=draws.weighted(TEXTURES),
                size=size,
                count=count,
            )
        )
    return tuple(groups)


@dataclass(frozen=True, slots=True)
class _Visit:
    """What the frames of one burst share."""

    groups: tuple[Group, ...]
    place: Place
    camera: str
    lighting: str
    viewpoint: str
    start: datetime
    lat: float
    lon: float
    primary_left: bool


@lru_cache(maxsize=64)
def _visit(seed: int, scene_id: int) -> _Visit:
    draws = Draws(seed, "scene", scene_id)
    groups = _draw_groups(draws)
    habit = HABITS[groups[0].kind]
    setting = draws.pick(habit) if draws.chance(0.6) else draws.pick(SETTINGS)
    region = draws.pick(tuple(REGIONS))
    place = place_of(seed, region, setting)
    lighting = draws.weighted(LIGHTINGS)
    hour = draws.between(*_HOURS[lighting])
    moment = timedelta(days=draws.below(_DAYS), seconds=int(hour * 3600))
    return _Visit(
        groups=groups,
        place=place,
        camera=f"{region}-cam{1 + draws.below(CAMERAS_PER_REGION)}",
        lighting=lighting,
        viewpoint=draws.weighted(VIEWPOINTS),
        start=_FIRST_DAY + moment,
        lat=round(place.lat + draws.between(-1e-4, 1e-4), 6),
        lon=round(place.lon + draws.between(-1e-4, 1e-4), 6),
        primary_left=draws.chance(0.5),
    )


def scene_at(seed: int, row: int) -> Scene:
    """The frame that a row shows, were it no duplicate.

    Args:
        seed: the seed of the corpus.
        row: 0 or more.

    Returns:
        The scene; it does not depend on the size of the corpus.
    """
    scene_id, frame = burst_of(seed, row)
    visit = _visit(seed, scene_id)
    draws = Draws(seed, "frame", row)
    seconds = sum(2 + Draws(seed, "gap", scene_id, step).below(6) for step in range(frame))
    moment = visit.start + timedelta(seconds=seconds)
    # A burst walks around its subject: a later frame may be taken from another side.
    viewpoint = visit.viewpoint
    if frame and draws.chance(0.35):
        viewpoint = draws.weighted(VIEWPOINTS)
    items = lay_out(
        visit.groups,
        draws=Draws(seed, "layout", scene_id),
        wobble=draws,
        frame=frame,
        viewpoint=viewpoint,
        place=visit.place,
        primary_left=visit.primary_left,
    )
    return Scene(
        row=row,
        scene_id=scene_id,
        frame=frame,
        place=visit.place,
        camera=visit.camera,
        time=moment.strftime("%Y-%m-%dT%H:%M:%SZ"),
        lat=visit.lat,
        lon=visit.lon,
        lighting=visit.lighting,
        viewpoint=viewpoint,
        groups=visit.groups,
        primary_left=visit.primary_left,
        items=items,
        grain=draws.below(1 << 30),
    )
