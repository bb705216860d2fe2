"""Hub corrections against brute force: r, the corrected lists, their recall, and what they mend."""

from __future__ import annotations

import faiss
import numpy as np
import pytest
from vector_corpus import clustered, gather, lattice, unit

from curate.manifests.errors import DataError
from curate.manifests.hubness import hubness
from curate.stages.neighbors.exact import Pool
from curate.stages.neighbors.graph import Graph
from curate.stages.neighbors.hubs import Hubs, mean_nearest
from curate.stages.neighbors.index import BuildIndex
from curate.stages.neighbors.join import Join
from curate.stages.neighbors.lifted import Lifted
from curate.stages.neighbors.recall import Recall, occurrences


def build(corpus, rows, groups, by="csls", k=6, bank=None, splits=None, hubs=None, **index):
    query = corpus.vectors(rows)
    inputs = {
        "query": query,
        "bank": query if bank is None else corpus.vectors(bank),
        "samples": corpus.samples(len(rows), splits),
        "groups": corpus.groups(np.asarray(groups)),
    }
    inputs["index"] = corpus.run(
        BuildIndex(space="b", k=k, **index), vectors=inputs["bank"], samples=inputs["samples"]
    )
    settings = {"k": 4, "alpha": 0.75, **(hubs or {})}
    inputs["hubs"] = corpus.run(Hubs(graph="a>b", by=by, **settings), **inputs)
    inputs["join"] = corpus.run(Join(graph="a>b", k=k, overfetch=2), **inputs)
    inputs["graph"] = corpus.run(Graph(graph="a>b", k=k), **inputs)
    return inputs


def reference_means(left, right, k, groups, train):
    """r of each row of `left` over the training rows of `right`, in float64, by full sorts."""
    products = left.astype(np.float64) @ right.astype(np.float64).T
    out = np.zeros(len(left))
    for row in range(len(left)):
        may = train & right.any(axis=1) & (groups != groups[row])
        best = np.sort(products[row, may])[::-1][:k]
        if left[row].any() and len(best):
            out[row] = best.mean()
    return out


def reference_lists(rows, bank, k, groups, splits, score):
    """Ids by falling score, ties by id, behind every gate; score [n, n] float64."""
    names = np.array(splits)
    shut = (groups[:, None] == groups[None]) | (names[:, None] != names[None])
    shut |= ~rows.any(axis=1)[:, None] | ~bank.any(axis=1)[None]
    ids = np.full((len(rows), k), -1)
    for row in range(len(rows)):
        there = np.flatnonzero(~shut[row])
        order = there[np.lexsort((there, -score[row, there]))][:k]
        ids[row, : len(order)] = order
    return ids


def check_lists(inputs, rows, bank, k, groups, splits, penalty):
    """Equal to brute force; what lies within 1e-6 may change places. Cosines are stored."""
    cosine = rows.astype(np.float64) @ bank.astype(np.float64).T
    score = cosine - penalty[None]
    want = reference_lists(rows, bank, k, groups, splits, score)
    ids, sims = gather(inputs["graph"], "ids.npy"), gather(inputs["graph"], "sims.npy")
    np.testing.assert_array_equal(ids == -1, want == -1)
    take = lambda table, at: np.where(at == -1, 0, np.take_along_axis(table, np.maximum(at, 0), 1))  # noqa: E731
    np.testing.assert_allclose(take(score, ids), take(score, want), atol=1e-6)
    np.testing.assert_allclose(sims, take(cosine, ids), atol=1e-6)
    assert (np.diff(take(cosine, ids), axis=1) > 1e-3).any(), "the correction changed no order"
    return ids, want


