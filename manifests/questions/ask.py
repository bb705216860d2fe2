"""The next round of questions: which pairs an oracle's answer would teach most about.

Wang et al., Oracle-guided Contrastive Clustering (OCC), 2022, let a budget of pairs be asked each
round. Their rule of what is informative is not in the text that can be had; here it is that of
algorithms.md §2.8: |p_same - 0.5| is least, spread over samples and pairs of clusters.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import UsageError
from ..lookup import SampleRows, ids_of_keys
from ..pairset import PEOPLE, QUESTIONS, Pairset
from ..people import known_ids, pair_of
from ..schema import NO_ID
from . import log
from .chance import Clusters, chance_of, choose_graph
from .implied import Closure, ToldPairs
from .log import QuestionLog, Record
from .select import Candidates, Limits, Walk

ORACLE = "oracle"
"""The miners whose answers a pairset keeps."""
_NAMED = 10


@dataclass(frozen=True)
class AskOptions:
    """What a round asks.

    Attributes:
        budget: questions, at most.
        space: its neighbour graph gives the pairs; None for the first that is calibrated.
        clusters: set of clusters to spread over; None for the first of the pairset, if any.
        per_sample: questions of the round that name one sample, at most.
        per_clusters: questions a pair of clusters, at most; None for budget / clusters, rounded up.
        seed: another seed orders equally uncertain pairs in another way.
    """

    budget: int = 200
    space: str | None = None
    clusters: str | None = None
    per_sample: int = 2
    per_clusters: int | None = None
    seed: int = 0


@dataclass(frozen=True)
class Asked:
    """What a round asked: the lines that were appended, and facts for people and programs."""

    questions: list[Record]
    facts: dict[str, Any]


def ask(pairset: Pairset, path: Path | None = None, options: AskOptions | None = None) -> Asked:
    """Choose the next pairs and append them to a file of questions.

    Never asked: a pair that stands in the file or in the answers that the pairset was mined with
    (in either order); one that answers imply; one with a sample of a contradicted component; one
    of near-duplicates; one across splits.

    Args:
        pairset: whose samples and graph.
        path: of the file; OUT/questions.jsonl when None.
        options: budget and diversity.

    Raises:
        UsageError: there is no graph to take pairs from, or no such set of clusters.
        DataError: the file cannot be read, or is of another corpus.
    """
    options = options or AskOptions()
    path = path or pairset.root / QUESTIONS
    graph = choose_graph(pairset, options.space)
    clusters = _clusters(pairset, options.clusters)
    before = QuestionLog.read(path)
    told, closure = _told(pairset, [before, *_mined_with(pairset)])
    chance = chance_of(pairset, graph, clusters)
    limits = Limits(options.budget, options.per_sample, _per_clusters(options, clusters))
    found = Walk(pairset, graph, chance, told, options.seed).choose(limits, clusters)
    made = _questions(pairset, found, before.next_round)
    log.append(path, made)
    keys = SampleRows(pairset, ["sample_id", "key"])
    torn = [[keys.row(row)["key"] for row in pair] for pair in closure.contradicted()[:_NAMED]]
    return Asked(
        made,
        {
            "file": str(path),
            "round": before.next_round,
            "asked": len(made),
            "budget": options.budget,
            "graph": graph,
            "p_same": {"source": chance.source, "why": chance.why},
            "clusters": clusters.name if clusters else None,
            "per_sample": limits.per_sample,
            "per_clusters": limits.per_clusters,
            "open": len(before.open) + len(made),
            "answered": len(before.said),
            "conflicts": len(closure.contradicted()),
            "conflicting": torn,
        },
    )


def render(facts: dict[str, Any], out: Path) -> str:
    """Return what a round asked as text for people."""
    lines = [
        f"round {facts['round']}: {facts['asked']} of at most {facts['budget']} questions, "
        f"now {facts['open']} open and {facts['answered']} answered",
        f"p_same: {facts['p_same']['source']} ({facts['p_same']['why']})",
        f"file: {facts['file']}",
    ]
    if facts["asked"] < facts["budget"]:
        lines.append(
            "no further pair is left within the limits: --per-sample and --per-clusters widen "
            "them, a larger k of the graph gives more pairs"
        )
    if facts["conflicts"]:
        pairs = "; ".join(" and ".join(pair) for pair in facts["conflicting"])
        lines.append(f"{facts['conflicts']} answers contradict a chain of yes: {pairs}")
    lines.append(f"answer them with: curate view {out}")
    return "\n".join(lines)


def _questions(pairset: Pairset, found: Candidates, round_: int) -> list[Record]:
    pairs = list(zip(found.left.tolist(), found.right.tolist(), strict=True))
    rows = SampleRows(pairset, ["sample_id", "key"]).rows([row for pair in pairs for row in pair])
    numbers = zip(pairs, found.chance.tolist(), found.cosine.tolist(), strict=True)
    return [
        log.question((rows[a]["key"], rows[b]["key"]), chance, cosine, round_)
        for (a, b), chance, cosine in numbers
    ]


def _told(pairset: Pairset, logs: Sequence[QuestionLog]) -> tuple[ToldPairs, Closure[int]]:
    asked = {pair_of(line["key_a"], line["key_b"]) for item in logs for line in item.lines}
    keys = [key for pair in asked for key in pair]
    ids = ids_of_keys(pairset, keys)
    known_ids(str(logs[0].path), keys, ids)
    number = dict(zip(keys, ids.tolist(), strict=True))
    closure: Closure[int] = Closure()
    for item in logs:
        for (a, b), answers in item.said.items():
            for said in sorted(answers):
                if NO_ID not in (number[a], number[b]):
                    closure.add(number[a], number[b], said)
    pairs = ids.reshape(-1, 2)
    known = pairs[(pairs != NO_ID).all(axis=1)]
    return ToldPairs.of(pairset.counts["samples"], known, closure), closure


def _mined_with(pairset: Pairset) -> Iterator[QuestionLog]:
    """Yield the answers that the miners of the pairset were given, each set of them once."""
    names = [item["id"] for item in pairset.manifest["miners"] if item["miner"] == ORACLE]
    for name in names:
        yield QuestionLog.read(pairset.root / PEOPLE / f"{name}.jsonl")


def _clusters(pairset: Pairset, asked: str | None) -> Clusters | None:
    known = list(pairset.manifest.get("clusters") or {})
    if asked is not None and asked not in known:
        raise UsageError(
            f"{pairset.root} has no clusters {asked!r}; it has: {', '.join(known) or 'none'}."
        )
    name = asked or (known[0] if known else None)
    return Clusters.read(pairset, name) if name else None


def _per_clusters(options: AskOptions, clusters: Clusters | None) -> int | None:
    if clusters is None:
        return None
    return options.per_clusters or max(1, -(-options.budget // max(clusters.count, 1)))
