"""The rule of `cit`: above the threshold, or among the best few of a chunk."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..context import Context
from .base import Verdicts, check_scores, cosines, looked_at


def check(context: Context, described: Mapping[str, Any], verdicts: Verdicts) -> None:
    """CiT (Xu et al. 2023, Algorithm 2): accepted by threshold, else the top of the chunk."""
    settings, judged, kept = described["settings"], verdicts.judged, verdicts.kept
    threshold = np.float32(settings["threshold"])
    verdicts.note(context, described, "no-score", kept & np.isnan(verdicts.scores), "no score")
    above = judged & (verdicts.scores > threshold)
    for start in range(0, len(kept), settings["chunk"]):
        part = slice(start, start + settings["chunk"])
        least = int(np.ceil(settings["min_ratio"] * judged[part].sum() - 1e-9))
        expected = above[part]
        if expected.sum() < least:
            scores = np.where(judged[part], verdicts.scores[part], np.nan)
            there = np.flatnonzero(~np.isnan(scores))
            best = there[np.lexsort((there, -scores[there]))[:least]]
            expected = np.isin(np.arange(len(scores)), best)
        ids = start + np.arange(len(expected))
        text = "accepted or not, against the threshold and the smallest share of its chunk"
        verdicts.note(context, described, "accepted", kept[part] != expected, text, ids)
    for ids in looked_at(context, described["id"]):
        found = cosines(context, described, ids)
        if found is None:
            return
        check_scores(context, described, verdicts, ids, found.max(axis=1))
