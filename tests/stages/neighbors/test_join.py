"""The join against brute force: ties, splits, zero rows, equal rows, two spaces, shards."""

from __future__ import annotations

import faiss
import numpy as np
import pytest
from vector_corpus import Corpus, assert_lists, brute_force, clustered, gather, lattice, unit

from curate.manifests.errors import DataError
from curate.stages.neighbors import ivf
from curate.stages.neighbors.index import BuildIndex
from curate.stages.neighbors.join import Join


def join(corpus, query, bank=None, splits=None, k=8, overfetch=4, **index):
    query_artifact = corpus.vectors(query)
    bank_artifact = query_artifact if bank is None else corpus.vectors(bank)
    samples = corpus.samples(len(query), splits)
    built = corpus.run(BuildIndex(space="b", k=k, **index), vectors=bank_artifact, samples=samples)
    inputs = {"query": query_artifact, "bank": bank_artifact, "samples": samples, "index": built}
    done = corpus.run(Join(graph="a>b", k=k, overfetch=overfetch), **inputs)
    return done, built


def lists(done):
    return gather(done, "ids.npy"), gather(done, "sims.npy")


def full(query, bank):
    return query.astype(np.float64) @ bank.astype(np.float64).T


def zero_rows(rows):
    rows = rows.copy()
    rows[::11] = 0
    return rows


DATA = {
    "random": unit(np.random.default_rng(0).normal(size=(400, 24))),
    "clustered": clustered(1, 400),
    "duplicated": clustered(2, 60)[np.random.default_rng(2).integers(0, 60, 400)],
    "identical": np.tile(clustered(3, 1), (300, 1)),
    "zero_rows": zero_rows(clustered(4, 400)),
    "one_row": clustered(5, 1),
    "fewer_than_k": clustered(6, 9),
    "all_zero": np.zeros((30, 8), np.float16),
}


@pytest.mark.parametrize("name", DATA)
def test_equals_brute_force(corpus, name):
    rows = DATA[name]
    done, _ = join(corpus, rows)
    assert_lists(*lists(done), brute_force(rows, rows, 12), full(rows, rows))


@pytest.mark.parametrize("seed", range(3))
def test_exact_ties_come_in_the_order_of_ids(corpus, seed):
    rows = lattice(seed, 500, 8)
    splits = [["train", "val", ""][i % 7 % 3] for i in range(500)]
    done, _ = join(corpus, rows, splits=splits)
    want, sims = brute_force(rows, rows, 12, splits)
    np.testing.assert_array_equal(lists(done)[0], want)
    np.testing.assert_array_equal(lists(done)[1], sims.astype(np.float32))


@pytest.mark.parametrize("exact_below", [None, 10])
def test_splits_never_mix(corpus, exact_below):
    rows = clustered(7, 500)
    splits = [["train", "val"][i % 5 == 0] for i in range(500)]
    done, _ = join(corpus, rows, splits=splits, exact_below=exact_below, min_recall=1.0)
    assert_lists(*lists(done), brute_force(rows, rows, 12, splits), full(rows, rows))


@pytest.mark.parametrize("exact_below", [None, 10])
def test_two_spaces(corpus, exact_below):
    images, captions = clustered(8, 450), zero_rows(clustered(9, 450))
    images[3] = 0
    done, _ = join(corpus, images, captions, exact_below=exact_below, min_recall=1.0)
    assert_lists(*lists(done), brute_force(images, captions, 12), full(images, captions))
    assert done.receipts[0].facts["exact"] is (exact_below is None)


@pytest.mark.parametrize("exact_below", [None, 10])
def test_bytes_do_not_depend_on_threads_or_part_size(tmp_path, exact_below):
    rows = clustered(10, 700, d=48)
    rows[::9] = rows[5]
    seen = []
    threads = faiss.omp_get_max_threads()
    for count, part_rows in ((1, 97), (2, 97), (1, 350), (2, 13)):
        faiss.omp_set_num_threads(count)
        folder = tmp_path / f"{count}-{part_rows}"
        done, built = join(Corpus(folder, part_rows), rows, exact_below=exact_below)
        ids, sims = lists(done)
        indexes = [built.file(part, "faiss").read_bytes() for part in built.parts]
        seen.append((ids.tobytes(), sims.tobytes(), indexes))
    faiss.omp_set_num_threads(threads)
    assert all(item == seen[0] for item in seen[1:])


