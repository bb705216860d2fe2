"""Why the pairs of one anchor are what they are: every edge, each with a reason in words."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from . import explain_clusters
from .agreed import said_of
from .assets import assets_between, has_assets, quantile
from .explain_clusters import ClusterWords
from .lookup import SampleRows, find_key, rows_of_anchor
from .pairset import Pairset
from .reasons import cuts_of, rank_of, refusal, similarity_of
from .schema import ATTRIBUTE_PREFIX, NO_ID, Role
from .verdicts import verdicts_about
from .views import score_name

_SHOWN = ("key", "caption", "label", "split", "group_id")
_DUPLICATES = 20

Edge = Mapping[str, Any]
Settings = Mapping[str, Any]


def explain(root: str | Path | Pairset, key: str | int) -> dict[str, Any]:
    """Return every edge of the anchor `key` (or of a sample_id), and the row that came of them.

    Returns:
        JSON: key, sample_id, sample (caption, label, split, group_id), duplicates (keys of its
        group), selection (what each selector said of it, with why), pair (the row of `pairs`, or
        None), row (its filled places, each with key, miner, score and weight), edges (each with
        other_key, other_caption, other_label, in_row, why), synthetic (recipes of synthetic
        negatives, each with the keys of its parents).

    Raises:
        DataError: no sample has this key; the text names the nearest.
        PairsetError: there is no pairset.
    """
    pairset = root if isinstance(root, Pairset) else Pairset.open(root)
    anchor = find_key(pairset, key) if isinstance(key, str) else key
    edges = rows_of_anchor(pairset, "edges", anchor)
    pair = next(iter(rows_of_anchor(pairset, "pairs", anchor)), None)
    places = places_of(pairset, pair)
    others = [edge["other_id"] for edge in edges if edge["other_id"] is not None]
    others += [place["sample_id"] for place in places]
    recipes = [item for item in (pair or {}).get("synthetic", ()) if item["a_id"] != NO_ID]
    others += [item[name] for item in recipes for name in ("a_id", "b_id") if item[name] != NO_ID]
    attributes = [ATTRIBUTE_PREFIX + name for name in pairset.manifest.get("attributes") or ()]
    columns = ["sample_id", *_SHOWN, *attributes]
    samples = SampleRows(pairset, columns).rows([anchor, *others])
    words = ClusterWords(pairset, anchor, edges)
    names = {(place["role"], place["sample_id"]) for place in places}
    assets = _assets(pairset, anchor)
    near = {row["nearest_id"] for row in assets.values() if row["nearest_id"] is not None}
    samples |= SampleRows(pairset, ["sample_id", *_SHOWN]).rows([*near])
    listed = set((pair or {}).get("positive_asset_ids", ()))
    names |= {(str(Role.POSITIVE), k) for k, row in assets.items() if row["asset_id"] in listed}
    names |= {(str(Role.NEGATIVE), text) for text in (pair or {}).get("negative_texts", ())}
    for place in places:
        place["key"] = samples[place["sample_id"]]["key"]
    return {
        "key": samples[anchor]["key"],
        "sample_id": anchor,
        "sample": {name: samples[anchor][name] for name in _SHOWN},
        "duplicates": _duplicates(pairset, anchor, int(samples[anchor]["group_id"])),
        "selection": verdicts_about(pairset, anchor),
        "pair": pair,
        "row": places,
        "edges": [
            _described(pairset, edge, samples, anchor, names, (words, assets)) for edge in edges
        ],
        "synthetic": [
            {
                **item,
                "a_key": samples[item["a_id"]]["key"],
                "b_key": samples[item["b_id"]]["key"] if item["b_id"] != NO_ID else None,
            }
            for item in recipes
        ],
    }


def places_of(pairset: Pairset, pair: Edge | None) -> list[dict[str, Any]]:
    """Return the filled places of a row of `pairs`: role, sample_id, and miner, score, weight."""
    if pair is None:
        return []
    kinds = pairset.manifest["kinds"]
    found = []
    for role in (Role.POSITIVE, Role.NEGATIVE):
        columns = (pair[f"{role}_{what}"] for what in ("ids", "kinds", "scores", "weights"))
        for other, kind, score, weight in zip(*columns, strict=True):
            if other != NO_ID:
                miner = kinds[kind]
                found.append(_place(role, other, miner=miner, score=score, weight=weight))
    shares = zip(pair.get("soft_ids", ()), pair.get("soft_targets", ()), strict=True)
    found += [_place(Role.SOFT, other, weight=w) for other, w in shares if other != NO_ID]
    masked = [other for other in pair["false_negative_ids"] if other != NO_ID]
    return found + [_place(Role.FALSE_NEGATIVE, other) for other in masked]


def _place(role: Role, other: int, **more: Any) -> dict[str, Any]:
    return {"role": str(role), "sample_id": other, **more}


def _duplicates(pairset: Pairset, anchor: int, group: int) -> list[str]:
    keys = []
    for table in pairset.tables("samples", ["sample_id", "group_id", "key"]):
        same = table["group_id"].to_numpy() == group
        if same.any():
            rows = table.filter(same).to_pylist()
            keys += [row["key"] for row in rows if row["sample_id"] != anchor]
    return keys[:_DUPLICATES]


def _described(
    pairset: Pairset,
    edge: Edge,
    samples: Mapping[int, Mapping[str, Any]],
    anchor: int,
    names: set[tuple[str, int | str]],
    more: tuple[ClusterWords, Mapping[str, Mapping[str, Any]]],
) -> dict[str, Any]:
    words, assets = more
    miner = next(m for m in pairset.manifest["miners"] if m["id"] == edge["miner"])
    given = miner["settings"]
    settings = {**given, "miner": miner["miner"], **words.of(edge, given)}
    if settings.get("threshold") == "calibrated":
        score = score_name(edge["space"], given.get("views", 0), given.get("aggregate", ""))
        found = pairset.manifest["thresholds"].get(score, {})
        kind = "attract" if settings.get("action") == "attract" else "eliminate"
        settings["threshold"] = found.get(kind)
    if settings.get("low") is not None and settings.get("high") is not None:
        settings["threshold"] = _zone_from(pairset, edge, settings)
    other = samples.get(edge["other_id"] if edge["other_id"] is not None else NO_ID, {})
    name = edge["other_id"]
    if name is None:
        name = edge["text"] or edge["asset"]
    if edge["asset"]:
        asset = assets.get(edge["asset"], {})
        other = {"asset": asset, "nearest": samples.get(asset.get("nearest_id", NO_ID), {})}
        settings |= _gates(pairset, settings)
    in_row = (edge["role"], name) in names
    return {
        **{name: value for name, value in edge.items() if name != "anchor_id"},
        "other_key": other.get("key"),
        "other_caption": other.get("caption"),
        "other_label": other.get("label"),
        "in_row": in_row,
        "why": _why(edge, settings, samples[anchor], other, in_row),
    }


def _assets(pairset: Pairset, anchor: int) -> dict[str, dict[str, Any]]:
    if not has_assets(pairset):
        return {}
    return {row["key"]: row for row in assets_between(pairset, anchor, anchor).to_pylist()}


def _gates(pairset: Pairset, settings: Settings) -> dict[str, float]:
    """Return the band of similarity that the miner of assets held them against."""
    section = pairset.manifest["assets"].get(settings["assets"], {})
    low = quantile(section.get("random", ()), settings["above"])
    return {"min_similarity": low, "max_similarity": settings["below"]}


def _zone_from(pairset: Pairset, edge: Edge, settings: Settings) -> float | None:
    """Return the similarity from which `zones` takes a candidate."""
    found = pairset.manifest["thresholds"].get(edge["space"], {})
    high = found.get("attract") if settings["high"] == "calibrated" else settings["high"]
    low = found.get("eliminate") if settings["low"] == "calibrated" else settings["low"]
    return high if low is None else low


def _why(edge: Edge, settings: Settings, anchor: Edge, other: Edge, in_row: bool) -> str:
    """Say in one sentence why an edge was taken or refused, with its numbers."""
    if edge["role"] == Role.REFUSED:
        return f"refused: {refusal(edge, settings, anchor, other)}"
    text = said_of(edge, settings, anchor, other) or _taken(edge, settings, other)
    masks = edge["role"] != Role.FALSE_NEGATIVE or edge["action"] in ("eliminate", "attract")
    return text if in_row or not masks else f"{text}; its row had no place left"


def _taken(edge: Edge, settings: Settings, other: Edge) -> str:
    where = f"{rank_of(edge)} in {edge['space']}" if edge["space"] else ""
    if settings.get("k1") is not None:
        where = f"{rank_of(edge)} of {edge['space']} after re-ranking"
    if edge["role"] == Role.FALSE_NEGATIVE:
        limit = settings.get("threshold")
        above = f" >= {limit:.4f}" if isinstance(limit, int | float) else ""
        if edge["positive_similarity"] is not None and settings.get("margin") is not None:
            cut = edge["positive_similarity"] - settings["margin"]
            above = f" > {cut:.4f}, its positive's similarity less the margin"
        found = f"{edge['action']}: {similarity_of(edge)}{above}"
        more = (where, explain_clusters.shared(settings), explain_clusters.accepted(edge, settings))
        return ", ".join([found, *(text for text in more if text)])
    if edge["role"] == Role.SOFT:
        return f"soft target: {edge['weight']:.4f} of it ({similarity_of(edge)}, {where})"
    if edge["asset"]:
        since = f", from progress {edge['valid_from']:.2f} on" if edge["valid_from"] else ""
        band = f"{settings['min_similarity']:.4f} to {settings['max_similarity']:g}"
        made = other["asset"].get("recipe", "")
        return f"positive: generated, {similarity_of(edge)} within {band}{since}; recipe {made}"
    if edge["role"] == Role.NEGATIVE and edge["text"]:
        return "negative: a caption that is wrong for the anchor"
    if edge["role"] == Role.NEGATIVE:
        cut = cuts_of(edge, settings)
        limits = " and ".join(f"<= {text}" for text in cut.values())
        found = f"negative: {similarity_of(edge)}, {where}" if where else "negative: drawn"
        found = f"{found}, {limits}" if limits else found
        return f"{found}{_terms(edge)}"
    both = explain_clusters.shared(settings)
    if not where and both:
        return f"positive: {both}"
    if not where:
        label = f" of label {other.get('label')!r}" if other.get("label") else ""
        own = settings.get("only_missing") is not None or edge["miner"].startswith("self_aug")
        return "positive: another view of itself" if own else f"positive: a sample{label}"
    if settings.get("spaces"):
        joined = f"{edge['corrected_similarity']:.4f} over {' and '.join(settings['spaces'])}"
        return f"positive: {rank_of(edge)} by agreement, {joined}; {similarity_of(edge)}"
    mutual = ", mutual" if settings.get("mutual") else ""
    return ", ".join(
        [f"positive: {similarity_of(edge)}, {where}{mutual}", *([both] if both else [])]
    )


def _terms(edge: Edge) -> str:
    """Say with which weight, and from when on, if that is not plain."""
    weight = f", weight {edge['weight']:.3f}" if edge["weight"] != 1 else ""
    later = f", from {edge['valid_from']:.0%} of training on" if edge["valid_from"] > 0 else ""
    return weight + later