@pytest.mark.parametrize("by", ["csls", "nnn"])
@pytest.mark.parametrize("exact_below", [None, 10])
def test_two_spaces_equal_brute_force(corpus, by, exact_below):
    rows, bank = clustered(0, 420, clusters=9), clustered(1, 420, clusters=15, spread=0.8)
    rows[11], bank[17] = 0, 0
    bank[100:110] = bank[40]
    groups = np.arange(420) // 3
    splits = [["train", "val"][i % 5 == 0] for i in range(420)]
    train = np.array(splits) == "train"
    options = {"exact_below": exact_below, "min_recall": 1.0}
    inputs = build(corpus, rows, groups, by, bank=bank, splits=splits, **options)
    means = reference_means(bank, rows, 4, groups, train)
    np.testing.assert_allclose(gather(inputs["hubs"], "bank.npy"), means, atol=1e-6)
    asked = reference_means(rows, bank, 4, groups, train) if by == "csls" else np.zeros(420)
    np.testing.assert_allclose(gather(inputs["hubs"], "query.npy"), asked, atol=1e-6)
    weight = 0.5 if by == "csls" else 0.75
    check_lists(inputs, rows, bank, 6, groups, splits, weight * means)
    facts = corpus.run(Recall(graph="a>b", k=6, min_recall=0), **inputs).receipts[0].facts
    assert facts["recall"]["value"] == 1.0
    assert facts["correction"]["by"] == by
    assert facts["correction"]["weight"] == weight
    assert facts["correction"]["query_reference"] == train[rows.any(axis=1)].sum()


@pytest.mark.parametrize("exact_below", [None, 10])
def test_one_space_with_large_groups_and_equal_rows(corpus, exact_below):
    rows = clustered(2, 300, clusters=10, spread=0.4)
    rows[50:80] = rows[50]
    groups = np.arange(300)
    groups[50:80] = 50
    groups[100:140] = 100
    splits = ["train"] * 300
    options = {"exact_below": exact_below, "min_recall": 1.0}
    inputs = build(corpus, rows, groups, splits=splits, **options)
    means = reference_means(rows, rows, 4, groups, np.ones(300, bool))
    np.testing.assert_allclose(gather(inputs["hubs"], "bank.npy"), means, atol=1e-6)
    check_lists(inputs, rows, rows, 6, groups, splits, 0.5 * means)


def test_lists_of_exact_ties_are_in_the_order_of_ids(corpus):
    """On a lattice all products and means of four are exact, so nothing may change places."""
    rows, bank = lattice(3, 260, 10), lattice(4, 260, 10)
    groups, splits = np.arange(260) // 2, ["train"] * 260
    inputs = build(corpus, rows, groups, "nnn", bank=bank, splits=splits, hubs={"alpha": 2.0})
    means = reference_means(bank, rows, 4, groups, np.ones(260, bool))
    ids, want = check_lists(inputs, rows, bank, 6, groups, splits, 2 * means)
    np.testing.assert_array_equal(ids, want)


def test_the_order_is_that_of_two_stored_numbers(corpus):
    """Whoever reads float32 cosines and means finds them in order to the last bit."""
    rows = clustered(4, 400, clusters=5)
    inputs = build(corpus, rows, np.arange(400), splits=["train"] * 400)
    ids, sims = gather(inputs["graph"], "ids.npy"), gather(inputs["graph"], "sims.npy")
    means = gather(inputs["hubs"], "bank.npy")
    assert sims.dtype == means.dtype == np.float32
    score = sims - np.float32(0.5) * means[ids]
    assert (np.diff(score, axis=1) <= 0).all()


def planted(seed, n, hubs, d=24):
    """Captions around their images, and `hubs` captions at the mean of all images."""
    rng = np.random.default_rng(seed)
    lean = rng.normal(size=d)
    images = unit(rng.normal(size=(n, d)) + lean)
    captions = images.astype(np.float32) + 0.25 * rng.normal(size=(n, d))
    captions[:hubs] = images.astype(np.float32).mean(axis=0) + 0.01 * rng.normal(size=(hubs, d))
    return images, unit(captions)


@pytest.mark.parametrize("by", ["csls", "nnn"])
def test_planted_hubs_lose_their_places(corpus, by):
    images, captions = planted(5, 500, 5)
    inputs = build(corpus, images, np.arange(500), by, bank=captions, splits=["train"] * 500,
                   hubs={"k": 10})  # fmt: skip
    raw = {name: item for name, item in inputs.items() if name not in ("hubs", "join", "graph")}
    raw["join"] = corpus.run(Join(graph="a>b", k=6, overfetch=2), **raw)
    raw["graph"] = corpus.run(Graph(graph="a>b", k=6), **raw)
    before, after = occurrences(raw["graph"], 500), occurrences(inputs["graph"], 500)
    assert before[:5].min() > 100, "these are hubs"
    assert after[:5].max() < before[:5].min() / 2
    assert hubness(after)["skewness"] < 0.8 * hubness(before)["skewness"]
    told = corpus.run(Recall(graph="a>b", k=6), **inputs).receipts[0].facts["correction"]
    assert told["before"] == hubness(before)
    assert told["after"] == hubness(after)
    assert told["queries"] == 500


