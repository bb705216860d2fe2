"""Rounds of questions, against loops over the graph: least certain, spread, never told already."""

import json
from collections import Counter

import networkx as nx
import numpy as np
import pyarrow.parquet as pq
import pytest
from tiny_pairset import edit_manifest

from curate.manifests.errors import DataError, UsageError
from curate.manifests.pairset import Pairset
from curate.manifests.questions import AskOptions, ask, log
from curate.manifests.questions.chance import Chance, Clusters, chance_of
from curate.manifests.questions.implied import Closure, ToldPairs
from curate.manifests.questions.select import Limits, Walk

CURVE = [[0.2, 0.1, 50], [0.5, 0.6, 50], [0.8, 0.95, 50]]


def listed(tiny):
    """Return {(low id, high id): cosine} of the graph, of pairs that may be asked about."""
    found = {}
    for path in sorted((tiny.root / "neighbors/image_to_image").glob("*.parquet")):
        for row in pq.read_table(path).to_pylist():
            a = row["sample_id"]
            for b, cosine in zip(row["neighbor_ids"], row["similarities"], strict=True):
                if b >= 0 and tiny.splits[a] == tiny.splits[b]:
                    if tiny.group_id[a] != tiny.group_id[b]:
                        found[min(a, b), max(a, b)] = cosine
    return found


def gap_of(cosine):
    precision = CURVE[0][1]
    for start, value, _ in CURVE:
        if round(float(cosine), 6) >= start:
            precision = value
    return abs(precision - 0.5)


def implied(answers):
    """Return a function that says of a pair whether answers tell it, by networkx."""
    graph = nx.Graph([pair for pair, said in answers.items() if said == "yes"])
    part = {n: at for at, nodes in enumerate(nx.connected_components(graph)) for n in nodes}
    name = lambda n: part.get(n, -1 - n)  # noqa: E731
    apart = {frozenset(map(name, pair)) for pair, said in answers.items() if said == "no"}
    return lambda a, b: name(a) == name(b) or frozenset((name(a), name(b))) in apart


def ids(tiny, questions):
    number = {key: at for at, key in enumerate(tiny.keys)}
    return [(number[q["key_a"]], number[q["key_b"]]) for q in questions]


def test_three_rounds(tiny, pairset):
    known, asked, pairs = {}, set(), listed(tiny)
    for number in range(3):
        found = ask(pairset, options=AskOptions(budget=25, per_sample=1))
        now = ids(tiny, found.questions)
        assert len(now) == found.facts["asked"] == 25
        assert found.facts["round"] == number
        assert {frozenset(pair) for pair in now}.isdisjoint(asked)
        told = implied(known)
        uses = Counter(row for pair in now for row in pair)
        assert max(uses.values()) == 1
        gaps = [gap_of(pairs[min(p), max(p)]) for p in now]
        assert gaps == sorted(gaps)
        for a, b in now:
            assert not told(a, b)
        # Nothing that was free to be asked about is less certain than what was asked.
        left = [
            gap_of(cosine)
            for (a, b), cosine in pairs.items()
            if frozenset((a, b)) not in asked and not told(a, b) and not ({a, b} & set(uses))
        ]
        assert min(left) >= max(gaps)
        asked |= {frozenset(pair) for pair in now}
        for q, (a, b) in zip(found.questions, now, strict=True):
            said = "yes" if (tiny.labels[a], a % 2) == (tiny.labels[b], b % 2) else "no"
            known[a, b] = said
            log.append(
                tiny.root / "questions.jsonl",
                [log.answer((q["key_b"], q["key_a"]), said, "labels", q["round"])],
            )
        assert {"yes", "no"} == set(known.values())
    assert len((tiny.root / "questions.jsonl").read_text().splitlines()) == 150


