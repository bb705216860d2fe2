"""The rule of `knn` within clusters: the members of the set share the anchor's cluster."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...schema import NO_ID, Reason, Role
from ..context import Context
from ..join import Edges
from ..pairs import PairBlock
from .base import is_refused, note
from .cluster import of_edges


def check(
    context: Context, block: PairBlock, edges: Edges, mine: Edges, described: Mapping[str, Any]
) -> None:
    """Re-check a block of anchors (Tejankar et al. 2022: CMSF-KM)."""
    del block, edges
    settings = described["settings"]
    if settings.get("within") is None:
        return
    own, other = of_edges(context, mine, settings["within"], settings["level"])
    same = (own == other) & (own != NO_ID)
    taken = mine.is_role(Role.POSITIVE) & ~same
    note(context, mine, "other-cluster", taken, f"taken out of cluster {settings['within']}")
    wrong = is_refused(mine, Reason.OTHER_CLUSTER) & same
    note(context, mine, "refusal", wrong, "refused as of another cluster, which is the anchor's")
