"""Measures of assets against all cosines in float64, with groups, splits, zero rows and ties."""

import numpy as np
import pyarrow as pa
import pytest
from vector_corpus import Corpus, clustered, gather, lattice, unit

from curate.manifests.artifact import Output
from curate.stages.neighbors.assets import AssetNeighbors
from curate.stages.neighbors.index import BuildIndex

COUNT = 3


def measured(tmp_path, bank, assets, splits, groups, k=32, **index):
    corpus = Corpus(tmp_path, part_rows=40)
    n = len(bank)
    samples, vectors = corpus.samples(n, splits), corpus.vectors(bank)
    made, parts = [], []
    for low in range(0, n, 40):
        anchors = np.repeat(np.arange(low, min(low + 40, n)), COUNT)
        made.append(Output.of(pa.table({"key": [""] * len(anchors), "anchor_id": anchors})))
        parts.append(
            Output(len(anchors), {"npy": assets[low * COUNT : low * COUNT + len(anchors)]})
        )
    return corpus.run(
        AssetNeighbors(space="image", k=k),
        assets=corpus.write("made", made),
        query=corpus.write("asset-vectors", parts),
        bank=vectors,
        index=corpus.run(BuildIndex(space="image", **index), vectors=vectors, samples=samples),
        samples=samples,
        groups=corpus.groups(groups),
    )


def corpus_of(n, seed=0, ties=False):
    rng = np.random.default_rng(seed)
    bank = lattice(seed, n) if ties else clustered(seed, n)
    groups = np.arange(n)
    for i in range(5, n, 9):
        bank[i], groups[i] = bank[i - 1], groups[i - 1]
    splits = ["test" if g % 5 == 0 else "train" for g in groups]
    bank[7] = 0
    anchors = np.repeat(np.arange(n), COUNT)
    if ties:
        assets = lattice(seed + 1, n * COUNT)
        assets[::3] = bank[anchors[::3]]
    else:
        assets = unit(
            bank[anchors]
            + rng.choice([0.01, 0.1, 0.4], (len(anchors), 1))
            * rng.normal(size=(len(anchors), bank.shape[1]))
        )
    assets[11] = 0
    return bank, assets, splits, groups


@pytest.mark.parametrize("ties", [False, True])
def test_against_all_cosines(tmp_path, ties):
    n = 150
    bank, assets, splits, groups = corpus_of(n, ties=ties)
    found = measured(tmp_path, bank, assets, splits, groups)
    sims, ids = gather(found, "sims.npy"), gather(found, "nearest.npy")
    value = gather(found, "nearest_sims.npy")
    split, anchors = np.array(splits), np.repeat(np.arange(n), COUNT)
    b, a = bank.astype(np.float64), assets.astype(np.float64)
    nearer = 0
    for row, anchor in enumerate(anchors):
        if not a[row].any():
            assert (ids[row], value[row]) == (-1, 0)
            assert np.isnan(sims[row])
            continue
        cosines = b @ a[row]
        if bank[anchor].any():
            assert sims[row] == pytest.approx(cosines[anchor], abs=1e-6)
        else:
            assert np.isnan(sims[row])
        open_ = (split == split[anchor]) & (groups != groups[anchor]) & b.any(axis=1)
        order = np.flatnonzero(open_)
        best = order[np.lexsort((order, -cosines[order]))[0]]
        assert value[row] == pytest.approx(cosines[best], abs=1e-6)
        assert cosines[ids[row]] == pytest.approx(cosines[best], abs=1e-6)
        assert open_[ids[row]]
        if ties:
            assert ids[row] == best
        nearer += value[row] > sims[row]
    assert 10 < nearer < len(anchors) - 10


def test_an_inverted_file_gives_nearly_the_same(tmp_path):
    bank, assets, splits, groups = corpus_of(1200)
    exact = measured(tmp_path / "a", bank, assets, splits, groups)
    file = measured(tmp_path / "b", bank, assets, splits, groups, exact_below=100, k=32)
    np.testing.assert_array_equal(gather(exact, "sims.npy"), gather(file, "sims.npy"))
    same = gather(exact, "nearest.npy") == gather(file, "nearest.npy")
    assert same.mean() > 0.9


def test_random_pairs_are_told_in_their_order(tmp_path):
    bank, assets, splits, groups = corpus_of(150)
    found = measured(tmp_path, bank, assets, splits, groups)
    random = np.array(found.receipts[0].facts["random"])
    assert len(random) == 1001
    assert (np.diff(random) >= 0).all()
    b = bank[bank.any(axis=1)].astype(np.float64)
    cosines = (b @ b.T)[~np.eye(len(b), dtype=bool)]
    for share in (0.1, 0.5, 0.9):
        assert random[int(share * 1000)] == pytest.approx(np.quantile(cosines, share), abs=0.03)
    assert all(receipt.facts["random"] == random.tolist() for receipt in found.receipts)


def test_a_group_that_fills_the_list_leaves_no_other(tmp_path):
    bank = np.repeat(unit(np.eye(4)[:1]), 60, axis=0)
    found = measured(tmp_path, bank, np.repeat(bank, COUNT, axis=0), None, np.zeros(60, int), k=8)
    assert (gather(found, "nearest.npy") == -1).all()
    np.testing.assert_allclose(gather(found, "sims.npy"), 1, atol=1e-3)
