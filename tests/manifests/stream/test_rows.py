"""Rows by split and cluster, against numpy's own sorting."""

from itertools import pairwise

import numpy as np
import pytest

from curate.manifests import Pairset, StreamError
from curate.manifests.stream import rows as rows_module
from curate.manifests.stream.cache import load_columns
from curate.manifests.stream.columns import Request
from curate.manifests.stream.rows import cluster_codes, sort_by_cluster, sort_by_split


@pytest.mark.parametrize("block", [1, 7, 1 << 20])
def test_equals_numpy(monkeypatch, block):
    monkeypatch.setattr(rows_module, "_BLOCK", block)
    rng = np.random.default_rng(0)
    splits = rng.integers(0, 3, 100).astype(np.int16)
    clusters = (rng.integers(-1, 6, 100) * 3).clip(-1).astype(np.int32)
    made = {}

    def allocate(name, shape, dtype):
        return made.setdefault(name, np.full(shape, -7, dtype))

    sort_by_split(splits, 3, allocate)
    sort_by_cluster(splits, 3, clusters, allocate)
    assert made["split_rows"].tolist() == np.argsort(splits, kind="stable").tolist()
    assert made["split_starts"].tolist() == [0, *np.cumsum(np.bincount(splits)).tolist()]
    order = np.lexsort((np.arange(100), clusters, splits))
    assert made["cluster_rows"].tolist() == order.tolist()
    keys = list(zip(splits[order].tolist(), clusters[order].tolist(), strict=True))
    expected = [at for at in range(100) if at == 0 or keys[at] != keys[at - 1]]
    assert made["cluster_starts"].tolist() == [*expected, 100]


@pytest.mark.parametrize("budget", [0, 1 << 30])
def test_clusters_of_a_split(clustered, tiny, tmp_path, budget):
    root, clusters, _ = clustered
    columns = load_columns(Pairset.open(root), Request(clusters=True), budget, tmp_path)
    assert columns["cluster"].tolist() == clusters.tolist()
    for split in ("train", "val", None):
        rows, starts = columns.clusters_of(split)
        mine = [r for r in range(200) if split is None or tiny.splits[r] == split]
        assert sorted(rows.tolist()) == mine
        runs = [rows[a:b] for a, b in pairwise(starts)]
        assert starts[0] == 0
        assert starts[-1] == len(mine)
        assert all(len({(tiny.splits[r], clusters[r]) for r in run}) == 1 for run in runs)
        names = [(tiny.splits[run[0]], clusters[run[0]]) for run in runs]
        assert len(set(names)) == len(names)


def test_no_clusters_no_column(tiny):
    columns = load_columns(Pairset.open(tiny.root), Request(), 1 << 30)
    assert len(columns["cluster"]) == 0


def test_an_id_that_is_no_place_is_refused():
    with pytest.raises(StreamError, match="2\\^31 - 1 is allowed"):
        cluster_codes(np.array([0, 1 << 31]))
    with pytest.raises(StreamError, match="goes from -2"):
        cluster_codes(np.array([-2, 5]))