def test_implied_pairs_would_have_been_asked(tiny, pairset, tmp_path):
    """A yes chain and a no take pairs out of a round that would else hold them."""
    options = AskOptions(budget=100_000, per_sample=100)
    free = {frozenset(p) for p in ids(tiny, ask(pairset, tmp_path / "a.jsonl", options).questions)}
    assert free == {frozenset(pair) for pair in listed(tiny)}
    # Every yes is true, so whole kinds become known.
    path = tmp_path / "b.jsonl"
    chain, known = {}, {}
    for at, label in enumerate(tiny.labels):
        if label in chain:
            known[chain[label], at] = "yes"
        chain[label] = at
    known[chain["red"], chain["blue"]] = "no"
    lines = [log.answer((tiny.keys[a], tiny.keys[b]), s, "") for (a, b), s in known.items()]
    log.append(path, lines)
    left = {frozenset(p) for p in ids(tiny, ask(pairset, path, options).questions)}
    told = implied(known)
    assert left == {pair for pair in free if not told(*pair)}
    assert 0 < len(left) < len(free)


def test_a_small_pool_gives_the_same_round(tiny, pairset):
    graph, count = "image>image", len(tiny.keys)
    clusters = Clusters("c", np.arange(count, dtype=np.int32) % 7, np.ones(count, np.float32))
    nobody = ToldPairs.of(count, np.zeros((0, 2), np.int64), Closure())
    walk = Walk(pairset, graph, chance_of(pairset, graph, None), nobody, seed=3)
    for limits in (Limits(40, 2, 2), Limits(500, 1, 3), Limits(30, 9, None)):
        whole = walk.choose(limits, clusters)
        few = walk.choose(limits, clusters, pool=7)
        assert list(zip(few.left, few.right, strict=True)) == list(
            zip(whole.left, whole.right, strict=True)
        )
        cells = Counter(
            tuple(sorted((int(a) % 7, int(b) % 7)))
            for a, b in zip(whole.left, whole.right, strict=True)
        )
        assert len(whole) <= limits.budget
        assert limits.per_clusters is None or max(cells.values()) <= limits.per_clusters
    assert len(walk.choose(Limits(40, 2, 2), clusters)) == 40


def test_equally_uncertain_pairs_come_in_the_order_of_a_draw(tiny, pairset, tmp_path):
    first, again, other = (
        ask(pairset, tmp_path / f"{name}.jsonl", AskOptions(budget=20, seed=seed)).questions
        for name, seed in (("a", 0), ("b", 0), ("c", 1))
    )
    pairs = [[(q["key_a"], q["key_b"]) for q in found] for found in (first, again, other)]
    assert pairs[0] == pairs[1] != pairs[2]


def test_without_a_curve_the_cosine_decides_and_says_so(tiny):
    with edit_manifest(tiny.root) as manifest:
        manifest["thresholds"] = {}
    pairset = Pairset.open(tiny.root)
    found = ask(pairset, options=AskOptions(budget=60, per_sample=300))
    assert found.facts["p_same"]["source"] == "cosine"
    image = tiny.image.astype(np.float64)
    rng = np.random.default_rng(0)
    a, b = rng.integers(0, len(image), (2, 40_000))
    low = np.quantile((image[a] * image[b]).sum(axis=1)[a != b], 0.999)
    # The chance is a line through (its own low, 0) and (1, 1), cut off at 0.
    scores = np.array([q["score"] for q in found.questions])
    cosines = np.array([q["similarity"] for q in found.questions])
    line = np.polyfit(cosines[scores > 0], scores[scores > 0], 1)
    assert -line[1] / line[0] == pytest.approx(low, abs=0.01)
    assert line.sum() == pytest.approx(1, abs=1e-4)
    gaps = np.abs(scores - 0.5)
    assert (np.diff(gaps) >= 0).all()
    asked = {frozenset(p) for p in ids(tiny, found.questions)}
    left = [c for pair, c in listed(tiny).items() if frozenset(pair) not in asked]
    assert np.abs(np.maximum(np.polyval(line, left), 0) - 0.5).min() >= gaps.max() - 1e-5


