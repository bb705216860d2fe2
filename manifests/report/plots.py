"""Plots as inline SVG, written by hand: they need no library, no network, and follow the theme.

Shapes are drawn in a box of 0..100 that the page stretches; text stands beside them in HTML, so
that it has one size on a phone and on a wall. Colours are CSS classes (`r-positive`, ...).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup

from ..schema import Role
from .similarity import BINS, HIGH, LOW, Series, quantile

ROLE_NAMES = {
    Role.POSITIVE: "positives",
    Role.NEGATIVE: "hard negatives",
    Role.FALSE_NEGATIVE: "false negatives",
    Role.SOFT: "soft targets",
    Role.REFUSED: "refused",
}
_EDGES = np.linspace(LOW, HIGH, BINS + 1)
_MARGIN = 2


@dataclass(frozen=True)
class Tick:
    """A mark of the shared axis: where (0..100) and what stands there."""

    at: float
    text: str
    kind: str = ""


@dataclass(frozen=True)
class Legend:
    """One role of a panel."""

    role: str
    name: str
    total: int
    median: float | None


@dataclass(frozen=True)
class Ridge:
    """One miner of a panel: its own small histogram on the shared axis."""

    role: str
    miner: str
    total: int
    without: int
    median: float | None
    svg: Markup


@dataclass(frozen=True)
class Panel:
    """The similarities of one space: all roles over each other, then one ridge a miner."""

    space: str
    svg: Markup
    ticks: list[Tick]
    marks: list[Tick]
    legend: list[Legend]
    ridges: list[Ridge]
    top: str


def similarity_panels(
    series: Sequence[Series], thresholds: dict[str, dict[str, float]]
) -> list[Panel]:
    """Return a panel for each space in which any edge has a similarity.

    Args:
        series: see `similarity.scan_edges`.
        thresholds: by graph, the calibrated similarities "attract" and "eliminate", if any.
    """
    spaces = list(dict.fromkeys(item.space for item in series if item.total))
    return [
        _panel(space, [item for item in series if item.space == space], thresholds.get(space, {}))
        for space in sorted(spaces)
    ]


def _panel(space: str, series: list[Series], thresholds: dict[str, float]) -> Panel:
    first, last = _window(series)
    roles = {
        str(role): sum((s.counts for s in series if s.role == role), np.zeros(BINS, np.int64))
        for role in ROLE_NAMES
    }
    roles = {role: counts for role, counts in roles.items() if counts.any()}
    shares = {role: counts / counts.sum() for role, counts in roles.items()}
    top = max(float(share.max()) for share in shares.values())
    shapes = [_area(shares[role][first:last], top, role) for role in reversed(roles)]
    ridges = [_ridge(item, first, last) for item in series if item.total]
    return Panel(
        space or "no graph",
        _svg(Markup("").join([*shapes, _hover(roles, first, last)])),
        _ticks(first, last),
        [
            Tick(_place(value, first, last), f"{name} {value:.2f}", name)
            for name, value in thresholds.items()
            if _EDGES[first] <= value <= _EDGES[last]
        ],
        [_legend(role, series) for role in roles],
        ridges,
        f"{top * 100:.2g}\N{NO-BREAK SPACE}%",
    )


def _legend(role: str, series: list[Series]) -> Legend:
    mine = [item for item in series if item.role == role]
    counts = sum((item.counts for item in mine), np.zeros(BINS, np.int64))
    return Legend(role, ROLE_NAMES[Role(role)], int(counts.sum()), quantile(counts, 0.5))


def _ridge(item: Series, first: int, last: int) -> Ridge:
    share = item.counts[first:last] / item.total
    svg = _svg(_area(share, float(share.max()), item.role))
    return Ridge(item.role, item.miner, item.total, item.without, item.median, svg)


def _window(series: Sequence[Series]) -> tuple[int, int]:
    used = np.flatnonzero(sum(item.counts for item in series))
    return max(int(used[0]) - _MARGIN, 0), min(int(used[-1]) + 1 + _MARGIN, BINS)


def _place(value: float, first: int, last: int) -> float:
    low, high = float(_EDGES[first]), float(_EDGES[last])
    return round(100 * (value - low) / (high - low), 2)


def _ticks(first: int, last: int) -> list[Tick]:
    width = (last - first) * (HIGH - LOW) / BINS
    step = next(step for step in (0.02, 0.05, 0.1, 0.2, 0.5) if width / step <= 8 or step == 0.5)
    low, high = float(_EDGES[first]), float(_EDGES[last])
    marks = np.arange(np.ceil(low / step - 1e-9), np.floor(high / step + 1e-9) + 1) * step
    return [Tick(_place(float(mark), first, last), f"{mark + 0.0:.2f}") for mark in marks]


def _area(shares: np.ndarray, top: float, role: str) -> Markup:
    """A stepped outline, closed on the base line; its height is `top` = 96 of 100."""
    count = len(shares)
    x = np.round(np.arange(count + 1) * 100 / count, 2)
    y = np.round(100 - 96 * shares / (top or 1), 2)
    steps = "".join(f"V{y[i]:g}H{x[i + 1]:g}" for i in range(count))
    return Markup('<path class="area r-{}" d="M0 100{}V100Z"/>').format(role, steps)


def _hover(roles: dict[str, np.ndarray], first: int, last: int) -> Markup:
    width = 100 / (last - first)
    found = []
    for at in range(first, last):
        lines = [
            f"{ROLE_NAMES[Role(role)]}: {int(counts[at]):,}"
            for role, counts in roles.items()
            if counts[at]
        ]
        if lines:
            title = "\n".join([f"{_EDGES[at]:.2f} to {_EDGES[at + 1]:.2f}", *lines])
            found.append(
                Markup(
                    '<rect class="hit" x="{}" y="0" width="{}" height="100">'
                    "<title>{}</title></rect>"
                ).format(f"{(at - first) * width:.2f}", f"{width:.2f}", title)
            )
    return Markup("").join(found)


def _svg(body: Markup) -> Markup:
    return Markup(
        '<svg viewBox="0 0 100 100" preserveAspectRatio="none" aria-hidden="true">{}</svg>'
    ).format(body)


@dataclass(frozen=True)
class Bar:
    """A bar of a bar list: `width` is 0..100 of the longest."""

    label: str
    count: int
    width: float
    detail: str = ""
    share: float = 0.0


def bars(items: Sequence[tuple[str, int]], whole: int | None = None) -> list[Bar]:
    """Return bars scaled to the longest, or to `whole` where it is given.

    A bar that is not zero is never thinner than half a hundredth.
    """
    longest = max((count for _, count in items), default=0) if whole is None else whole
    total = sum(count for _, count in items) if whole is None else whole
    return [
        Bar(
            label,
            count,
            max(round(100 * count / longest, 2), 0.5) if count and longest else 0.0,
            share=count / total if total else 0.0,
        )
        for label, count in items
    ]


def columns(items: Sequence[tuple[str, int]], slots: int) -> Markup:
    """Return upright columns of counts in the first of `slots` places, the tallest 96 of 100."""
    top = max((count for _, count in items), default=0) or 1
    width = 100 / max(len(items), slots)
    found = []
    for at, (label, count) in enumerate(items):
        height = max(96 * count / top, 0.6) if count else 0
        found.append(
            Markup(
                '<rect class="col" x="{}" y="{}" width="{}" height="{}">'
                "<title>{}: {}</title></rect>"
            ).format(
                f"{at * width + 0.08 * width:.2f}",
                f"{100 - height:.2f}",
                f"{0.84 * width:.2f}",
                f"{height:.2f}",
                label,
                f"{count:,}",
            )
        )
    return _svg(Markup("").join(found))


def interval(value: float, low: float, high: float) -> Markup:
    """Return a share and its interval on a rail that starts at 0 and ends above `high`."""
    end = min(1.0, max(0.05, 1.25 * high))
    at = [round(5 + 290 * share / end, 1) for share in (low, high, value)]
    return Markup(
        '<svg viewBox="0 0 300 14" role="img" aria-label="{} to {}">'
        '<rect class="rail" y="5" width="300" height="4" rx="2"/>'
        '<rect class="span" x="{}" y="3" width="{}" height="8" rx="4"/>'
        '<circle class="dot" cx="{}" cy="7" r="5"/></svg>'
    ).format(f"{low:.4f}", f"{high:.4f}", at[0], max(round(at[1] - at[0], 1), 1), at[2])
