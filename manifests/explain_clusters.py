"""What clusters have to do with an edge: the words and numbers of one anchor's explanation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from .lookup import SampleRows
from .pairset import Pairset
from .schema import NO_ID

_COLUMNS = ("cluster_ids", "accept_ranks")


class ClusterWords:
    """Looks up the clusters of an anchor and of its candidates, where their miner used any.

    Args:
        pairset: the pairset.
        anchor: its sample_id.
        edges: all edges of the anchor.
    """

    def __init__(self, pairset: Pairset, anchor: int, edges: Sequence[Mapping[str, Any]]) -> None:
        self._anchor = anchor
        self._known = pairset.manifest.get("clusters", {})
        miners = {item["id"]: item["settings"] for item in pairset.manifest["miners"]}
        ids: dict[str, set[int]] = {}
        for edge in edges:
            name = self._set_of(miners[edge["miner"]])
            if name is not None:
                ids.setdefault(name, {anchor}).add(edge["other_id"])
        self._rows = {
            name: SampleRows(pairset, _COLUMNS, f"clusters/{name}").rows(sorted(some - {None}))
            for name, some in ids.items()
        }

    def of(self, edge: Mapping[str, Any], settings: Mapping[str, Any]) -> dict[str, Any]:
        """Return what an explanation of an edge may say of clusters; nothing if it has none.

        Returns:
            clusters_of: name and level in words; own_cluster, other_cluster (None: in none);
            later_rank and ranked: the later accept rank of the two, and of how many.
        """
        name = self._set_of(settings)
        if name is None or edge["other_id"] is None:
            return {}
        level = int(settings.get("level", 0))
        own, other = (self._rows[name][row] for row in (self._anchor, edge["other_id"]))
        return {
            "clusters_of": f"{name}, level {level}",
            "own_cluster": _or_none(own["cluster_ids"][level]),
            "other_cluster": _or_none(other["cluster_ids"][level]),
            "later_rank": max(own["accept_ranks"][level], other["accept_ranks"][level]),
            "ranked": self._known[name]["ranked"],
        }

    def _set_of(self, settings: Mapping[str, Any]) -> str | None:
        name = settings.get("within") or settings.get("clusters")
        return name if isinstance(name, str) and name in self._known else None


def other_cluster(settings: Mapping[str, Any]) -> str:
    """Say why a candidate is refused as of another cluster."""
    where = settings.get("clusters_of", "the set")
    own, other = settings.get("own_cluster"), settings.get("other_cluster")
    if own is None:
        return f"the anchor is in no cluster ({where})"
    return f"{_named(other)}, the anchor is in {_named(own)} ({where})"


def not_accepted(settings: Mapping[str, Any]) -> str:
    """Say why two samples of one cluster never mask each other."""
    return (
        f"both in {_named(settings.get('own_cluster'))}, but accept rank "
        f"{settings.get('later_rank')} of {settings.get('ranked')} is beyond the share "
        f"{settings.get('last', 1):g} that is accepted at the end"
    )


def shared(settings: Mapping[str, Any]) -> str:
    """Name the cluster of a taken edge: "" where no clusters were used."""
    if "clusters_of" not in settings:
        return ""
    return f"both in {_named(settings['own_cluster'])} ({settings['clusters_of']})"


def accepted(edge: Mapping[str, Any], settings: Mapping[str, Any]) -> str:
    """Say from when on a false negative of a cluster holds: "" where there is no such schedule."""
    if "clusters_of" not in settings or "last" not in settings:
        return ""
    return (
        f"from progress {edge['valid_from']:.4f}, when accept rank {settings['later_rank']} of "
        f"{settings['ranked']} is reached"
    )


def _named(cluster: int | None) -> str:
    return "no cluster" if cluster is None else f"cluster {cluster}"


def _or_none(cluster: int) -> int | None:
    return None if cluster == NO_ID else cluster
