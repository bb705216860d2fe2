"""Where the things of a scene stand in its picture.

Positions are fractions of the picture, x to the right and y down, so a layout does not depend on
the number of pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from .draws import Draws
from .world import AIRBORNE, INDOORS, SIZES, Place

_CROWD = (1.4, 1.4, 1.15, 1.0, 0.88, 0.8)  # by number of things: a lone thing fills the picture
_ZOOM = {"front": 1.0, "close": 1.3, "far": 0.74, "left": 1.0, "right": 1.0, "above": 0.95}


@dataclass(frozen=True, slots=True)
class Group:
    """Equal things that stand together: `count` of one kind, colour, texture and size."""

    kind: str
    colour: str
    texture: str
    size: str
    count: int


@dataclass(frozen=True, slots=True)
class Item:
    """One thing in a picture.

    Attributes:
        kind: one of `world.KINDS`.
        colour: a key of `world.COLOURS`.
        texture: a key of `world.TEXTURES`.
        x: centre, fraction of the width.
        base: lower edge, fraction of the height.
        side: side of the square the thing is drawn in, fraction of the picture.
        flip: whether it looks to the left.
        floats: whether it hangs in the air and so casts no shadow at its feet.
        variant: 0, 1 or 2: which way its texture runs, and how light its colour is.
    """

    kind: str
    colour: str
    texture: str
    x: float
    base: float
    side: float
    flip: bool
    floats: bool
    variant: int


def horizon_of(place: Place, viewpoint: str) -> float:
    """Height of the horizon in the picture, as a fraction from the top."""
    lift = {"above": -0.24, "close": 0.04, "far": -0.03}.get(viewpoint, 0.0)
    return place.horizon + lift


def _baseline(kind: str, side: float, horizon: float, depth: float, indoors: bool) -> float:
    if kind in AIRBORNE and not indoors:
        return side + 0.04 + depth * max(0.04, horizon + 0.08 - side)
    return horizon + (0.985 - horizon) * (0.5 + 0.48 * depth)


def lay_out(
    groups: Sequence[Group],
    *,
    draws: Draws,
    wobble: Draws,
    frame: int,
    viewpoint: str,
    place: Place,
    primary_left: bool,
) -> tuple[Item, ...]:
    """Place every thing of every group.

    Args:
        groups: primary group first. The first stands left of all others when `primary_left`,
            and right of them otherwise.
        draws: the draws of the scene; equal for the frames of a burst.
        wobble: the draws of the frame: a hand-held camera is never still.
        frame: number of the frame; things drift a little from frame to frame.
        viewpoint: a key of `world.VIEWPOINTS`.
        place: gives the horizon.
        primary_left: see `groups`.

    Returns:
        The items, far ones first.
    """
    ordered = list(groups) if primary_left else list(reversed(groups))
    horizon = horizon_of(place, viewpoint)
    total = sum(group.count for group in groups)
    zoom = _CROWD[min(total, 5)] * _ZOOM[viewpoint] * wobble.between(0.97, 1.03)
    items: list[Item] = []
    cursor = 0.0
    for group in ordered:
        variant, flip = draws.below(3), draws.chance(0.5)
        for _ in range(group.count):
            side = min(0.8, SIZES[group.size] * zoom * draws.between(0.92, 1.08))
            depth, gap = draws.unit(), draws.between(0.0, 0.06)
            if group is not groups[0]:  # the others stand back a little
                side, depth = 0.8 * side, 0.6 * depth
            floats = group.kind in AIRBORNE and place.setting not in INDOORS
            base = _baseline(group.kind, side, horizon, depth, place.setting in INDOORS)
            centre = cursor + side * 0.5
            cursor += side * 0.94 + gap
            items.append(
                Item(
                    kind=group.kind,
                    colour=group.colour,
                    texture=group.texture,
                    x=centre,
                    base=base,
                    side=side,
                    flip=flip,
                    floats=floats,
                    variant=variant,
                )
            )
    return _fit(items, cursor, draws, wobble, frame)


def _fit(
    items: list[Item], width: float, draws: Draws, wobble: Draws, frame: int
) -> tuple[Item, ...]:
    """Squeeze the row of things into the picture, shift it, and sort it far to near."""
    shrink = min(1.0, 0.96 / width)
    slack = max(0.0, 0.96 - width * shrink)
    start = 0.02 + slack * draws.between(0.15, 0.85)
    drift = draws.between(-0.014, 0.014) * frame + wobble.between(-0.01, 0.01)
    placed: list[Item] = []
    for item in items:
        side = item.side * (0.2 + 0.8 * shrink)
        x = min(1 - 0.46 * side, max(0.46 * side, start + item.x * shrink + drift))
        base = item.base + wobble.between(-0.008, 0.008)
        placed.append(replace(item, x=x, side=side, base=base))
    return tuple(sorted(placed, key=lambda item: (item.base, item.x)))
