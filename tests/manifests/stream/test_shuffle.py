"""How well orders mix clusters, against counting pairs."""

import logging

import numpy as np
import pytest

from curate.manifests import PairStream
from curate.manifests.errors import UsageError
from curate.manifests.stream.shuffle import mixing

G = 24


def partners_by_loops(clusters, rows):
    return np.mean([
        sum(clusters[a] == clusters[b] >= 0 for b in rows if b != a) for a in rows
    ])  # fmt: skip


def test_equals_counting(clustered):
    root, clusters, _ = clustered
    stream = PairStream(root, G)
    found = stream.mixing()
    walks = [batch.pair_id.tolist() for batch in stream]
    chosen = [walks[int(at)] for at in np.linspace(0, len(walks) - 1, 4)]
    expected = np.mean([partners_by_loops(clusters, rows) for rows in chosen])
    assert found.partners == pytest.approx(expected)
    assert found.clusters == pytest.approx(G / (1 + expected))
    rows = stream.columns.rows_of("train").tolist()
    even = partners_by_loops(clusters, rows) * (G - 1) / (len(rows) - 1)
    assert found.even_partners == pytest.approx(even, rel=0.02)


def test_large_batches_are_sampled():
    clusters = np.arange(100_000) // 100
    ordered = mixing(clusters, lambda g: g * 10_000 + np.arange(10_000), 10, np.arange(100_000))
    assert ordered.partners == pytest.approx(99, rel=0.15)
    assert ordered.even_partners == pytest.approx(9_999 * 99 / 99_999, rel=0.3)
    assert ordered.poor
    rng = np.random.default_rng(0)
    even = mixing(clusters, lambda g: rng.permutation(100_000)[:1000], 10, np.arange(100_000))
    assert not even.poor


def test_the_start_says_how_well_clusters_mix(clustered, copy, caplog):
    with caplog.at_level(logging.INFO, "curate.stream"):
        PairStream(clustered[0], G)
        PairStream(clustered[0], G, rank=1, world_size=2)
    assert caplog.text.count("clusters in a batch of 24") == 1
    caplog.clear()
    with caplog.at_level(logging.INFO, "curate.stream"):
        PairStream(copy, G)  # nothing clustered it
    assert "clusters" not in caplog.text


def test_a_poor_shuffle_is_a_warning_unless_it_was_asked_for(clustered, caplog, monkeypatch):
    found = PairStream(clustered[0], G).mixing()
    poor = type(found)(G, 3.0, 7.0, 2.0)
    monkeypatch.setattr(PairStream, "mixing", lambda stream: poor)
    with caplog.at_level(logging.WARNING, "curate.stream"):
        PairStream(clustered[0], G, order="clusters", clusters=3)
    assert not caplog.records
    with caplog.at_level(logging.WARNING, "curate.stream"):
        PairStream(clustered[0], G, order="block")
    assert "take a larger window or order='global'" in caplog.text


def test_batches_of_clusters_hold_few_clusters_and_share_images(clustered):
    root, clusters, _ = clustered
    stream = PairStream(root, G, order="clusters", clusters=3)
    runs = [
        clusters[batch.pair_id[first : first + 8].numpy()]
        for batch in stream
        for first in (0, 8, 16)
    ]
    pure = [len(set(run.tolist())) == 1 for run in runs]
    # A run that is not of one cluster is of the left-over rows, less than 8 of each of 8 clusters.
    assert sum(not one for one in pure) <= 8 * 7 // 8
    assert stream.mixing().partners > PairStream(root, G).mixing().partners + 1


def test_by_cluster_is_refused_where_there_are_none(tiny, clustered):
    with pytest.raises(UsageError, match="nothing clustered the corpus"):
        PairStream(tiny.root, G, order="clusters", clusters=4)
    for settings in ({"order": "clusters"}, {"clusters": 4}):
        with pytest.raises(UsageError, match="go together"):
            PairStream(clustered[0], G, **settings)
    with pytest.raises(UsageError, match="clusters=5 must divide batch_size=24"):
        PairStream(clustered[0], G, order="clusters", clusters=5)
