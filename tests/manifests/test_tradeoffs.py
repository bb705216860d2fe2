"""Trade-offs against loops over the same tables, and formulas against values known by hand."""

import math

import numpy as np
import pytest
from runs import curate, vector_config, vector_corpus

from curate.manifests.pairset import Pairset
from curate.manifests.tradeoffs import effective_rank, gini, tradeoffs


@pytest.fixture(scope="module")
def pairset(tmp_path_factory):
    root = tmp_path_factory.mktemp("tradeoffs")
    corpus = vector_corpus(root / "corpus", rows=150)
    config = vector_config(corpus, root / "c.yaml")
    curate("run", config, "-o", root / "out", "--ray", "off", "--no-report")
    return Pairset.open(root / "out")


def rows_of(pairset):
    samples = pairset.table("samples").to_pylist()
    vectors = np.concatenate(
        [
            np.load(pairset.root / f["path"])
            for f in pairset.manifest["embeddings"]["image"]["files"]
        ]
    ).astype(np.float64)
    return samples, vectors, pairset.table("pairs").to_pylist()


@pytest.mark.parametrize("role", ["positive", "negative"])
def test_every_miner_equals_a_loop(pairset, role):
    samples, vectors, pairs = rows_of(pairset)
    found = {entry["miner"]: entry for entry in tradeoffs(pairset)[f"{role}s"]}
    seen = set()
    for code, name in enumerate(pairset.manifest["kinds"]):
        same, cosines, distances, ranks = [], [], [], []
        for row in pairs:
            a = row["anchor_id"]
            mine = [
                b
                for b, kind in zip(row[f"{role}_ids"], row[f"{role}_kinds"], strict=True)
                if kind == code and b not in (-1, a)
            ]
            same += [samples[a]["label"] == samples[b]["label"] for b in mine]
            cosines += [float(vectors[a] @ vectors[b]) for b in mine]
            if len(mine) >= 2:
                others = [
                    1 - vectors[x] @ vectors[y] for i, x in enumerate(mine) for y in mine[i + 1 :]
                ]
                distances.append(np.mean(others))
                values = np.linalg.svd(vectors[[a, *mine]])[1]
                shares = values / values.sum()
                ranks.append(math.exp(-sum(p * math.log(p) for p in shares if p > 0)))
        if not same:
            continue
        seen.add(name)
        entry = found[name]
        assert (entry["places"], entry["judged"]) == (len(same), len(same))
        assert entry["relevant"] == pytest.approx(np.mean(same), abs=1e-6)
        assert entry["low"] <= entry["relevant"] <= entry["high"]
        assert entry["similarity"] == pytest.approx(np.mean(cosines), abs=2e-3)
        if role == "positive" and distances:
            assert entry["distance"] == pytest.approx(np.mean(distances), abs=2e-3)
            assert entry["effective_rank"] == pytest.approx(np.mean(ranks), abs=2e-2)
    assert seen == set(found)
    assert seen


def test_skew_equals_a_loop(pairset):
    samples, _, pairs = rows_of(pairset)
    found = tradeoffs(pairset)["skew"]
    assert set(found) == {"label", "camera"}
    for name, column in (("label", "label"), ("camera", "attr_camera")):
        values = [row[column] for row in samples]
        known = sorted(set(values))
        used = [values[b] for row in pairs for b in row["negative_ids"] if b >= 0]
        entry = found[name]
        assert entry["values"] == len(known)
        assert entry["covered"] == 1
        assert entry["gini_samples"] == pytest.approx(by_pairs(values, known), abs=1e-4)
        assert entry["gini_negatives"] == pytest.approx(by_pairs(used, known), abs=1e-4)


def by_pairs(values, known):
    """The Gini index as half the mean absolute difference over the mean."""
    counts = [values.count(value) for value in known]
    total = sum(abs(a - b) for a in counts for b in counts)
    return total / (2 * len(counts) ** 2 * np.mean(counts))


def test_a_draw_is_a_part_of_the_rows_and_repeats(pairset):
    few = tradeoffs(pairset, anchors=20)
    assert few == tradeoffs(pairset, anchors=20)
    assert few["anchors"] == 20
    assert few != tradeoffs(pairset, anchors=20, seed=1)


def test_formulas_at_their_ends():
    assert gini(np.array([5, 5, 5])) == 0
    assert gini(np.array([0, 0, 0, 8])) == pytest.approx(0.75)
    assert gini(np.zeros(4)) == 0
    assert effective_rank(np.ones((4, 3))) == pytest.approx(1)
    assert effective_rank(np.eye(5)) == pytest.approx(5)


@pytest.mark.parametrize("captions", [True, False])
def test_without_labels_captions_judge_or_nothing(tmp_path, captions):
    corpus = vector_corpus(tmp_path / "corpus", rows=150)
    text = (corpus / "table.jsonl").read_text().replace('"label"', '"nothing"')
    (corpus / "table.jsonl").write_text(text)
    noise = np.random.default_rng(0).normal(size=(150, 16))
    noise[::2] = noise[1::2]  # Captions of two neighbours say the same, and no others do.
    np.save(corpus / "caption.npy", noise.astype(np.float32))
    spaces = {
        of: {"of": of, "encoder": "array", "path": str(corpus / f"{of}.npy")}
        for of in (("image", "caption") if captions else ("image",))
    }
    config = vector_config(
        corpus,
        tmp_path / "c.yaml",
        spaces=spaces,
        positives=[{"miner": "knn", "k": 2}],
        false_negatives=[],
    )
    curate("run", config, "-o", tmp_path / "out", "--ray", "off", "--no-report")
    pairset = Pairset.open(tmp_path / "out")
    entry = tradeoffs(pairset)["positives"][0]
    assert entry["similarity"] > 0
    if not captions:
        assert (tradeoffs(pairset)["judge"], entry["judged"], entry["relevant"]) == (
            "unknown",
            0,
            None,
        )
        return
    same = [
        b // 2 == row["anchor_id"] // 2
        for row in pairset.table("pairs").to_pylist()
        for b in row["positive_ids"]
        if b not in (-1, row["anchor_id"])
    ]
    assert tradeoffs(pairset)["judge"] == "caption"
    assert entry["judged"] == len(same)
    assert entry["relevant"] == pytest.approx(np.mean(same), abs=0.02)
