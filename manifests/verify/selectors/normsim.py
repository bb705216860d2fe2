"""The rule of `normsim`: the norm of the cosines to the targets, and the cut at the fraction."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..context import TOLERANCE, Context
from .base import Verdicts, check_scores, check_top, cosines, looked_at


def check(context: Context, described: Mapping[str, Any], verdicts: Verdicts) -> None:
    """NormSim (Wang et al. 2024, eq. 5)."""
    settings = described["settings"]
    check_top(context, described, verdicts, settings["fraction"])
    order = 2 if settings["p"] == 2 else np.inf
    for ids in looked_at(context, described["id"]):
        found = cosines(context, described, ids)
        if found is None:
            return
        # Each cosine may be off by the rounding of float16, so a 2-norm by sqrt(T) times that.
        allowed = TOLERANCE * (found.shape[1] ** 0.5 if order == 2 else 1)
        expected = np.linalg.norm(found, ord=order, axis=1)
        check_scores(context, described, verdicts, ids, expected, allowed)
