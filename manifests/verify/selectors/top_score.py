"""The rule of `top_score`: the cosine of the two vectors, and the cut at the fraction."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..context import Context
from .base import Verdicts, check_scores, check_top, looked_at


def check(context: Context, described: Mapping[str, Any], verdicts: Verdicts) -> None:
    """CLIP score filtering (Gadre et al. 2023, §5.2)."""
    settings = described["settings"]
    check_top(context, described, verdicts, settings["fraction"])
    query, _, bank = settings["spaces"].partition(">")
    first, second = context.vectors(query), context.vectors(bank)
    if first is None or second is None:
        context.notes.skipped[f"scores of {described['id']}"] = "the embeddings are not readable"
        return
    for ids in looked_at(context, described["id"]):
        left, right = first.rows(ids), second.rows(ids)
        there = left.any(axis=1) & right.any(axis=1)
        expected = np.where(there, (left * right).sum(axis=1), np.nan)
        check_scores(context, described, verdicts, ids, expected)
