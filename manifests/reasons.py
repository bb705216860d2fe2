"""What each reason of a refusal means: in short for pages, and with its numbers for one edge."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from . import explain_clusters
from .schema import Reason

_RATIO_FLOOR = 0.1
"""Below this similarity of the positive, `hard` holds its ratio as a margin."""

Edge = Mapping[str, Any]
Settings = Mapping[str, Any]
Numbers = Callable[[Edge, Settings, Edge, Edge], str]


@dataclass(frozen=True)
class Words:
    """The words of one reason.

    Attributes:
        short: what it means for any edge.
        numbers: the same for one edge, given it, its miner's settings, the anchor's row of
            `samples` and the other's; None where there is no more to say.
    """

    short: str
    numbers: Numbers | None = None


def rank_of(edge: Edge) -> str:
    """Return the rank of an edge in words."""
    return f"rank {edge['rank']}"


def similarity_of(edge: Edge) -> str:
    """Return the similarity of an edge in words, corrected for hubs if it was."""
    value, corrected = edge["similarity"], edge["corrected_similarity"]
    text = "no similarity" if value is None else f"similarity {value:.4f}"
    return text if corrected is None else f"{text} (corrected {corrected:.4f})"


def cuts_of(edge: Edge, settings: Settings) -> dict[str, str]:
    """Return the upper limits that a hard negative was held against, in words."""
    positive = edge["positive_similarity"]
    found = {}
    if positive is not None and settings.get("max_ratio") is not None:
        ratio = settings["max_ratio"]
        found[Reason.RATIO] = f"{ratio:g} x {positive:.4f} of its least similar positive"
        if positive < _RATIO_FLOOR:
            margin = (1 - ratio) * _RATIO_FLOOR
            found[Reason.RATIO] = f"{positive:.4f} - {margin:.4f}, a margin for small similarities"
    if positive is not None and settings.get("min_margin") is not None:
        found[Reason.MARGIN] = (
            f"{positive:.4f} - {settings['min_margin']:g} below its least similar positive"
        )
    if settings.get("max_similarity") is not None:
        found[Reason.MAX_SIMILARITY] = f"{settings['max_similarity']:g}"
    return {str(name): text for name, text in found.items()}


def _above(reason: Reason) -> Callable[[Edge, Settings, Edge, Edge], str]:
    def text(edge: Edge, settings: Settings, anchor: Edge, other: Edge) -> str:
        limit = cuts_of(edge, settings).get(reason, f"what {reason} allows")
        return f"{similarity_of(edge)} > {limit}"

    return text


def _below(setting: str) -> Callable[[Edge, Settings, Edge, Edge], str]:
    def text(edge: Edge, settings: Settings, anchor: Edge, other: Edge) -> str:
        limit = settings.get(setting)
        number = f"{limit:.4f}" if isinstance(limit, int | float) else f"the {setting}"
        return f"{similarity_of(edge)} < {number}"

    return text


def _below_positive(edge: Edge, settings: Settings, anchor: Edge, other: Edge) -> str:
    cut = edge["positive_similarity"] - settings.get("margin", 0)
    return f"{similarity_of(edge)} <= {cut:.4f}, its positive's similarity less the margin"


def _window(edge: Edge, settings: Settings, anchor: Edge, other: Edge) -> str:
    window = settings.get("ranks")
    return f"{rank_of(edge)} is outside the window {window}" if window else rank_of(edge)


WORDS: Mapping[str, Words] = {
    Reason.SELF: Words("the anchor itself"),
    Reason.DUPLICATE: Words(
        "a near-duplicate of the anchor",
        lambda e, s, a, o: f"a near-duplicate of the anchor (group {o['group_id']})",
    ),
    Reason.SPLIT: Words(
        "in another split",
        lambda e, s, a, o: f"split {o['split']!r}, the anchor's is {a['split']!r}",
    ),
    Reason.POSITIVE: Words(
        "already a positive", lambda e, s, a, o: f"a positive of the anchor ({similarity_of(e)})"
    ),
    Reason.FALSE_NEGATIVE: Words(
        "masked as a false negative",
        lambda e, s, a, o: f"a false negative of it ({similarity_of(e)})",
    ),
    Reason.SAME_LABEL: Words(
        "has the anchor's label",
        lambda e, s, a, o: f"shares a label with the anchor ({o['label']!r})",
    ),
    Reason.OTHER_LABEL: Words(
        "has another label",
        lambda e, s, a, o: f"label {o['label']!r}, the anchor's is {a['label']!r}",
    ),
    Reason.MUTUALITY: Words(
        "not mutual",
        lambda e, s, a, o: (
            f"{similarity_of(e)}, but the anchor is not among its {s.get('k', 'own')} nearest"
        ),
    ),
    Reason.RANK: Words("outside the ranks", _window),
    Reason.RATIO: Words("too near the positive (ratio)", _above(Reason.RATIO)),
    Reason.MARGIN: Words("too near the positive (margin)", _above(Reason.MARGIN)),
    Reason.MAX_SIMILARITY: Words("above the greatest similarity", _above(Reason.MAX_SIMILARITY)),
    Reason.MIN_SIMILARITY: Words("below the least similarity", _below("min_similarity")),
    Reason.THRESHOLD: Words("below the threshold", _below("threshold")),
    Reason.HUB_CAP: Words(
        "a hub, taken often enough",
        lambda e, s, a, o: (
            f"{s.get('hub_cap')} other anchors that list it come first, by similarity and then "
            f"by id ({similarity_of(e)})"
        ),
    ),
    Reason.NO_VECTOR: Words("has no vector", lambda e, s, a, o: "it has no vector in this space"),
    Reason.NOT_DRAWN: Words(
        "not drawn", lambda e, s, a, o: f"allowed, but not drawn ({similarity_of(e)})"
    ),
    Reason.OVERFLOW: Words("no place left in the row", lambda e, s, a, o: "its list was full"),
    Reason.TRUE_CAPTION: Words(
        "a true caption of the picture",
        lambda e, s, a, o: "a caption of the picture or of a near-duplicate",
    ),
    Reason.OTHER_CLUSTER: Words(
        "in another cluster", lambda e, s, a, o: explain_clusters.other_cluster(s)
    ),
    Reason.NOT_ACCEPTED: Words(
        "cluster not accepted", lambda e, s, a, o: explain_clusters.not_accepted(s)
    ),
    Reason.NEARER_OTHER: Words(
        "nearer to another sample",
        lambda e, s, a, o: (
            f"{similarity_of(e)}, but {o['nearest'].get('key')!r} of another group is nearer to it "
            f"({o['asset'].get('nearest_similarity') or 0:.4f})"
        ),
    ),
    Reason.NO_SHARE: Words(
        "next to no share of the target",
        lambda e, s, a, o: f"its share of the target is next to 0 ({similarity_of(e)})",
    ),
    Reason.NOT_SELECTED: Words(
        "dropped by the selection", lambda e, s, a, o: "the selection of samples dropped it"
    ),
    Reason.NOT_CHOSEN: Words(
        "allowed, but another was chosen",
        lambda e, s, a, o: (
            f"allowed, but others come first by the rule of {e['miner']} ({similarity_of(e)})"
        ),
    ),
    Reason.AGREEMENT: Words(
        "the spaces do not agree",
        lambda e, s, a, o: (
            f"{similarity_of(e)}, but it is near in fewer than {s.get('votes')} of the spaces"
        ),
    ),
    Reason.BELOW_POSITIVE: Words("less similar than the positive", _below_positive),
    Reason.DISTANCE: Words(
        "too far after re-ranking",
        lambda e, s, a, o: (
            f"{similarity_of(e)}: re-ranked distance {1 - e['corrected_similarity']:.4f} > "
            f"{s.get('max_distance')}"
        ),
    ),
    Reason.SAME_ATTRIBUTE: Words(
        "shares an attribute's value",
        lambda e, s, a, o: (
            f"shares a value of {', '.join(s.get('exclude_attributes') or ['an attribute'])}"
        ),
    ),
    Reason.TIME_GAP: Words(
        "outside the window of time",
        lambda e, s, a, o: (
            f"more than {s['window_s']:g} s away"
            if "window_s" in s
            else "at a wrong distance in time"
        ),
    ),
    Reason.VALUE_CAP: Words(
        "its value was taken often enough",
        lambda e, s, a, o: (
            f"{s.get('max_per_value')} positives with its value of {s.get('balance')!r} came "
            "before it"
        ),
    ),
    Reason.IMPROBABLE: Words(
        "next to no probability",
        lambda e, s, a, o: f"its probability is below {s.get('min_probability', 0):g}",
    ),
    Reason.ORACLE_CONFLICT: Words(
        "the answers contradict each other",
        lambda e, s, a, o: (
            "answers contradict each other here: a no parts what a chain of yes joins"
        ),
    ),
    Reason.SELECTED: Words(
        "was selected by people",
        lambda e, s, a, o: "people put it into a set, so it is no unlabelled sample",
    ),
    Reason.FAR_FROM_SET: Words(
        "far from the selected set",
        lambda e, s, a, o: (
            "further from the centroid of the anchor's set than all of its own members"
        ),
    ),
    Reason.TEMPLATE: Words(
        "caption of a template that many share",
        lambda e, s, a, o: (
            f"{similarity_of(e)}, but its caption or the anchor's is of a template that more than "
            f"{s.get('templates')} samples share"
        ),
    ),
}
"""Of every reason but TAKEN."""


def short(reason: str) -> str:
    """Return what a reason means; an unknown one, of a newer writer, as it is."""
    return WORDS[reason].short if reason in WORDS else reason


def refusal(edge: Edge, settings: Settings, anchor: Edge, other: Edge) -> str:
    """Say why an edge was refused, with its numbers."""
    words = WORDS.get(edge["reason"])
    if words is None or words.numbers is None:
        return short(edge["reason"])
    return words.numbers(edge, settings, anchor, other)
