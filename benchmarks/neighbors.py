"""The exact and the inverted-file join beside plain FAISS searches: recall and CPU seconds.

    OMP_NUM_THREADS=1 python benchmarks/neighbors.py [--rows 20000 100000] [--dim 512] [--k 80]

Both sides search the same float16 vectors for the same queries in one run. Ours returns lists
whose bytes do not depend on threads or batches: every similarity is computed again pair by pair,
ties are ordered by id, and rows that a product cannot decide are searched again. Plain FAISS does
none of that. Recall is that of the first `k` ids, without the row itself, against float64.

Quick: --rows 4000 12000 --dim 128 --queries 1024
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import faiss
import numpy as np

from curate.manifests.sampling import draw_rows
from curate.manifests.vectors import Rows, starts_of, widen
from curate.stages.neighbors import ivf
from curate.stages.neighbors.exact import Pool, nearest
from curate.stages.neighbors.folds import fold

CLUSTER_ROWS = 100
INNER = 32
TRUTH = 256
AIM = 0.975

Lists = tuple[float, np.ndarray]


def write_vectors(path: Path, rows: int, dim: int) -> Rows:
    """Write clustered unit vectors, float16, of 32 true dimensions and a little noise."""
    rng = np.random.default_rng(0)
    turn = rng.normal(size=(INNER, dim)).astype(np.float32)
    out = np.lib.format.open_memmap(path, "w+", np.float16, (rows, dim))
    for start in range(0, rows, CLUSTER_ROWS):
        count = min(CLUSTER_ROWS, rows - start)
        inner = rng.normal(size=INNER) + rng.normal(size=(count, INNER)) * 0.5
        block = inner @ turn + rng.normal(size=(count, dim))
        out[start : start + count] = block / np.linalg.norm(block, axis=1, keepdims=True)
    out.flush()
    return Rows((path,), starts_of([rows]))


def timed(work: Callable[[], np.ndarray]) -> Lists:
    """Return CPU seconds of all threads, and the ids."""
    begun = time.process_time()
    ids = work()
    return time.process_time() - begun, ids


def recall(ids: np.ndarray, bank: np.ndarray, own: np.ndarray, k: int) -> float:
    """Return the share of the true k neighbours of the first queries that lists hold."""
    hits = 0
    whole = bank.astype(np.float64)
    for row in range(min(TRUTH, len(own))):
        products = whole @ whole[own[row]]
        products[own[row]] = -np.inf
        truth = np.argpartition(-products, k - 1)[:k]
        found = ids[row][ids[row] != own[row]][:k]
        hits += len(np.intersect1d(truth, found))
    return hits / (k * min(TRUTH, len(own)))


def exact_pair(rows: Rows, bank: np.ndarray, own: np.ndarray, length: int) -> tuple[Lists, Lists]:
    """Search exactly: ours through the mapped float16 file, FAISS on a ready float32 array."""
    queries = bank[own]
    pool = Pool(rows, np.arange(len(rows)))
    ours = timed(lambda: nearest(queries, pool, length, "cpu")[0])
    metric = faiss.METRIC_INNER_PRODUCT
    return ours, timed(lambda: faiss.knn(queries, bank, length, metric=metric)[1])


def inverted_pair(
    rows: Rows, bank: np.ndarray, own: np.ndarray, length: int
) -> tuple[Lists, Lists, tuple[int, int]]:
    """Search with the same centroids and the same number of probes on both sides."""
    ids, splits = np.arange(len(rows)), np.zeros(len(rows), np.int32)
    centroids = ivf.train(rows, ids, ivf.list_count(len(rows)), 0)
    folds = fold(rows, ids, splits)
    probe = bank[draw_rows(ids, 512, 0, "bench")]
    ranks = (1, length - 1)
    probes, _ = ivf.choose_probes(probe, splits[: len(probe)], centroids, folds, AIM, ranks)
    index = ivf.build(rows, ids, centroids)
    queries = bank[own]

    def search() -> np.ndarray:
        chosen = ivf.choose_lists(queries, centroids, probes)
        return ivf.search(queries, splits[own], chosen, [index], folds, length)[0]

    ours = timed(search)
    quantizer = faiss.IndexFlatIP(rows.width)
    quantizer.add(centroids)
    plain = faiss.IndexIVFFlat(
        quantizer, rows.width, len(centroids), faiss.METRIC_INNER_PRODUCT, True
    )  # pyright: ignore
    plain.is_trained = True
    plain.add(bank)
    plain.nprobe = probes
    return ours, timed(lambda: plain.search(queries, length)[1]), (len(centroids), probes)


def main() -> None:
    """Measure and print one table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rows", type=int, nargs="+", default=[20_000, 100_000])
    parser.add_argument("--dim", type=int, default=512)
    parser.add_argument("--k", type=int, default=80)
    parser.add_argument("--queries", type=int, default=4096)
    asked = parser.parse_args()
    faiss.omp_set_num_threads(1)
    print(f"d = {asked.dim}, {asked.queries} queries, k = {asked.k}, one thread, CPU us a query")
    print("| join | rows | ours | FAISS | ours / FAISS | recall ours | recall FAISS |")
    print("|---|---|---|---|---|---|---|")
    for count in asked.rows:
        with tempfile.TemporaryDirectory() as folder:
            rows = write_vectors(Path(folder) / "image.npy", count, asked.dim)
            bank = widen(rows.take(np.arange(count)))
            own = draw_rows(np.arange(count), asked.queries, 1, "bench")
            one = exact_pair(rows, bank, own, asked.k + 1)
            *two, (lists, probes) = inverted_pair(rows, bank, own, asked.k + 1)
        for name, (ours, plain) in (("exact", one), (f"IVF {lists}, {probes} probes", two)):
            shares = [recall(lists[1], bank, own, asked.k) for lists in (ours, plain)]
            ours_us, plain_us = (1e6 * item[0] / len(own) for item in (ours, plain))
            print(
                f"| {name} | {count:,} | {ours_us:,.0f} | {plain_us:,.0f} "
                f"| {ours_us / plain_us:.2f} | {shares[0]:.4f} | {shares[1]:.4f} |"
            )


if __name__ == "__main__":
    main()
