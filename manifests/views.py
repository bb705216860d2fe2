"""Names of views: other crops of the pictures of a space, each embedded as a space of its own.

View 3 of space "image" is space "image-view3"; the graph of its rows as queries is
"image-view3>image". A score over several views has a calibration of its own, named after both.
"""

from __future__ import annotations

import re
from typing import Literal

Aggregate = Literal["max", "mean"]
"""How similarities to several views become one score."""
_VIEW = re.compile(r"(.+)-view([1-9][0-9]?)")
_SCORE = re.compile(r"(.+)\+(max|mean)([1-9][0-9]?)")


def view_name(space: str, number: int) -> str:
    """Return the name of a view of a space."""
    return f"{space}-view{number}"


def view_of(name: str) -> tuple[str, int] | None:
    """Return the space and the number that a name of a view says; None for any other name."""
    found = _VIEW.fullmatch(name)
    return (found[1], int(found[2])) if found else None


def view_graphs(graph: str, views: int) -> tuple[str, ...]:
    """Return the graphs of the first views of the query space of `graph` ("image>image")."""
    query, _, bank = graph.partition(">")
    return tuple(f"{view_name(query, number)}>{bank}" for number in range(1, views + 1))


def score_name(graph: str, views: int, aggregate: str) -> str:
    """Return the name of a score: the graph, and how many views are joined beside it."""
    return f"{graph}+{aggregate}{views}" if views else graph


def score_of(name: str) -> tuple[str, int, Aggregate]:
    """Return graph, number of views and aggregate that the name of a score says."""
    found = _SCORE.fullmatch(name)
    if found is None:
        return name, 0, "max"
    return found[1], int(found[3]), "mean" if found[2] == "mean" else "max"
