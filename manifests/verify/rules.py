"""The rules of miners, re-checked: what was taken passes them, what was refused breaks them.

Written from the tables' columns and the settings in the manifest, not from the miners' code.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..schema import REASON_CODE, Reason, Role
from .context import TOLERANCE, Context
from .join import Edges, Names
from .pairs import PairBlock

_RATIO_FLOOR = 0.1
"""Below this similarity of the positive, a ratio is held as a margin (Moreira et al. 2024)."""
_ROUNDING = 1e-6


def check_rules(context: Context, block: PairBlock, edges: Edges) -> None:
    """Re-check one block of anchors."""
    _check_membership(context, block, edges)
    _check_samples(context, edges)
    for code, described in enumerate(context.pairset.manifest["miners"]):
        mine = edges.where(edges.miner == code)
        if described["miner"] == "hard":
            _check_hard(context, mine, described)
            _check_least(context, block, edges, mine, described)
        elif described["miner"] == "topk_threshold":
            _check_threshold(context, mine, described)


def _is(edges: Edges, reason: Reason) -> np.ndarray:
    return edges.reason == REASON_CODE[reason]


def _note(context: Context, edges: Edges, check: str, wrong: np.ndarray, text: str) -> None:
    def message(at: int) -> str:
        miner = context.kinds[edges.miner[at]] if edges.miner[at] >= 0 else "?"
        return (
            f"anchor {edges.anchor[at]}, other {edges.other[at]}, miner {miner}, similarity "
            f"{edges.similarity[at]:.4f}: {text}"
        )

    context.notes.rows(check, "edges", wrong, edges.row, message)


def _check_membership(context: Context, block: PairBlock, edges: Edges) -> None:
    """What was refused as a positive (a false negative) has an edge that says so."""
    names = Names(context, block)
    pair = names.pair(names.row(edges.anchor), edges.other)
    positives, masked = pair[edges.is_positive], pair[edges.is_masked]
    for reason, known in ((Reason.POSITIVE, positives), (Reason.FALSE_NEGATIVE, masked)):
        wrong = _is(edges, reason) & ~np.isin(pair, known)
        _note(context, edges, "refusal", wrong, f"refused as {reason}, but no edge says that it is")


def _check_samples(context: Context, edges: Edges) -> None:
    """What is taken stands in the anchor's split; negatives are no duplicates of the anchor."""
    inside = context.in_range(edges.anchor) & context.in_range(edges.other)
    anchor, other = np.where(inside, edges.anchor, 0), np.where(inside, edges.other, 0)
    _, split = context.splits
    taken = inside & ~edges.is_role(Role.REFUSED)
    mixed = taken & (split[anchor] != split[other])
    _note(context, edges, "split-mixed", mixed, "another split")
    same = context.group_id[anchor] == context.group_id[other]
    wrong = taken & edges.is_role(Role.NEGATIVE) & same
    _note(context, edges, "group-contrasted", wrong, "a negative that is a near-duplicate")
    for reason, true in (
        (Reason.SELF, anchor == other),
        (Reason.DUPLICATE, same),
        (Reason.SPLIT, split[anchor] != split[other]),
    ):
        wrong = inside & _is(edges, reason) & ~true
        _note(context, edges, "refusal", wrong, f"refused as {reason}, which is not so")


def _check_hard(context: Context, edges: Edges, described: Mapping[str, Any]) -> None:
    """Positive-aware cuts of Moreira et al. (2024, §3), in float64 as the miner applies them."""
    settings = described["settings"]
    similarity = edges.similarity.astype(np.float64)
    positive = edges.positive_similarity.astype(np.float64)
    taken = edges.is_role(Role.NEGATIVE)
    cuts: dict[Reason, np.ndarray] = {}
    if settings.get("max_ratio") is not None:
        below = (1 - settings["max_ratio"]) * np.maximum(positive, _RATIO_FLOOR)
        cuts[Reason.RATIO] = positive - below
    if settings.get("min_margin") is not None:
        cuts[Reason.MARGIN] = positive - settings["min_margin"]
    if settings.get("max_similarity") is not None:
        cuts[Reason.MAX_SIMILARITY] = np.full(len(edges), float(settings["max_similarity"]))
    for reason, cut in cuts.items():
        text = f"taken, though the rule {reason} of {described['id']} refuses it"
        _note(context, edges, reason, taken & ~(similarity <= cut + _ROUNDING), text)
    for reason in (Reason.RATIO, Reason.MARGIN, Reason.MAX_SIMILARITY):
        cut = cuts.get(reason, np.full(len(edges), np.inf))
        wrong = _is(edges, reason) & ~(similarity > cut - _ROUNDING)
        _note(context, edges, "refusal", wrong, f"refused by {reason}, which it passes")
    first, behind = settings["ranks"]
    outside = (edges.rank < first) | (edges.rank >= behind)
    _note(context, edges, "rank-window", taken & outside, f"taken outside ranks {first}..{behind}")
    _note(context, edges, "refusal", _is(edges, Reason.RANK) & ~outside, "refused by rank")


def _check_least(
    context: Context, block: PairBlock, edges: Edges, mine: Edges, described: Mapping[str, Any]
) -> None:
    """Margins are held against the least similar positive of the same graph, or less."""
    spaces = {item["id"]: item["space"] for item in context.pairset.manifest["miners"]}
    codes = [c for c, name in enumerate(context.kinds) if spaces[name] == described["space"]]
    known = edges.is_positive & np.isin(edges.miner, codes) & ~np.isnan(edges.similarity)
    least = np.full(len(block.anchor), np.inf)
    names = Names(context, block)
    np.minimum.at(least, names.row(edges.anchor[known]), edges.similarity[known])
    limit = least[names.row(mine.anchor)]
    wrong = mine.positive_similarity > limit + TOLERANCE
    text = "positive_similarity is above the anchor's least similar positive"
    _note(context, mine, "positive-similarity", wrong, text)


def _check_threshold(context: Context, edges: Edges, described: Mapping[str, Any]) -> None:
    """False negative cancellation (Huynh et al. 2022, §3.2): among the k nearest and above."""
    settings = described["settings"]
    threshold = settings["threshold"]
    if threshold == "calibrated":
        found = context.pairset.manifest["thresholds"].get(described["space"], {})
        kind = "attract" if settings["action"] == "attract" else "eliminate"
        threshold = found.get(kind)
    taken = edges.is_role(Role.FALSE_NEGATIVE)
    if threshold is None:
        _note(context, edges, "threshold", taken, "taken, though nothing was calibrated")
        return
    below = edges.similarity < threshold - _ROUNDING
    _note(context, edges, "threshold", taken & below, f"taken below the threshold {threshold}")
    above = edges.similarity >= threshold + _ROUNDING
    wrong = _is(edges, Reason.THRESHOLD) & above
    _note(context, edges, "refusal", wrong, f"refused below {threshold}, which it is not")
    far = edges.rank >= settings["k"]
    _note(context, edges, "rank-window", far, f"looked at behind the {settings['k']} nearest")
