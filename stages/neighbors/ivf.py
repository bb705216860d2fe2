"""An inverted file: rows filed under the nearest of `nlist` centroids; a query looks into `nprobe`.

FAISS trains the centroids and holds the lists; the search runs list by list over all queries of a
block, because one product a list is far cheaper than one search a query, and because that is
where splits and folds can be kept apart. Lists and probes are chosen by `nearest`, so they do not
depend on threads either.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import faiss
import numpy as np
from faiss.contrib.inspect_tools import get_invlist

from ...manifests.sampling import draw_rows
from ...manifests.schema import NO_ID
from ...manifests.vectors import Rows, widen
from .exact import Pool, nearest, scan
from .folds import Folds
from .lifted import Lifted
from .ranking import Best, Held

LISTS = 4
"""Lists a square root of the rows: with one, a million rows cost three times the search."""
POINTS_PER_CENTROID = 40
ITERATIONS = 6
_BLOCK = 8192


def list_count(rows: int) -> int:
    """Return how many lists a bank gets: the power of two nearest LISTS * sqrt(rows)."""
    return min(1 << round(np.log2(LISTS * max(1, rows) ** 0.5)), max(1, rows))


def train(rows: Rows, valid: np.ndarray, lists: int, seed: int) -> np.ndarray:
    """Train centroids by spherical k-means on a drawn sample; return float32 [lists, d].

    One thread: how k-means rounds may depend on how many there are. Holds 40 * lists rows.
    """
    chosen = draw_rows(valid, POINTS_PER_CENTROID * lists, seed, "ivf/train")
    kmeans = faiss.Kmeans(
        rows.width,
        lists,
        niter=ITERATIONS,
        seed=seed & 0x7FFFFFFF,
        spherical=True,
        min_points_per_centroid=1,
        max_points_per_centroid=POINTS_PER_CENTROID,
    )
    threads = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(1)
    try:
        kmeans.train(widen(rows.take(chosen)))
    finally:
        faiss.omp_set_num_threads(threads)
    return np.asarray(kmeans.centroids, np.float32)


def build(rows: Rows, valid: np.ndarray, centroids: np.ndarray) -> faiss.IndexIVF:
    """File the rows `valid` under the centroids; values stay the float16 ones that are stored."""
    lists, dim = centroids.shape
    quantizer = faiss.IndexFlatIP(dim)
    quantizer.add(centroids)
    index = faiss.IndexIVFScalarQuantizer(
        quantizer,
        dim,
        lists,
        faiss.ScalarQuantizer.QT_fp16,
        faiss.METRIC_INNER_PRODUCT,
        False,  # by_residual: residuals would be rounded again
    )
    index.is_trained = True
    for start in range(0, len(valid), _BLOCK):
        ids = valid[start : start + _BLOCK]
        vectors = widen(rows.take(ids))
        homes = choose_lists(vectors, centroids, 1).reshape(-1)
        index.add_core(
            len(ids), faiss.swig_ptr(vectors), faiss.swig_ptr(ids), faiss.swig_ptr(homes)
        )
    return index


def centroids_of(index: faiss.IndexIVF) -> np.ndarray:
    """Return float32 [nlist, d]."""
    return index.quantizer.reconstruct_n(0, index.nlist)


def choose_lists(vectors: np.ndarray, centroids: np.ndarray, count: int) -> np.ndarray:
    """Return the `count` nearest lists of each vector, nearest first, int64 [n, count]."""
    pool = Pool(Held(centroids), np.arange(len(centroids)))
    # Lists are cells of the space itself: the last number of lifted rows is not asked.
    plain = np.ascontiguousarray(vectors[:, : centroids.shape[1]])
    return nearest(plain, pool, count, "cpu")[0]


def search(
    queries: np.ndarray,
    splits: np.ndarray,
    probes: np.ndarray,
    shards: Sequence[faiss.IndexIVF],
    folds: Folds,
    length: int,
) -> tuple[np.ndarray, np.ndarray]:
    """Return the `length` nearest folds of each query within its lists and its split.

    Args:
        queries: float32 [n, d], unit rows; lifted where the folds' bank is.
        splits: int32 [n], split code of each query.
        probes: int64 [n, nprobe], lists to look into, nearest first.
        shards: indexes with the same centroids, searched one after the other.
        folds: what may be found.
        length: neighbours wanted.

    Returns:
        ids int64 [n, length], -1 fill; similarities float32 [n, length], 0 there.
    """
    if not folds.pools:
        return np.full((len(queries), length), NO_ID), np.zeros((len(queries), length), np.float32)
    best = Best(queries, next(iter(folds.pools.values())).bank, length)
    several = len(folds.pools) > 1
    # The nearest list alone sets a floor that most rows of the other lists do not reach.
    for chosen in (probes[:, :1], probes[:, 1:]):
        for number, rows in _by_list(chosen):
            for index in shards:
                ids, vectors = _members(index, number, folds)
                if not len(ids):
                    continue
                products = queries[rows] @ vectors.T
                if several:
                    products[splits[rows, None] != folds.splits[ids]] = -np.inf
                best.offer_block(rows, ids, products)
        best.settle()
    return best.lists()


def choose_probes(
    queries: np.ndarray,
    splits: np.ndarray,
    centroids: np.ndarray,
    folds: Folds,
    wanted: float,
    ranks: tuple[int, int],
) -> tuple[int, float]:
    """Return the smallest number of lists that reaches a recall, and that recall.

    Nothing is searched twice: the exact neighbours are found once, and a neighbour is found with
    n probes if its list is among the first n of the query. Who wants all of them gets all lists:
    a probe cannot promise that.

    Args:
        queries: float32 [n, d], a probe of the queries.
        splits: int32 [n].
        centroids: float32 [nlist, d].
        folds: what may be found.
        wanted: the recall to reach.
        ranks: first and last (exclusive) rank of the neighbours that count: 1 for first leaves
            out the query itself.
    """
    lists = len(centroids)
    order = choose_lists(queries, centroids, lists)
    places = np.empty_like(order)
    np.put_along_axis(places, order, np.arange(lists)[None, :], axis=1)
    found = np.zeros(lists + 1, np.int64)
    total = 0
    for code, pool in folds.pools.items():
        rows = np.flatnonzero(splits == code)
        ids, _ = scan(queries[rows], pool, ranks[1])
        ids = ids[:, ranks[0] :]
        row, column = np.nonzero(ids != NO_ID)
        homes = _homes(pool, ids[row, column], centroids)
        found += np.bincount(places[rows[row], homes] + 1, minlength=lists + 1)
        total += len(row)
    reached = np.cumsum(found) / max(1, total)
    enough = np.flatnonzero(reached[1:] >= wanted) + 1
    probes = int(enough[0]) if len(enough) and wanted < 1 else lists
    return probes, float(reached[probes]) if total else 1.0


def _homes(pool: Pool, ids: np.ndarray, centroids: np.ndarray) -> np.ndarray:
    unique, back = np.unique(ids, return_inverse=True)
    homes = np.zeros(len(unique), np.int64)
    for start in range(0, len(unique), _BLOCK):
        vectors = widen(pool.bank.take(unique[start : start + _BLOCK]))
        homes[start : start + _BLOCK] = choose_lists(vectors, centroids, 1)[:, 0]
    return homes[back]


def _by_list(probes: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    """Yield (list, rows of the queries that look into it) in list order."""
    if not probes.size:
        return
    flat = probes.reshape(-1)
    order = np.argsort(flat, kind="stable")
    ordered = flat[order]
    new = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]]))
    for low, high in zip(new, np.append(new[1:], len(ordered)), strict=True):
        yield int(ordered[low]), order[low:high] // probes.shape[1]


def _members(index: faiss.IndexIVF, number: int, folds: Folds) -> tuple[np.ndarray, np.ndarray]:
    """Return the ids and vectors of a list, folds only."""
    ids, codes = get_invlist(index.invlists, number)
    heads = np.flatnonzero(folds.fold_of[ids] >= 0)
    vectors = widen(codes.reshape(len(ids), index.code_size)[heads].view(np.float16))
    bank = next(iter(folds.pools.values())).bank
    if isinstance(bank, Lifted):
        vectors = bank.lift(vectors, ids[heads])
    return ids[heads], vectors
