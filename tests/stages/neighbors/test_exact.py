"""Exact search against a full float64 sort, on data made of ties."""

from __future__ import annotations

import faiss
import numpy as np
import pytest
from vector_corpus import clustered, lattice, unit

from curate.manifests.vectors import pair_similarity, widen
from curate.stages.neighbors import exact
from curate.stages.neighbors.exact import Gate, Pool, nearest, scan
from curate.stages.neighbors.ranking import Held, keep_lists, merge_lists, sort_lists


def reference(q, b, k, ids):
    sims = q.astype(np.float64) @ b[ids].astype(np.float64).T
    order = np.stack([np.lexsort((ids, -row))[:k] for row in sims])
    return ids[order], np.take_along_axis(sims, order, 1)


@pytest.mark.parametrize("search", [nearest, scan])
@pytest.mark.parametrize("n", [40, 700])
def test_ties_go_to_the_lower_id(search, n):
    bank = lattice(0, n)
    ids = np.flatnonzero(np.arange(n) % 3 != 1)
    found, sims = search(widen(bank), Pool(Held(bank), ids), 10)
    want, want_sims = reference(bank, bank, 10, ids)
    np.testing.assert_array_equal(found, want)
    np.testing.assert_array_equal(sims, want_sims.astype(np.float32))


@pytest.mark.parametrize("search", [nearest, scan])
def test_all_rows_identical(search):
    bank = np.tile(lattice(1, 1), (3000, 1))
    found, _ = search(widen(bank[:5]), Pool(Held(bank), np.arange(3000)), 7)
    np.testing.assert_array_equal(found, np.tile(np.arange(7), (5, 1)))


def test_blocks_do_not_matter(monkeypatch):
    bank = clustered(2, 900)
    pool = Pool(Held(bank), np.arange(900))
    whole = nearest(widen(bank), pool, 12)
    monkeypatch.setattr(exact, "BLOCK_ROWS", 64)
    monkeypatch.setattr(exact, "_SCAN_ROWS", 50)
    for again in (nearest(widen(bank), pool, 12), scan(widen(bank), pool, 12)):
        np.testing.assert_array_equal(again[0], whole[0])
        assert again[1].tobytes() == whole[1].tobytes()


def test_threads_and_batches_do_not_matter():
    bank = clustered(3, 1500, d=64)
    pool = Pool(Held(bank), np.arange(1500))
    queries = widen(bank)
    threads = faiss.omp_get_max_threads()
    results = []
    for count in (1, 2):
        faiss.omp_set_num_threads(count)
        results.append(nearest(queries, pool, 20))
    faiss.omp_set_num_threads(threads)
    parts = [nearest(queries[i : i + 7], pool, 20) for i in range(0, 1500, 7)]
    results.append(tuple(np.concatenate(side) for side in zip(*parts, strict=True)))
    for ids, sims in results[1:]:
        np.testing.assert_array_equal(ids, results[0][0])
        assert sims.tobytes() == results[0][1].tobytes()


def test_what_faiss_leaves_out_is_found_again(monkeypatch):
    """A search that returns ties in the wrong order, as FAISS does, is put right."""
    bank = lattice(4, 400, d=4)
    calls = []
    real = exact.scan
    monkeypatch.setattr(exact, "scan", lambda *a, **k: calls.append(len(a[0])) or real(*a, **k))
    found, _ = nearest(widen(bank), Pool(Held(bank), np.arange(400)), 5)
    assert calls
    np.testing.assert_array_equal(found, reference(bank, bank, 5, np.arange(400))[0])


def test_gate_keeps_the_own_group_out():
    bank = clustered(5, 300)
    groups = np.arange(300) // 4
    found, _ = scan(widen(bank), Pool(Held(bank), np.arange(300)), 9, gate=Gate(groups, groups))
    sims = bank.astype(np.float64) @ bank.astype(np.float64).T
    sims[groups[:, None] == groups[None, :]] = -9
    want = np.sort(sims, axis=1)[:, ::-1][:, :9]
    np.testing.assert_allclose(np.take_along_axis(sims, found, 1), want, atol=1e-6)


def test_pool_smaller_than_the_list():
    bank = clustered(6, 5)
    for search in (nearest, scan):
        found, sims = search(widen(bank), Pool(Held(bank), np.array([1, 3])), 4)
        assert (np.sort(found[:, :2]) == [1, 3]).all()
        assert (found[:, 2:] == -1).all()
        assert (sims[:, 2:] == 0).all()
        none = search(widen(bank), Pool(Held(bank), np.zeros(0, np.int64)), 4)
        assert (none[0] == -1).all()


def test_kept_similarities_are_those_of_pair_similarity():
    bank = clustered(7, 200)
    found, sims = nearest(widen(bank), Pool(Held(bank), np.arange(200)), 6)
    again = pair_similarity(widen(bank)[:, None, :], widen(bank[found]))
    assert again.tobytes() == sims.tobytes()


def test_gpu_search_gives_the_same_lists(monkeypatch):
    """The GPU function is another producer of candidates; here FAISS on the CPU plays it."""
    bank = unit(np.random.default_rng(8).normal(size=(500, 24)))
    pool = Pool(Held(bank), np.arange(500))
    want = nearest(widen(bank), pool, 11, "cpu")
    used = []

    def knn_gpu(_, queries, block, k, metric):
        used.append(len(block))
        return faiss.knn(queries, block + np.float32(1e-7), k, metric=metric)

    monkeypatch.setattr(faiss, "get_num_gpus", lambda: 1)
    monkeypatch.setattr(faiss, "StandardGpuResources", object, raising=False)
    monkeypatch.setattr(faiss, "knn_gpu", knn_gpu, raising=False)
    got = nearest(widen(bank), pool, 11, "auto")
    assert used == [500]
    np.testing.assert_array_equal(got[0], want[0])
    assert got[1].tobytes() == want[1].tobytes()


def test_list_helpers():
    ids = np.array([[7, -1, 3, 5]])
    sims = np.array([[0.5, 0.9, 0.5, 0.8]], np.float32)
    got, values = sort_lists(ids, sims)
    assert got.tolist() == [[5, 3, 7, -1]]
    assert values[0, 3] == 0
    kept, _ = keep_lists(got, values, got != 3, 5)
    assert kept.tolist() == [[5, 7, -1, -1, -1]]
    rows = np.array([1, 1, 0, 1])
    merged, _ = merge_lists(
        rows, np.array([9, 4, 2, 6]), np.array([1, 1, 0, 2.0], np.float32), 3, 2
    )
    assert merged.tolist() == [[2, -1], [6, 4], [-1, -1]]
    empty, _ = merge_lists(rows[:0], rows[:0], sims[0, :0], 2, 2)
    assert (empty == -1).all()


def test_widen_is_exact_for_every_finite_half():
    halves = np.arange(65536, dtype=np.uint16).view(np.float16)
    finite = halves[np.isfinite(halves)]
    want = finite.astype(np.float32)
    assert widen(finite).tobytes() == want.tobytes()
    matrix = finite[:1000].reshape(50, 20)[:, ::2]
    assert widen(matrix).tobytes() == matrix.astype(np.float32).tobytes()
