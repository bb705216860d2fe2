"""How much of the exact graph the graph holds, measured on a probe of its queries."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from ...manifests.artifact import Artifact, Output
from ...manifests.errors import DataError
from ...manifests.hubness import hubness
from ...manifests.sampling import draw_rows
from ...manifests.schema import NO_ID
from ...manifests.statistics import wilson_interval
from ...manifests.vectors import Rows, widen
from ..base import Inputs, Resources, Stage, Task, Worker
from .folds import kept_samples
from .graph import group_ids, open_gated
from .join import rows_with_vector, search_resources


class Recall(Stage):
    """Compares lists of the graph with exact search behind the same gates, and looks for hubs.

    The recall of a query is the share of its exact neighbours that its list holds; the value is
    the mean over all queries of the probe that have neighbours. The interval is Wilson's with one
    draw a query: a share within [0, 1] varies no more than a coin, so it is on the wide side.

    Inputs: `graph`, `groups`, `samples`, `query`, `bank`, `index`; `hubs` for a corrected graph,
    whose recall is that of the corrected ranking; `selected` where samples were selected: the
    others are neither asked nor counted among the hubs.
    One part: "parquet" with one row a query of the probe (sample_id, found, exact). Facts: recall
    {value, k, queries, low, high}, hubness {skewness, top1_share, max, orphans}, and for a
    corrected graph correction: what `Hubs` says, and the hubness of the exact lists of the probe
    before and after.

    Attributes:
        graph: "<query space>><bank space>".
        k: neighbours that count.
        min_recall: the value that must be reached.
        queries: size of the probe; all queries where there are fewer.
        seed: seed of the probe.
    """

    graph: str
    k: int = 64
    min_recall: float = 0.95
    queries: int = 1000
    seed: int = 0

    def plan(self, inputs: Inputs) -> list[Task]:
        """Plan one task."""
        del inputs
        return [Task("part-00000")]

    def resources(self, inputs: Inputs) -> Resources:
        """What a worker of the join occupies, on the CPU, and one count a sample."""
        return search_resources(inputs, self.k, "cpu")

    def open(self, inputs: Inputs) -> Worker:
        """Return the measurement.

        Raises:
            DataError: (by the worker) the recall is below `min_recall`.
        """

        def run(task: Task) -> Output:
            del task
            table = self._probe(inputs)
            recall = self._recall(table)
            counts = occurrences(inputs["graph"], int(inputs["samples"].starts()[-1]))
            kept = kept_samples(inputs.get("selected"))
            counts = counts if kept is None else counts[kept]
            facts: dict[str, Any] = {"recall": recall, "hubness": hubness(counts)}
            if "hubs" in inputs:
                facts["correction"] = self._correction(inputs, int(inputs["samples"].starts()[-1]))
            return Output.of(table, **facts)

        return run

    def _probe(self, inputs: Inputs) -> pa.Table:
        groups = group_ids(inputs["groups"])
        query, lists = Rows.of(inputs["query"]), Rows.of(inputs["graph"], "ids.npy")
        chosen = self._drawn(query, kept_samples(inputs.get("selected")))
        truth = open_gated(inputs, groups)(widen(query.take(chosen)), chosen, self.k)[0]
        here = lists.take(chosen)[:, : self.k]
        hits = np.zeros(truth.shape, bool)
        for column in range(here.shape[1]):
            hits |= truth == here[:, column : column + 1]
        known = truth != NO_ID
        columns = {"found": (hits & known).sum(axis=1), "exact": known.sum(axis=1)}
        return pa.table({"sample_id": chosen, **columns})

    def _correction(self, inputs: Inputs, count: int) -> dict[str, Any]:
        """Say what was corrected, and how uneven exact lists of the probe are without and with."""
        raw = {name: artifact for name, artifact in inputs.items() if name != "hubs"}
        query, groups = Rows.of(inputs["query"]), group_ids(inputs["groups"])
        kept = kept_samples(inputs.get("selected"))
        chosen = self._drawn(query, kept)
        told = dict(inputs["hubs"].receipts[0].facts) if inputs["hubs"].receipts else {}
        for when, given in (("before", raw), ("after", inputs)):
            lists = open_gated(given, groups)(widen(query.take(chosen)), chosen, self.k)[0]
            counts = np.bincount(lists[lists != NO_ID], minlength=count)
            told[when] = hubness(counts if kept is None else counts[kept])
        return {**told, "queries": len(chosen)}

    def _drawn(self, query: Rows, kept: np.ndarray | None) -> np.ndarray:
        valid = rows_with_vector(query)
        valid = valid if kept is None else valid[kept[valid]]
        return draw_rows(valid, self.queries, self.seed, "recall/probe")

    def _recall(self, table: pa.Table) -> dict[str, Any]:
        found, exact = table["found"].to_numpy(), table["exact"].to_numpy()
        asked = exact > 0
        shares = found[asked] / exact[asked]
        value = float(shares.mean()) if len(shares) else 1.0
        low, high = wilson_interval(int(shares.sum() + 1e-9), len(shares))
        if value < self.min_recall:
            raise DataError(
                f"graph {self.graph}: recall@{self.k} is {value:.4f} on {len(shares)} queries "
                f"({low:.4f} to {high:.4f}), but min_recall is {self.min_recall}. Raise "
                f"neighbors.{self.graph}.exact_below above the number of samples for an exact "
                "search, or ask for a lower min_recall."
            )
        return {
            "value": round(value, 6),
            "k": self.k,
            "queries": len(shares),
            "low": round(low, 6),
            "high": round(high, 6),
        }


def occurrences(graph: Artifact, count: int) -> np.ndarray:
    """Return int64 [count]: how many lists of the graph each sample stands in; reads part by part.

    Args:
        graph: an artifact with "ids.npy".
        count: samples of the corpus.
    """
    total = np.zeros(count, np.int64)
    for part in graph.parts:
        ids = graph.array(part, "ids.npy").reshape(-1)
        total += np.bincount(ids[ids != NO_ID], minlength=count)
    return total
