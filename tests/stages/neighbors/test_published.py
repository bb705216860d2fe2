"""The published index, searched for one vector: against all similarities in float64."""

import numpy as np
import pytest
from vector_corpus import clustered

from curate.manifests.errors import DataError
from curate.stages.neighbors.index import BuildIndex
from curate.stages.neighbors.published import PublishedIndex


def built(corpus, rows, **settings):
    vectors, samples = corpus.vectors(rows), corpus.samples(len(rows))
    made = corpus.run(BuildIndex(space="b", k=8, **settings), vectors=vectors, samples=samples)
    return made, [made.file(part, "faiss") for part in made.parts]


@pytest.mark.parametrize(
    "settings", [{}, {"exact_below": 0}, {"exact_below": 0, "memory_bytes": 30_000}]
)
def test_finds_the_nearest(corpus, settings):
    rows = clustered(1, 600)
    rows[::50] = 0
    made, files = built(corpus, rows, **settings)
    assert (len(files) > 1) == ("memory_bytes" in settings)
    nlist = made.receipts[0].facts["nlist"]
    index = PublishedIndex.open(files, max(nlist, 1))
    cosines = rows.astype(np.float64) @ rows.astype(np.float64).T
    for query in (1, 77, 599):
        found = index.nearest(rows[query].astype(np.float32), 10)
        assert (found >= 0).all()
        best = np.sort(cosines[query, rows.any(axis=1)])[::-1][:10]
        np.testing.assert_allclose(np.sort(cosines[query, found])[::-1][:10], best, atol=1e-6)


def test_more_lists_find_more(corpus):
    rows = clustered(2, 900, spread=1.0)
    made, files = built(corpus, rows, exact_below=0)
    cosines = rows.astype(np.float64) @ rows.astype(np.float64).T

    def recall(nprobe):
        index = PublishedIndex.open(files, nprobe)
        found = [index.nearest(rows[q].astype(np.float32), 10) for q in range(0, 900, 30)]
        best = [set(np.argsort(-cosines[q])[:10].tolist()) for q in range(0, 900, 30)]
        return np.mean([len(b & set(f.tolist())) / 10 for b, f in zip(best, found, strict=True)])

    assert recall(1) < recall(made.receipts[0].facts["nlist"])
    assert recall(made.receipts[0].facts["nlist"]) > 0.99


def test_fewer_vectors_than_asked_are_all(corpus):
    rows = clustered(3, 5)
    _, files = built(corpus, rows)
    found = PublishedIndex.open(files, 1).nearest(rows[0].astype(np.float32), 50)
    assert sorted(found.tolist()) == [0, 1, 2, 3, 4]


def test_a_file_that_is_no_index_is_told(tmp_path):
    (tmp_path / "x.faiss").write_bytes(b"nothing of the kind")
    with pytest.raises(DataError, match=r"x\.faiss cannot be read by FAISS"):
        PublishedIndex.open([tmp_path / "x.faiss"], 1)
