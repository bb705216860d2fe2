"""How likely two samples show the same, from what a pairset holds: what questions are chosen by."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..agreement import QUANTILE, random_similarities
from ..errors import UsageError
from ..pairset import Pairset
from ..schema import CLUSTERS_PREFIX, NO_ID, list_matrix

CALIBRATED, SOFT_ASSIGNMENT, COSINE = "calibrated", "soft assignment", "cosine"

Chances = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]
"""(left int64 [n], right int64 [n], cosine float32 [n]) -> p_same, float64 [n]."""


@dataclass(frozen=True)
class Chance:
    """A rule for p_same.

    Attributes:
        source: CALIBRATED, SOFT_ASSIGNMENT or COSINE.
        why: the rule in a sentence, for people.
        of: the rule.
    """

    source: str
    why: str
    of: Chances


@dataclass(frozen=True)
class Clusters:
    """One level of a set of clusters: ids int32 [N] (-1 for none), confidences float32 [N]."""

    name: str
    ids: np.ndarray
    confidences: np.ndarray

    @classmethod
    def read(cls, pairset: Pairset, name: str) -> Clusters:
        """Read the finest level of a set: 8 bytes a sample."""
        ids, sure = [np.zeros(0, np.int32)], [np.zeros(0, np.float32)]
        for block in pairset.tables(CLUSTERS_PREFIX + name, ["cluster_ids", "confidences"]):
            ids.append(list_matrix(block["cluster_ids"])[:, 0].astype(np.int32))
            sure.append(list_matrix(block["confidences"])[:, 0].astype(np.float32))
        return cls(name, np.concatenate(ids), np.concatenate(sure))

    @property
    def count(self) -> int:
        """Clusters."""
        return int(self.ids.max(initial=-1)) + 1

    def cells(self, left: np.ndarray, right: np.ndarray) -> np.ndarray:
        """Return the unordered pair of clusters of each pair, one int64; none is a cluster too."""
        a, b = (self.ids[side].astype(np.int64) + 1 for side in (left, right))
        return np.minimum(a, b) * (self.count + 1) + np.maximum(a, b)

    def agreement(self, left: np.ndarray, right: np.ndarray) -> np.ndarray:
        """Return the chance that two soft assignments fall into one cluster, float64 [n].

        sum_c P(c | a) P(c | b), where a sample is in its own cluster with its confidence, and the
        rest is spread evenly over the others: only the first is stored. 0 where one is in none.
        """
        others = max(self.count - 1, 1)
        own = [self.confidences[side].astype(np.float64) for side in (left, right)]
        a, b = own
        same = a * b + (1 - a) * (1 - b) / others
        across = (a * (1 - b) + (1 - a) * b) / others
        across += (1 - a) * (1 - b) * max(self.count - 2, 0) / others**2
        there = (self.ids[left] != NO_ID) & (self.ids[right] != NO_ID)
        return np.where(there, np.where(self.ids[left] == self.ids[right], same, across), 0.0)


def choose_graph(pairset: Pairset, asked: str | None) -> str:
    """Return the graph whose pairs are asked about: the one asked for, else the best calibrated.

    Raises:
        UsageError: there is none between samples of one space.
    """
    graphs = pairset.manifest["neighbors"]
    fits = [name for name, entry in graphs.items() if entry["query"] == entry["bank"]]
    named = f"{asked}>{asked}" if asked is not None and ">" not in asked else asked
    if named is not None and named in fits:
        return named
    if not fits or named is not None:
        known = ", ".join(name.partition(">")[0] for name in fits) or "none"
        wanted = f"no neighbour graph of space {asked!r}" if asked else "no neighbour graph"
        raise UsageError(
            f"{pairset.root} has {wanted} from samples to samples; questions are asked about "
            f'neighbours. Spaces with one: {known}. Add neighbors: {{"image>image": {{k: 32}}}}.'
        )
    return next((name for name in fits if _curve(pairset, name)), fits[0])


def chance_of(pairset: Pairset, graph: str, clusters: Clusters | None) -> Chance:
    """Return the rule for p_same in a graph.

    The calibration curve of the manifest (precision as a function of similarity, isotonic;
    algorithms.md §0.5b) if there is one; else the agreement of soft assignments, if the pairset
    has clusters; else the cosine, linear from 0 where 99.9 % of random pairs lie below to 1.
    """
    curve = _curve(pairset, graph)
    if curve:
        starts = np.array([step[0] for step in curve], np.float64)
        precision = np.array([step[1] for step in curve], np.float64)
        truth = pairset.manifest["thresholds"][graph]["truth"]

        def calibrated(left: np.ndarray, right: np.ndarray, cosine: np.ndarray) -> np.ndarray:
            del left, right
            # The curve is rounded to 6 digits, the float32 cosines are not.
            near = np.round(cosine.astype(np.float64), 6)
            return precision[np.maximum(np.searchsorted(starts, near, side="right") - 1, 0)]

        return Chance(
            CALIBRATED, f"precision of {graph} by {truth}s, from manifest.json", calibrated
        )
    if clusters is not None and clusters.count > 1:
        why = f"two soft assignments to clusters {clusters.name} fall into one cluster"
        return Chance(SOFT_ASSIGNMENT, why, lambda left, right, _: clusters.agreement(left, right))
    space = graph.partition(">")[0]
    drawn = random_similarities(pairset.vectors(space))
    low = float(drawn[int(np.ceil(QUANTILE * len(drawn))) - 1]) if len(drawn) else 0.0
    low = min(low, 1 - 1e-6)

    def by_cosine(left: np.ndarray, right: np.ndarray, cosine: np.ndarray) -> np.ndarray:
        del left, right
        return np.clip((cosine.astype(np.float64) - low) / (1 - low), 0, 1)

    why = f"cosine in {space}, linear from 0 at {low:.4f} (99.9 % of random pairs) to 1: no truth"
    return Chance(COSINE, why, by_cosine)


def _curve(pairset: Pairset, graph: str) -> list[Any]:
    entry: Mapping[str, Any] = pairset.manifest.get("thresholds", {}).get(graph, {})
    return list(entry.get("curve") or ())
