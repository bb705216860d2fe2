"""Why a sample was kept or dropped by the selectors of a run, in words."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from .lookup import SampleRows, rows_of
from .pairset import Pairset
from .selection import Drop

Row = Mapping[str, Any]
Described = Mapping[str, Any]


def verdicts_about(pairset: Pairset, sample_id: int) -> list[dict[str, Any]]:
    """Return the rows of `selection` about a sample, each with `why`; none where nothing selects.

    Returns:
        JSON: selector, score, kept, reason, witness, witness_key, why.
    """
    described = {item["id"]: item for item in pairset.manifest.get("selection", [])}
    if not described:
        return []
    rows = rows_of(pairset, "selection", "sample_id", sample_id)
    names = SampleRows(pairset, ["sample_id", "key"])
    for row in rows:
        del row["sample_id"]
        row["witness_key"] = None if row["witness"] is None else names.row(row["witness"])["key"]
        row["why"] = why(row, described[row["selector"]])
    return rows


def kept_samples(pairset: Pairset) -> np.ndarray:
    """Return bool [N]: the samples that every selector keeps; all where nothing selects."""
    kept = np.ones(int(pairset.counts["samples"]), bool)
    if "selection" in pairset.manifest["tables"]:
        for table in pairset.tables("selection", ["sample_id", "kept"]):
            kept[table["sample_id"].to_numpy()[~table["kept"].to_numpy()]] = False
    return kept


def ending(facts: Mapping[str, Any]) -> list[str]:
    """Return the last lines of an explanation: why the sample has no row, if it has none."""
    if not all(item["kept"] for item in facts["selection"]):
        return ["", "This sample was not selected: it is no anchor and stands in no pair."]
    if facts["pair"] is None:
        return ["", "This anchor has no row in pairs: no positive was found for it."]
    return []


def why(row: Row, described: Described) -> str:
    """Say in one sentence what a selector decided, with its numbers."""
    score = "" if row["score"] is None else f" (score {row['score']:.4f})"
    if row["kept"]:
        return f"kept by {row['selector']}{score}"
    text = _DROPS[Drop(row["reason"])](row, described)
    return f"dropped by {row['selector']}: {text}"


def _score(row: Row) -> str:
    return "no score" if row["score"] is None else f"score {row['score']:.4f}"


def _limit(key: str, text: str) -> Callable[[Row, Described], str]:
    return lambda row, described: text.format(described["settings"].get(key))


def _cut(row: Row, described: Described) -> str:
    cut = described["facts"].get("cut")
    return f"{_score(row)}, the last one kept has {'none' if cut is None else f'{cut:.4f}'}"


def _over_quota(row: Row, described: Described) -> str:
    better = {
        "dbp": "samples no nearer to it fill the share of the cluster",
        "hierarchical": "samples no farther from it fill the share of the cluster",
    }.get(described["selector"])
    if better is None:
        return f"its target has {described['settings'].get('quota')} better samples already"
    return f"similarity {row['score']:.4f} to the centroid of its cluster; {better}"


_DROPS: dict[Drop, Callable[[Row, Described], str]] = {
    Drop.EARLIER: lambda r, d: "not judged, an earlier selector dropped it",
    Drop.NO_VECTOR: lambda r, d: "it has no vector to be judged by",
    Drop.NO_CAPTION: lambda r, d: "it has no caption",
    Drop.BELOW_CUT: _cut,
    Drop.BELOW_THRESHOLD: lambda r, d: f"{_score(r)} <= {d['settings']['threshold']:g}",
    Drop.OVER_QUOTA: _over_quota,
    Drop.SHORT_SIDE: _limit("min_side", "its shorter side has fewer than {} pixels"),
    Drop.ASPECT: _limit("max_aspect", "its sides differ by more than a factor of {}"),
    Drop.FEW_WORDS: _limit("min_words", "its caption has fewer than {} words"),
    Drop.MANY_WORDS: _limit("max_words", "its caption has more than {} words"),
    Drop.FEW_CHARACTERS: _limit("min_characters", "its caption has fewer than {} characters"),
    Drop.SHARED_CAPTION: _limit("max_shared", "more than {} samples have its caption"),
    Drop.MANY_CAPTIONS: _limit("max_captions", "it has more than {} captions"),
    Drop.NO_ENTRY: lambda r, d: "its captions hold no entry",
    Drop.NOT_DRAWN: lambda r, d: f"not drawn, with a chance of {r['score']:.4f}",
    Drop.SEMANTIC_DUPLICATE: lambda r, d: (
        f"similarity {r['score']:.4f} to {r['witness_key']}, which is no nearer to their centroid"
    ),
    Drop.PROTOTYPE: lambda r, d: (
        f"similarity {r['score']:.4f} to the centroid of its cluster, of which none nearer is kept"
    ),
}
