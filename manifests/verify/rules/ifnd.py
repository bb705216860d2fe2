"""The rule of `ifnd`: one cluster, and the progress at which both samples are accepted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ...schema import NO_ID, Reason, Role
from ..context import Context
from ..join import Edges
from ..pairs import PairBlock
from .base import is_refused, note
from .cluster import of_edges

_ROUNDING = 1e-6
"""Forgives the last bits of share * N."""


def check(
    context: Context, block: PairBlock, edges: Edges, mine: Edges, described: Mapping[str, Any]
) -> None:
    """Re-check a block of anchors (Chen et al. 2022; algorithms.md §3.6)."""
    del block, edges
    settings = described["settings"]
    name, level = settings["clusters"], settings["level"]
    own, other = of_edges(context, mine, name, level)
    same = (own == other) & (own != NO_ID)
    taken = mine.is_role(Role.FALSE_NEGATIVE)
    note(context, mine, "other-cluster", taken & ~same, f"taken out of cluster {name}")
    wrong = is_refused(mine, Reason.OTHER_CLUSTER) & same
    note(context, mine, "refusal", wrong, "refused as of another cluster, which is the anchor's")
    ranked = context.pairset.manifest["clusters"][name]["ranked"]
    later = np.maximum(*of_edges(context, mine, name, level, "accept_ranks"))
    never = later >= np.floor(settings["last"] * ranked)
    note(context, mine, "acceptance", taken & never, "taken, though it is never accepted")
    wrong = is_refused(mine, Reason.NOT_ACCEPTED) & ~never
    note(context, mine, "refusal", wrong, "refused as never accepted, which it is")
    early = taken & ~_accepted(settings, mine.valid_from, later, ranked)
    note(context, mine, "valid-from", early, "holds before both samples are accepted")
    sooner = np.maximum(mine.valid_from - 1e-6, 0)
    late = taken & (mine.valid_from > 1e-6) & _accepted(settings, sooner, later, ranked)
    note(context, mine, "valid-from", late, "both samples are accepted before it holds")


def _accepted(
    settings: Mapping[str, Any], progress: np.ndarray, rank: np.ndarray, ranked: int
) -> np.ndarray:
    """Say whether rank < floor(r(p) * ranked)."""
    first, last = settings["first"], settings["last"]
    share = first + (last - first) * progress.astype(np.float64)
    return rank < np.floor(share * ranked + _ROUNDING)
