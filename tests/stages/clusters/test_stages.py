"""Stages of clusters on small corpora: whitening, the globe, levels, ranks, equal bytes."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from vector_corpus import clustered, gather, unit

from curate.manifests.artifact import Output
from curate.manifests.errors import ConfigError, DataError
from curate.stages.clusters.assign import Assign
from curate.stages.clusters.frame import Whitening, on_globe
from curate.stages.clusters.ranks import Ranks, accept_ranks
from curate.stages.clusters.settings import ClusterSettings
from curate.stages.clusters.train import Train


def build(corpus, rows, **asked):
    settings = ClusterSettings(space="image", **asked)
    inputs = {"samples": corpus.samples(len(rows)), "vectors": corpus.vectors(rows)}
    trained = corpus.run(Train(settings=settings), **inputs)
    return trained, corpus.run(Assign(settings=settings), trained=trained, **inputs)


def globe(corpus, latitude, longitude, **asked):
    settings = ClusterSettings(by=("lat", "lon"), **asked)
    table = pa.table(
        {
            "sample_id": np.arange(len(latitude)),
            "attr_lat": pa.array(latitude, pa.float64(), from_pandas=True),
            "attr_lon": pa.array(longitude, pa.float64(), from_pandas=True),
        }
    )
    parts = [Output.of(table.slice(start, 97)) for start in range(0, len(latitude), 97)]
    samples = corpus.write("samples", parts)
    trained = corpus.run(Train(settings=settings), samples=samples)
    return trained, corpus.run(Assign(settings=settings), samples=samples, trained=trained)


def test_each_sample_is_in_the_cluster_of_its_nearest_centroid(corpus):
    rows = clustered(1, 500)
    rows[[3, 77]] = 0
    trained, made = build(corpus, rows, levels=(20, 5), t=0.3)
    ids, sure = gather(made, "ids.npy"), gather(made, "confidence.npy")
    assert (ids.dtype, sure.dtype, ids.shape) == (np.int32, np.float32, (500, 2))
    fine = trained.array("part-00000", "level-0.npy").astype(np.float64)
    coarse = trained.array("part-00000", "level-1.npy").astype(np.float64)
    parent = trained.array("part-00000", "parents-1.npy")
    for i, row in enumerate(rows.astype(np.float64)):
        if not row.any():
            assert (ids[i].tolist(), sure[i].tolist()) == ([-1, -1], [0, 0])
            continue
        products = fine @ row
        assert ids[i, 0] == min(np.flatnonzero(products == products.max()))
        assert ids[i, 1] == parent[ids[i, 0]]
        for level, centroids in enumerate((fine, coarse)):
            share = np.exp(centroids @ row / 0.3)
            assert sure[i, level] == pytest.approx(share[ids[i, level]] / share.sum(), rel=1e-5)
    assert sum(receipt.facts["without_cluster"] for receipt in made.receipts) == 2
    assert trained.receipts[0].facts["with_point"] == 498


def test_ranks_number_samples_by_falling_confidence(corpus):
    rows = clustered(2, 300)
    rows[:60] = rows[60:120]
    rows[5] = 0
    _, made = build(corpus, rows, levels=(12, 4))
    ranked = corpus.run(Ranks(), clusters=made)
    ids, sure = gather(made, "ids.npy"), gather(made, "confidence.npy")
    for level in (0, 1):
        ranks = ranked.array("part-00000", f"rank-{level}.npy")
        want = sorted((i for i in range(300) if i != 5), key=lambda i: (-sure[i, level], i))
        assert [ranks[i] for i in want] == list(range(299))
        assert ranks[5] == -1
        sizes = [int((ids[:, level] == c).sum()) for c in range(ids[:, level].max() + 1)]
        said = ranked.receipts[0].facts["sizes"][level]
        assert (said["max"], said["min"]) == (max(sizes), min(sizes))
        assert said["median"] == float(np.median(sizes))


@pytest.mark.parametrize("share", [0.0, 0.1, 0.333, 0.5, 0.9, 1.0])
def test_acceptance_is_exact_and_nested(share):
    sure = np.random.default_rng(0).integers(0, 9, 1000).astype(np.float32)
    ids = np.where(np.arange(1000) % 7 == 0, -1, 3)
    ranks, n = accept_ranks(ids, sure), int((ids >= 0).sum())
    limit = int(np.floor(share * n))
    accepted = (ranks >= 0) & (ranks < limit)
    assert accepted.sum() == limit
    assert limit in (0, n) or sure[accepted].min() >= sure[(ranks >= limit)].max()


def test_whitened_training_rows_have_equal_variance_in_every_direction():
    rng = np.random.default_rng(0)
    scales = np.array([5, 3, 2, 1, 0.5, 0.2, 0.1, 0.05])
    rows = unit(rng.normal(size=(4000, 8)) * scales + 1).astype(np.float32)
    frame = Whitening.of(rows, 5)
    flat = rows @ frame.matrix - frame.offset
    covariance = np.cov(flat.T)
    np.testing.assert_allclose(covariance / covariance[0, 0], np.eye(5), atol=2e-3)
    columns = np.linalg.eigh(np.cov(rows.T))[1]
    for at in range(5):
        direction = frame.matrix[:, at] / np.linalg.norm(frame.matrix[:, at])
        assert abs(direction @ columns[:, ::-1][:, at]) > 0.9999
    np.testing.assert_allclose(np.linalg.norm(frame.apply(rows), axis=1), 1, atol=1e-6)


def test_whitening_finds_what_a_loud_direction_hides(corpus):
    rng = np.random.default_rng(1)
    kind = rng.integers(0, 2, 600)
    rows = rng.normal(size=(600, 6)) * 0.02
    rows[:, 0] += np.where(rng.random(600) < 0.5, 1, -1)
    rows[:, 1] += 0.15 * np.where(kind, 1, -1)
    trained, made = build(corpus, unit(rows), k=2, whiten=2)
    ids = gather(made, "ids.npy")[:, 0]
    assert trained.receipts[0].facts["dim"] == 2
    _, plain = build(corpus, unit(rows), k=2)
    agreement = max((ids == kind).mean(), (ids != kind).mean())
    before = gather(plain, "ids.npy")[:, 0]
    assert max((before == kind).mean(), (before != kind).mean()) < 0.6
    assert agreement > 0.7 or abs(np.corrcoef(ids, rows[:, 0])[0, 1]) < 0.99


@pytest.mark.parametrize("whiten", [0, 4])
def test_identical_vectors_are_one_cluster(corpus, whiten):
    _, made = build(corpus, np.tile(clustered(3, 1), (120, 1)), k=9, whiten=whiten)
    assert (gather(made, "ids.npy") == 0).all()
    np.testing.assert_allclose(gather(made, "confidence.npy"), 1)


def test_a_corpus_without_vectors_is_refused(corpus):
    with pytest.raises(DataError, match="no sample has a vector"):
        build(corpus, np.zeros((10, 4), np.float16), k=3)


def haversine(a, b):
    (p, q), (r, s) = np.radians(a), np.radians(b)
    inner = np.sin((r - p) / 2) ** 2 + np.cos(p) * np.cos(r) * np.sin((s - q) / 2) ** 2
    return 2 * np.arcsin(np.sqrt(np.minimum(inner, 1)))


def test_places_go_to_the_nearest_centroid_on_the_globe(corpus):
    rng = np.random.default_rng(0)
    latitude, longitude = rng.uniform(-90, 90, 400), rng.uniform(-180, 180, 400)
    trained, made = globe(corpus, latitude, longitude, k=12)
    centroids = trained.array("part-00000", "level-0.npy").astype(np.float64)
    middle = np.degrees(
        [np.arcsin(np.clip(centroids[:, 2], -1, 1)), np.arctan2(centroids[:, 1], centroids[:, 0])]
    ).T
    for i, found in enumerate(gather(made, "ids.npy")[:, 0]):
        far = [haversine((latitude[i], longitude[i]), at) for at in middle]
        assert far[found] <= min(far) + 1e-6


def test_the_date_line_and_the_poles_part_nobody(corpus):
    latitude = np.array([0.0] * 20 + [89.9] * 20 + [0.0] * 20)
    longitude = np.array([179.9, -179.9] * 10 + [0.0, 180.0] * 10 + [10.0, 10.1] * 10)
    _, made = globe(corpus, latitude, longitude, k=3)
    ids = gather(made, "ids.npy")[:, 0].reshape(3, 20)
    assert (ids == ids[:, :1]).all()
    assert len(set(ids[:, 0])) == 3


def test_what_is_no_place_is_in_no_cluster(corpus):
    latitude = [1.0, None, 91.0, float("nan"), 5.0, -90.0]
    longitude = [1.0, 2.0, 3.0, 4.0, None, 400.0]
    _, made = globe(corpus, latitude, longitude, k=2)
    assert (gather(made, "ids.npy")[:, 0] >= 0).tolist() == [True, *[False] * 4, True]
    points, there = on_globe(np.array([0.0]), np.array([90.0]))
    np.testing.assert_allclose(points, [[0, 1, 0]], atol=1e-7)
    assert there.all()


def test_an_attribute_that_is_not_there_is_named(corpus):
    samples = corpus.samples(4)
    stage = Train(settings=ClusterSettings(by=("north", "east"), k=2))
    with pytest.raises(ConfigError, match=r"'north'.*no attribute of numbers"):
        corpus.run(stage, samples=samples)


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({}, "give `space`"),
        ({"space": "image", "by": ("lat", "lon")}, "one of them"),
        ({"space": "image", "k": 3, "levels": (5, 2)}, "not both"),
        ({"space": "image", "levels": (5, 5)}, "must fall"),
        ({"by": ("lat", "lon"), "whiten": 3}, "whiten"),
        ({"space": "image", "k": 0}, "greater than or equal to 1"),
    ],
)
def test_settings_that_cannot_be(asked, said):
    with pytest.raises(ValueError, match=said):
        ClusterSettings(**asked)


def digests(artifact):
    return {r["name"]: r["sha256"] for receipt in artifact.receipts for r in receipt.files}


def test_parts_of_another_size_hold_the_same_rows(corpus):
    rows = clustered(4, 700)
    _, whole = build(corpus, rows, levels=(30, 6), whiten=8)
    corpus.part_rows = 41
    _, pieces = build(corpus, rows, levels=(30, 6), whiten=8)
    for suffix in ("ids.npy", "confidence.npy"):
        np.testing.assert_array_equal(gather(whole, suffix), gather(pieces, suffix))


CODE = """
import hashlib, sys, pathlib
sys.path.insert(0, {support!r})
from vector_corpus import Corpus, clustered
from test_stages import build, digests
found = build(Corpus(pathlib.Path({root!r})), clustered(5, 3000, d=64), levels=(40, 8), whiten=24)
print([sorted(digests(item).items()) for item in found])
"""


def test_threads_change_no_byte(tmp_path):
    here = Path(__file__).parent
    said = set()
    for threads in ("1", "4"):
        support = str(here.parent.parent / "support")
        code = CODE.format(support=support, root=str(tmp_path / threads))
        run = subprocess.run(
            [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(here)!r})\n{code}"],
            capture_output=True,
            text=True,
            check=True,
            env={**os.environ, "OMP_NUM_THREADS": threads, "OPENBLAS_NUM_THREADS": threads},
        )
        said.add(hashlib.sha256(run.stdout.encode()).hexdigest())
    assert len(said) == 1