def test_what_is_evaluated_on_teaches_nothing(corpus):
    """Other vectors in split test change no mean of the training rows, nor the test rows' own."""
    rows = clustered(6, 200)
    splits = ["test" if i % 4 == 0 else "train" for i in range(200)]
    test = np.array(splits) == "test"
    first = gather(build(corpus, rows, np.arange(200), splits=splits)["hubs"], "bank.npy")
    other = rows.copy()
    other[np.flatnonzero(test)[1:]] = clustered(7, int(test.sum()) - 1)
    again = gather(build(corpus, other, np.arange(200), splits=splits)["hubs"], "bank.npy")
    same = ~test
    same[0] = True
    np.testing.assert_array_equal(first[same], again[same])
    assert (first[~same] != again[~same]).all()


def test_splits_without_train_are_refused_and_one_split_is_all(corpus):
    rows = clustered(8, 60)
    with pytest.raises(DataError, match=r"'a', 'b'.*correct"):
        build(corpus, rows, np.arange(60), splits=["a", "b"] * 30)
    facts = build(corpus, rows, np.arange(60), splits=["all"] * 60)["hubs"].receipts[0].facts
    assert facts["split"] == "all"
    assert facts["bank_reference"] == 60


def test_a_large_reference_is_drawn_the_same_way_every_time(corpus):
    rows = clustered(9, 300)
    options = {"splits": ["train"] * 300, "hubs": {"reference": 50, "seed": 3}}
    inputs = build(corpus, rows, np.arange(300), **options)
    assert inputs["hubs"].receipts[0].facts["bank_reference"] == 50
    first = gather(inputs["hubs"], "bank.npy")
    again = build(corpus, rows, np.arange(300), **options)
    np.testing.assert_array_equal(first, gather(again["hubs"], "bank.npy"))
    options["hubs"]["seed"] = 4
    other = build(corpus, rows, np.arange(300), **options)
    assert (first != gather(other["hubs"], "bank.npy")).any()


def test_bytes_do_not_depend_on_threads_or_parts(corpus):
    rows, splits = clustered(10, 350, d=48), ["train"] * 350
    found = []
    for threads, part in ((1, 350), (2, 37)):
        corpus.part_rows = part
        faiss.omp_set_num_threads(threads)
        for exact_below in (None, 10):
            inputs = build(corpus, rows, np.arange(350), splits=splits, exact_below=exact_below,
                           min_recall=1.0)  # fmt: skip
            found.append([gather(inputs["graph"], name).tobytes() for name in
                          ("ids.npy", "sims.npy")])  # fmt: skip
            found[-1].append(gather(inputs["hubs"], "bank.npy").tobytes())
    faiss.omp_set_num_threads(1)
    assert all(item == found[0] for item in found)


def test_groups_larger_than_the_spare_places_are_searched_past():
    """A pool in which the own group fills every fetched place; 0 where nothing else is left."""
    rows = clustered(11, 120, clusters=2, spread=0.2).astype(np.float32)
    groups = np.where(np.arange(120) < 90, 0, 1)
    pool = Pool(Lifted(rows_of(rows), np.zeros(120, np.float32)).rows, np.arange(120))
    found = mean_nearest(rows[:5], np.arange(5), pool, 3, groups)
    want = np.sort(rows[:5].astype(np.float64) @ rows[90:].T.astype(np.float64), axis=1)[:, -3:]
    np.testing.assert_allclose(found, want.mean(axis=1), atol=1e-6)
    assert (mean_nearest(rows[:5], np.arange(5), pool, 3, np.zeros(120, int)) == 0).all()


def rows_of(values):
    class Memory:
        def take(self, ids):
            return values[ids]

    return Memory()
