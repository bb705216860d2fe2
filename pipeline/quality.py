"""What the manifest says of a run's results: counts, recall, thresholds, false-negative rate."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..manifests.artifact import Artifact
from ..manifests.schema import PAIR_EXTRAS
from ..manifests.statistics import wilson_interval
from .config import Config, graph_spaces

Done = Mapping[str, Artifact]


def counts(config: Config, done: Done) -> dict[str, int]:
    """Return rows of the tables and the list lengths P, K, F."""
    facts = done["assemble"].receipts[0].facts if done["assemble"].receipts else {}
    return {
        "samples": done["samples"].rows,
        "rejects": done["census"].receipts[0].facts["rejects"],
        "edges": done["final_edges"].rows,
        "pairs": done["final_pairs"].rows,
        "P": facts.get("P", config.output.positives or 1),
        "K": config.output.negatives,
        "F": config.output.false_negatives,
        **_assets(config, done),
        **{extra.present: facts[extra.present] for extra in PAIR_EXTRAS if extra.present in facts},
    }


def _assets(config: Config, done: Done) -> dict[str, int]:
    rows = [done[f"final_assets:{name}"].rows for name in config.generate]
    return {"assets": sum(rows)} if rows else {}


def neighbors(config: Config, done: Done) -> dict[str, Any]:
    """Return for each graph its spaces, k, measured recall, hubs, and rows that are short."""
    found = {}
    for graph, asked in config.neighbors.items():
        query, bank = graph_spaces(graph)
        facts = dict(done[f"recall:{graph}"].receipts[0].facts)
        found[graph] = {
            "query": query,
            "bank": bank,
            "k": asked.k,
            "min_recall": asked.min_recall,
            "exact": done[f"index:{bank}"].receipts[0].facts.get("exact", False),
            "short_rows": _sum(done[f"graph:{graph}"], "short_rows"),
            **facts,
        }
        if asked.correct is not None:
            miners = [
                name.removeprefix("mine:") for name in done if _is_corrected(done, name, graph)
            ]
            found[graph]["correction"] = {**facts["correction"], "miners": miners}
    return found


def _is_corrected(done: Done, node: str, graph: str) -> bool:
    return node.startswith("mine:") and any(
        receipt.facts.get("corrected") == graph for receipt in done[node].receipts
    )


def thresholds(done: Done) -> dict[str, Any]:
    """Return the calibration of each graph, or score over views, that a miner asked one for."""
    found = {}
    for name, artifact in done.items():
        if name.startswith("calibrate:"):
            found[name.removeprefix("calibrate:")] = dict(artifact.receipts[0].facts)
    return found


def quality(done: Done) -> dict[str, Any]:
    """Return fills, overflows and the estimated false-negative rate with its interval."""
    assemble, census = done["assemble"], done["census"].receipts[0].facts
    sums: dict[str, Any] = {}
    for receipt in assemble.receipts:
        for key, value in receipt.facts.items():
            if isinstance(value, int) and len(key) > 1:
                sums[key] = sums.get(key, 0) + value
    return {
        **sums,
        "rejects_by_code": census["rejects_by_code"],
        "false_negative_rate": false_negative_rate(sums),
    }


def false_negative_rate(sums: Mapping[str, int]) -> dict[str, Any]:
    """Estimate how many mined negatives are of the anchor's own kind.

    A negative is judged false when it shares the anchor's label; in a corpus without labels, when
    its captions say the same. 95 % interval after Wilson (1927). Where nothing can judge, the
    source is "unknown" and no number is given.
    """
    for source in ("label", "caption"):
        judged = sums.get(f"negatives_judged_by_{source}", 0)
        if judged:
            false = sums.get(f"negatives_false_by_{source}", 0)
            low, high = wilson_interval(false, judged)
            return {
                "value": round(false / judged, 6),
                "low": round(low, 6),
                "high": round(high, 6),
                "source": source,
                "judged": judged,
            }
    return {"value": None, "low": None, "high": None, "source": "unknown", "judged": 0}


def miner_facts(artifact: Artifact) -> dict[str, Any]:
    """Return what a miner reports of the whole corpus.

    Numbers of anchors, taken, anchors_with_edges and refused (by reason) are added up; `means`
    ({name: [sum, count]}) become means; all else is the same in every part.
    """
    facts: dict[str, Any] = {}
    means: dict[str, tuple[float, int]] = {}
    refused: dict[str, int] = {}
    for receipt in artifact.receipts:
        for name, (total, count) in receipt.facts.get("means", {}).items():
            before = means.get(name, (0.0, 0))
            means[name] = (before[0] + total, before[1] + count)
        for reason, count in receipt.facts["refused"].items():
            refused[reason] = refused.get(reason, 0) + count
        facts |= receipt.facts
    facts |= {name: _sum(artifact, name) for name in ("anchors", "taken", "anchors_with_edges")}
    facts |= {name: round(total / max(n, 1), 6) for name, (total, n) in means.items()}
    facts.pop("means", None)
    return {**facts, "refused": dict(sorted(refused.items()))}


def _sum(artifact: Artifact, fact: str) -> int:
    return sum(int(receipt.facts.get(fact, 0)) for receipt in artifact.receipts)