def test_soft_assignments_are_the_chance_where_there_is_no_curve(tiny):
    with edit_manifest(tiny.root) as manifest:
        manifest["thresholds"] = {}
    rng = np.random.default_rng(1)
    clusters = Clusters("c", np.array([0, 0, 1, 2, -1], np.int32), rng.random(5).astype(np.float32))
    chance = chance_of(Pairset.open(tiny.root), "image>image", clusters)
    assert chance.source == "soft assignment"
    full = np.zeros((5, 3))
    for row, (own, sure) in enumerate(zip(clusters.ids, clusters.confidences, strict=True)):
        if own >= 0:
            full[row] = (1 - float(sure)) / 2
            full[row, own] = sure
    left, right = np.array([0, 0, 2, 0, 4]), np.array([1, 2, 3, 4, 4])
    found = chance.of(left, right, np.zeros(5, np.float32))
    np.testing.assert_allclose(found, (full[left] * full[right]).sum(axis=1), atol=1e-6)


def test_pairs_of_a_contradicted_component_wait(tiny, pairset, tmp_path):
    a, b = next(iter(listed(tiny)))
    third = next(at for at in range(300) if at not in (a, b))
    path = tmp_path / "q.jsonl"
    keys = [tiny.keys[at] for at in (a, b, third)]
    log.append(
        path,
        [
            log.answer((keys[0], keys[2]), "yes", "x"),
            log.answer((keys[1], keys[2]), "yes", "x"),
            log.answer((keys[0], keys[1]), "no", "x"),
        ],
    )
    found = ask(pairset, path, AskOptions(budget=100_000, per_sample=1000))
    assert found.facts["conflicts"] == 1
    assert sorted(found.facts["conflicting"][0]) == sorted(keys[:2])
    named = {row for pair in ids(tiny, found.questions) for row in pair}
    assert named.isdisjoint({a, b, third})


def test_what_the_pairset_was_mined_with_is_known(tiny):
    people = tiny.root / "people"
    people.mkdir()
    pairs = list(listed(tiny))[:50]
    lines = [{"key_a": tiny.keys[a], "key_b": tiny.keys[b], "answer": "unsure"} for a, b in pairs]
    (people / "oracle.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    with edit_manifest(tiny.root) as manifest:
        manifest["miners"].append({"id": "oracle", "miner": "oracle"})
    found = ask(Pairset.open(tiny.root), options=AskOptions(budget=100_000, per_sample=1000))
    asked = {frozenset(p) for p in ids(tiny, found.questions)}
    assert asked == {frozenset(p) for p in listed(tiny)} - {frozenset(p) for p in pairs}


def test_what_cannot_be_asked_is_said(tiny, pairset, tmp_path):
    with pytest.raises(UsageError, match="Spaces with one: image"):
        ask(pairset, options=AskOptions(space="caption"))
    with pytest.raises(UsageError, match="no clusters 'x'; it has: none"):
        ask(pairset, options=AskOptions(clusters="x"))
    path = tmp_path / "q.jsonl"
    log.append(path, [log.answer(("who", "what"), "yes", "")])
    with pytest.raises(DataError, match="2 of 2 keys are no keys of this corpus"):
        ask(pairset, path)
    assert not (tiny.root / "questions.jsonl").exists()


def test_a_calibrated_chance_is_the_step_below(pairset):
    chance = chance_of(pairset, "image>image", None)
    assert isinstance(chance, Chance)
    assert chance.source == "calibrated"
    cosine = np.array([-0.5, 0.2, 0.49999, 0.5, 0.79, 0.8, 1.0], np.float32)
    none = np.zeros(7, np.int64)
    expected = [0.1, 0.1, 0.1, 0.6, 0.6, 0.95, 0.95]
    assert chance.of(none, none, cosine).tolist() == expected
