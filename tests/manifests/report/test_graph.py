"""k-occurrence, its skewness (scipy) and its bins."""

import numpy as np
import pytest
from scipy import stats

from curate.manifests.hubness import skewness
from curate.manifests.report.graph import NEAREST, doubling_bins, scan_graph


@pytest.mark.parametrize("name", ["image>image", "image>caption"])
def test_hubs_are_the_most_frequent_neighbours(pairset, rows, name):
    facts = scan_graph(pairset, name)
    lists = [row["neighbor_ids"][:NEAREST] for row in rows(f"neighbors/{name}")]
    flat = [i for ids in lists for i in ids if i >= 0]
    counts = np.bincount(flat, minlength=600)
    wanted = sorted(range(600), key=lambda i: (-counts[i], i))[:8]
    assert facts.hubs == [(i, counts[i]) for i in wanted]
    assert facts.skewness == pytest.approx(stats.skew(counts), rel=1e-9)
    assert facts.never == (counts == 0).sum()
    assert sum(n for _, n in facts.bins) == 600
    assert facts.nearest == len(lists[0])
    assert facts.nodes == 600
    assert facts.top_share == counts.max() / 600


def test_bins_double():
    values = np.array([0, 0, 1, 2, 3, 4, 7, 8, 31])
    assert doubling_bins(values) == [
        *(("0", 2), ("1", 1), ("2", 1), ("3", 1)),
        *(("4–7", 2), ("8–15", 1), ("16–31", 1)),
    ]
    assert doubling_bins(values, first=2) == [
        *(("2", 1), ("3", 1), ("4–7", 2), ("8–15", 1), ("16–31", 1)),
    ]
    assert doubling_bins(np.zeros(3, np.int64), first=2) == []


def test_equal_counts_have_no_skew():
    assert skewness(np.full(5, 3)) == 0
    assert skewness(np.zeros(0)) == 0
