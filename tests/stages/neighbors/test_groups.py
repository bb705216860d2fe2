"""Near-duplicate groups against networkx."""

from __future__ import annotations

import hashlib

import networkx as nx
import numpy as np
import pytest
from vector_corpus import clustered, gather, unit

from curate.stages.neighbors.groups import Groups, components
from curate.stages.neighbors.index import BuildIndex
from curate.stages.neighbors.join import Join


def grouped(corpus, rows, threshold, splits=None, sha=None, max_share=1.0):
    vectors = corpus.vectors(rows)
    samples = corpus.samples(len(rows), splits, sha)
    index = corpus.run(BuildIndex(space="image"), vectors=vectors, samples=samples)
    join = corpus.run(
        Join(graph="image>image", k=20, overfetch=12),
        query=vectors,
        bank=vectors,
        samples=samples,
        index=index,
    )
    stage = Groups(threshold=threshold, max_share=max_share)
    done = corpus.run(stage, samples=samples, join=join)
    return gather(done, "npy"), done.receipts[0].facts


def reference(rows, threshold, splits=None, sha=None):
    """All pairs in float64, components by networkx."""
    graph = nx.Graph()
    graph.add_nodes_from(range(len(rows)))
    sims = rows.astype(np.float64) @ rows.astype(np.float64).T
    names = np.array(splits or [""] * len(rows))
    near = (sims >= threshold) & (names[:, None] == names[None, :])
    graph.add_edges_from(zip(*np.nonzero(near), strict=True))
    first: dict[str, int] = {}
    for row, name in enumerate(sha or []):
        if name is not None:
            graph.add_edge(first.setdefault(name, row), row)
    out = np.zeros(len(rows), np.int64)
    for component in nx.connected_components(graph):
        out[list(component)] = min(component)
    return out


def digest(value):
    return hashlib.sha256(str(value).encode()).hexdigest()


@pytest.mark.parametrize("threshold", [0.7, 0.9])
def test_groups_are_the_components(corpus, threshold):
    rows = clustered(0, 300, d=24, clusters=60, spread=0.35)
    rng = np.random.default_rng(1)
    splits = [["train", "test"][i] for i in rng.integers(0, 2, 300)]
    sha = [digest(i) if i > 3 else None for i in rng.integers(0, 250, 300)]
    groups, facts = grouped(corpus, rows, threshold, splits, sha)
    want = reference(rows, threshold, splits, sha)
    np.testing.assert_array_equal(groups, want)
    sizes = np.bincount(want)
    assert facts["groups"] == (sizes > 1).sum()
    assert facts["grouped_samples"] == sizes[sizes > 1].sum()
    assert facts["largest"] == sizes.max()
    spans = [len({splits[i] for i in np.flatnonzero(want == g)}) for g in np.unique(want)]
    assert facts["leaks"] == sum(span > 1 for span in spans) > 0
    assert facts["tightened"] == 0


def test_more_copies_than_a_list_holds_are_one_group(corpus):
    rows = np.concatenate([np.tile(clustered(2, 1), (200, 1)), clustered(3, 50)])
    groups, _ = grouped(corpus, rows, 0.995)
    assert (groups[:200] == 0).all()
    np.testing.assert_array_equal(groups, reference(rows, 0.995))


def test_equal_bytes_are_one_group_without_a_join(corpus):
    sha = [digest(i % 5) for i in range(40)] + [None, None]
    done = corpus.run(Groups(), samples=corpus.samples(42, None, sha))
    np.testing.assert_array_equal(gather(done, "npy"), [*(np.arange(40) % 5), 40, 41])


def test_a_chain_is_held_to_a_stricter_threshold(corpus):
    rng = np.random.default_rng(4)
    steps = rng.normal(size=(200, 64)) / 8 * rng.uniform(0.05, 0.13, size=(200, 1))
    steps[0] *= 10
    walk = [steps[0] / np.linalg.norm(steps[0])]
    for step in steps[1:]:
        walk.append((walk[-1] + step) / np.linalg.norm(walk[-1] + step))
    chain = unit(np.array(walk))
    assert len(np.unique(reference(chain, 0.99))) == 1
    groups, facts = grouped(corpus, chain, 0.99, max_share=0.01)
    assert facts["tightened"] == 1
    assert facts["largest"] <= 64
    np.testing.assert_array_equal(groups, reference(chain, 0.995))


def test_cutting_stops_at_identical_pictures():
    n, copies = 300, 100
    first = np.arange(n)
    left = np.arange(n - 1)
    sims = np.full(n - 1, 0.99, np.float32)
    sims[:copies] = 1.0
    sims[200:] = 0.9931
    groups, cut = components(first, (left, left + 1, sims), 0.985, 64)
    assert cut == 1
    assert (groups[: copies + 1] == 0).all()
    np.testing.assert_array_equal(groups[copies + 1 :], np.arange(copies + 1, n))
    groups, cut = components(first, (left, left + 1, sims), 0.985, 120)
    assert (groups[200:] == 200).all()
    assert len(np.unique(groups[copies + 1 : 200])) == 99


def test_no_edges_no_groups(corpus):
    groups, facts = grouped(corpus, np.zeros((20, 8), np.float16), 0.9)
    np.testing.assert_array_equal(groups, np.arange(20))
    assert facts["groups"] == 0
