"""The graph and its recall against brute force with every gate."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from vector_corpus import assert_lists, brute_force, clustered, gather, lattice

from curate.manifests.errors import DataError
from curate.manifests.hubness import hubness
from curate.stages.neighbors.graph import Graph
from curate.stages.neighbors.index import BuildIndex
from curate.stages.neighbors.join import Join
from curate.stages.neighbors.recall import Recall, occurrences


def build(corpus, rows, groups, k=6, overfetch=2, bank=None, splits=None, **index):
    query = corpus.vectors(rows)
    inputs = {
        "query": query,
        "bank": query if bank is None else corpus.vectors(bank),
        "samples": corpus.samples(len(rows), splits),
        "groups": corpus.groups(groups),
    }
    inputs["index"] = corpus.run(
        BuildIndex(space="b", k=k, **index), vectors=inputs["bank"], samples=inputs["samples"]
    )
    inputs["join"] = corpus.run(Join(graph="a>b", k=k, overfetch=overfetch), **inputs)
    inputs["graph"] = corpus.run(Graph(graph="a>b", k=k), **inputs)
    return inputs


def lists(inputs):
    return gather(inputs["graph"], "ids.npy"), gather(inputs["graph"], "sims.npy")


def total(inputs, fact):
    return sum(receipt.facts[fact] for receipt in inputs["graph"].receipts)


def full(rows, bank):
    return rows.astype(np.float64) @ bank.astype(np.float64).T


@pytest.mark.parametrize("exact_below", [None, 10])
def test_groups_larger_than_the_lists_are_searched_past(corpus, exact_below):
    rows = clustered(0, 400, clusters=12, spread=0.3)
    sims = full(rows, rows)
    groups = np.argmax(sims > 0.75, axis=1)
    groups = groups[groups]
    splits = [["train", "val"][i % 6 == 0] for i in range(400)]
    options = {"exact_below": exact_below, "min_recall": 1.0}
    inputs = build(corpus, rows, groups, splits=splits, **options)
    assert np.bincount(groups).max() > 20
    assert total(inputs, "searched_again") > 100
    assert total(inputs, "short_rows") == 0
    assert_lists(*lists(inputs), brute_force(rows, rows, 6, splits, groups), sims)


def test_ties_are_exact_behind_the_gates(corpus):
    rows = lattice(1, 300, 6)
    groups = np.arange(300) // 40
    inputs = build(corpus, rows, groups)
    want, sims = brute_force(rows, rows, 6, None, groups)
    np.testing.assert_array_equal(lists(inputs)[0], want)
    np.testing.assert_array_equal(lists(inputs)[1], sims.astype(np.float32))


def test_equal_captions_of_several_groups(corpus):
    """Rows that are equal in the bank may belong to groups that the query's image does not."""
    images = clustered(2, 200)
    captions = clustered(3, 5)[np.random.default_rng(3).integers(0, 5, 200)]
    groups = np.arange(200) // 3 * 3
    inputs = build(corpus, images, groups, bank=captions)
    truth = brute_force(images, captions, 6, None, groups)
    np.testing.assert_array_equal(lists(inputs)[0], truth[0])


def test_rows_with_too_few_candidates_are_short(corpus):
    rows = clustered(4, 60)
    rows[7] = 0
    splits = ["train"] * 55 + ["val"] * 5
    inputs = build(corpus, rows, np.arange(60), splits=splits)
    assert_lists(*lists(inputs), brute_force(rows, rows, 6, splits), full(rows, rows))
    assert total(inputs, "short_rows") == 5
    assert total(inputs, "searched_again") == 0


def test_everything_in_one_group_leaves_nothing(corpus):
    rows = clustered(5, 120)
    inputs = build(corpus, rows, np.zeros(120))
    assert (lists(inputs)[0] == -1).all()
    assert total(inputs, "short_rows") == 120


def test_recall_is_what_brute_force_says(corpus):
    rows = clustered(6, 1200, d=24, clusters=60, spread=0.9)
    groups = np.arange(1200) // 2 * 2
    inputs = build(corpus, rows, groups, exact_below=10, min_recall=0.3)
    done = corpus.run(Recall(graph="a>b", k=6, min_recall=0.0, queries=500), **inputs)
    table, facts = done.table("part-00000"), done.receipts[0].facts
    probe = table["sample_id"].to_numpy()
    assert len(np.unique(probe)) == 500
    want = brute_force(rows, rows, 6, None, groups)[0][probe]
    have = lists(inputs)[0][probe]
    hits = np.array([len(np.intersect1d(a, b)) for a, b in zip(want, have, strict=True)])
    np.testing.assert_array_equal(table["found"].to_numpy(), hits)
    assert facts["recall"]["value"] == pytest.approx((hits / 6).mean(), abs=1e-6)
    assert facts["recall"]["value"] < 1
    assert facts["recall"]["low"] < facts["recall"]["value"] < facts["recall"]["high"]
    assert facts["recall"]["queries"] == 500
    again = corpus.run(Recall(graph="a>b", k=6, min_recall=0.0, queries=500), **inputs)
    assert again.table("part-00000").equals(table)
    with pytest.raises(DataError, match="exact_below above the number of samples"):
        corpus.run(Recall(graph="a>b", k=6, min_recall=0.999), **inputs)


def test_recall_of_an_exact_graph_is_one_even_with_ties(corpus):
    rows = lattice(7, 250, 6)
    inputs = build(corpus, rows, np.arange(250) // 5)
    facts = corpus.run(Recall(graph="a>b", k=6), **inputs).receipts[0].facts
    assert facts["recall"] == {
        "value": 1.0,
        "k": 6,
        "queries": 250,
        "low": facts["recall"]["low"],
        "high": 1.0,
    }
    assert 0.98 < facts["recall"]["low"] < 1


def test_hubs(corpus):
    rows = clustered(8, 300)
    inputs = build(corpus, rows, np.arange(300))
    ids = lists(inputs)[0]
    counts = occurrences(inputs["graph"], 300)
    table = pa.table({"id": ids.ravel()}).group_by("id").aggregate([("id", "count")])
    for row in table.to_pylist():
        assert counts[row["id"]] == row["id_count"]
    facts = hubness(counts)
    mean = counts.mean()
    want = ((counts - mean) ** 3).mean() / ((counts - mean) ** 2).mean() ** 1.5
    assert facts["skewness"] == pytest.approx(want, abs=1e-3)
    assert facts["top1_share"] == pytest.approx(np.sort(counts)[-3:].sum() / ids.size, abs=1e-5)
    assert hubness(np.full(10, 3))["skewness"] == 0
    assert hubness(np.zeros(10, np.int64))["top1_share"] == 0
    hub = np.array([100] + [0] * 99)
    assert hubness(hub)["top1_share"] == 1
    assert hubness(hub)["orphans"] == 0.99