def test_shards_do_not_change_the_lists(corpus):
    rows = zero_rows(clustered(11, 900))
    whole, one = join(corpus, rows, exact_below=10)
    small = 900 * (2 * 32 + 8) // 2
    cut, several = join(corpus, rows, exact_below=10, memory_bytes=small)
    assert len(one.parts) == 1
    assert len(several.parts) >= 3
    assert several.rows == 900
    assert lists(whole)[0].tobytes() == lists(cut)[0].tobytes()
    assert lists(whole)[1].tobytes() == lists(cut)[1].tobytes()
    counts = [faiss.read_index(str(several.file(p, "faiss"))).ntotal for p in several.parts]
    assert sum(counts) == int(rows.any(axis=1).sum())


def test_probes_are_as_few_as_the_recall_allows(corpus):
    rows = clustered(12, 1500, d=24, clusters=80, spread=0.8)
    found = {}
    for asked in (0.5, 1.0):
        done, built = join(corpus, rows, exact_below=10, min_recall=asked)
        facts = built.receipts[0].facts
        ids = lists(done)[0][:, :8]
        want = brute_force(rows, rows, 8)[0]
        hits = (ids[:, :, None] == want[:, None, :]).any(axis=2).mean()
        assert facts["nlist"] == 128
        assert hits >= asked
        assert hits == pytest.approx(facts["probe_recall"], abs=0.03)
        assert done.receipts[0].facts["nprobe"] == facts["nprobe"]
        found[asked] = facts["nprobe"]
    assert found[0.5] < found[1.0]


def test_inverted_lists_hold_every_vector_as_it_is_stored(corpus):
    rows = zero_rows(clustered(13, 400))
    _, built = join(corpus, rows, exact_below=10)
    index = faiss.read_index(str(built.file(built.parts[0], "faiss")))
    assert index.metric_type == faiss.METRIC_INNER_PRODUCT
    for row in (1, 5, 399):
        index.nprobe = index.nlist
        sims, ids = index.search(rows[row : row + 1].astype(np.float32), 1)
        assert ids[0, 0] == row
        assert sims[0, 0] == pytest.approx(float(full(rows, rows)[row, row]), abs=1e-6)
    ids = np.concatenate([ivf.get_invlist(index.invlists, i)[0] for i in range(index.nlist)])
    np.testing.assert_array_equal(np.sort(ids), np.flatnonzero(rows.any(axis=1)))


def test_flat_index_is_searchable_by_sample_id(corpus):
    rows = zero_rows(clustered(14, 200))
    _, built = join(corpus, rows)
    index = faiss.read_index(str(built.file(built.parts[0], "faiss")))
    sims, ids = index.search(rows[[1, 7]].astype(np.float32), 3)
    want = np.sort(full(rows, rows)[[1, 7]], axis=1)[:, ::-1][:, :3]
    np.testing.assert_allclose(sims, want, atol=1e-6)
    assert index.ntotal == int(rows.any(axis=1).sum())
    assert ids[0, 0] == 1


def test_memory_does_not_name_the_index():
    small, large = BuildIndex(space="a", memory_bytes=1 << 20), BuildIndex(space="a")
    assert small.identity() == large.identity()
    assert BuildIndex(space="a", exact_below=60_000).identity() == large.identity()
    assert BuildIndex(space="a", exact_below=5).identity() != large.identity()


def test_lists_scale_with_the_root_of_the_rows():
    for rows in (100, 60_000, 1_000_000, 10_000_000):
        assert 2 * rows**0.5 <= ivf.list_count(rows) <= 8 * rows**0.5


def test_two_spaces_of_different_width_are_refused(corpus):
    rows = clustered(8, 40)
    with pytest.raises(DataError, match=r"neighbors\.a>b: the spaces have 24 and 16 dimensions"):
        join(corpus, unit(np.ones((40, 24))), bank=unit(np.ones((40, 16))))
    join(corpus, rows, bank=rows)
