"""What the rules of all miners share: how a broken one is noted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ...schema import ATTRIBUTE_PREFIX, REASON_CODE, Reason
from ..context import Context
from ..join import Edges

ROUNDING = 1e-6
"""How far a similarity may be beyond a cut: tables hold float32."""
SECONDS = 1e-5
"""How far a distance in time may be beyond a cut: differences of float64 seconds since 1970."""


def is_refused(edges: Edges, reason: Reason) -> np.ndarray:
    """Say which edges were refused for a reason, bool [n]."""
    return edges.reason == REASON_CODE[reason]


def attribute(context: Context, name: str) -> np.ndarray:
    """Return the values that a miner's setting names, float64 [N]; NaN where one is missing.

    An attribute of the corpus, a column of `samples`, or NAME/DEPTH: the first steps of texts.
    """
    column, _, depth = name.partition("/")
    if column not in ("label", "uid") and not column.startswith(ATTRIBUTE_PREFIX):
        column = ATTRIBUTE_PREFIX + column
    return context.attribute(column, int(depth or 0))


def place_of(context: Context, settings: Mapping[str, Any]) -> np.ndarray:
    """Return the camera or place of each sample; one for all where the setting is null."""
    name = settings["location"]
    return np.zeros(context.samples) if name is None else attribute(context, name)


def note(context: Context, edges: Edges, check: str, wrong: np.ndarray, text: str) -> None:
    """Note the edges that break a rule.

    Args:
        context: of the verification.
        edges: [n].
        check: name of the check.
        wrong: bool [n].
        text: what is wrong with them.
    """

    def message(at: int) -> str:
        miner = context.kinds[edges.miner[at]] if edges.miner[at] >= 0 else "?"
        return (
            f"anchor {edges.anchor[at]}, other {edges.other[at]}, miner {miner}, similarity "
            f"{edges.similarity[at]:.4f}: {text}"
        )

    context.notes.rows(check, "edges", wrong, edges.row, message)
