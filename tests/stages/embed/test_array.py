"""Vectors of others: normalised, averaged, aligned."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from vector_corpus import gather

from curate.manifests.arrays import ArraySource
from curate.manifests.artifact import Output
from curate.manifests.errors import DataError
from curate.stages.embed.array import ArrayVectors


def corpus_of(pictures, captions, position):
    captions_before = np.cumsum([0, *[len(own) for own in captions]])[:-1]
    table = pa.table(
        {
            "key": [f"k{i}" for i in range(len(captions))],
            "position": np.array(position, np.int64),
            "caption_position": captions_before.astype(np.int64),
            "captions": pa.array(captions, pa.list_(pa.string())),
        }
    )
    facts = {"inputs": max(position) + 1, "captions": sum(map(len, captions))}
    scan = pictures.write("scan", [Output(1, {}, facts)])
    return {"samples": pictures.samples_of(table), "scan": scan}


def normal(rows):
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def save(tmp_path, rows):
    path = tmp_path / "vectors.npy"
    np.save(path, rows)
    return str(path)


def test_rows_by_position_with_refused_inputs_between(pictures, tmp_path):
    rows = np.random.default_rng(0).normal(size=(40, 6)) * 100
    position = [i for i in range(40) if i % 7]
    inputs = corpus_of(pictures, [[] for _ in position], position)
    source = ArraySource(path=save(tmp_path, rows), of="image")
    inputs["scan"] = pictures.write("scan", [Output(1, {}, {"inputs": 40, "captions": 0})])
    done = pictures.run(ArrayVectors(space="x", source=source), **inputs)
    got = gather(done, "npy")
    assert got.dtype == np.float16
    np.testing.assert_allclose(got, normal(rows)[position], atol=6e-4)
    assert done.receipts[0].facts == {"dim": 6, "missing": 0}


def test_several_captions_are_averaged_as_unit_vectors(pictures, tmp_path):
    captions = [["a", "b"], [], ["c"], ["d", "e", "f"]]
    rows = np.random.default_rng(1).normal(size=(6, 5)) * np.array([[1], [50], [1], [1], [9], [2]])
    inputs = corpus_of(pictures, captions, list(range(4)))
    source = ArraySource(path=save(tmp_path, rows), of="caption")
    done = pictures.run(ArrayVectors(space="x", source=source), **inputs)
    u = normal(rows)
    want = [u[:2].mean(0), np.zeros(5), u[2], u[3:].mean(0)]
    want = [w / max(np.linalg.norm(w), 1e-9) for w in want]
    np.testing.assert_allclose(gather(done, "npy").astype(float), want, atol=6e-4)
    assert done.receipts[0].facts["missing"] == 1


def test_a_wrong_number_of_rows_is_refused(pictures, tmp_path):
    inputs = corpus_of(pictures, [[]] * 4, [0, 1, 2, 3])
    source = ArraySource(path=save(tmp_path, np.ones((5, 3))), of="image")
    with pytest.raises(DataError, match="5 rows"):
        ArrayVectors(space="x", source=source).open(inputs)
