"""Small pools with exact graphs, made by brute force; sample ids are spread, so places differ."""

import numpy as np
import pytest

from curate.stages.batches.base import Pool


class Space:
    """Vectors by sample id."""

    def __init__(self, vectors):
        self.vectors = vectors
        self.dim = vectors.shape[1]

    def rows(self, ids):
        return self.vectors[ids].astype(np.float32)


class Lists:
    """A graph by sample id."""

    def __init__(self, ids, similarities):
        self.ids, self.similarities = ids, similarities
        self.k = ids.shape[1]

    def rows(self, ids, depth=None):
        return self.ids[ids][:, :depth], self.similarities[ids][:, :depth]


def unit(x):
    norms = np.linalg.norm(x, axis=1, keepdims=True)
    return (x / np.where(norms > 0, norms, 1)).astype(np.float16)


def brute_graph(query, bank, groups, inside, k):
    """Nearest k of every sample among those `inside`, groups left out; -1 fill."""
    similarity = query.astype(np.float64) @ bank.astype(np.float64).T
    similarity[groups[:, None] == groups] = -np.inf
    similarity[:, ~inside] = -np.inf
    similarity[~query.any(axis=1)] = -np.inf
    similarity[:, ~bank.any(axis=1)] = -np.inf
    order = np.argsort(-similarity, axis=1, kind="stable")[:, :k]
    values = np.take_along_axis(similarity, order, axis=1)
    return np.where(np.isfinite(values), order, -1), np.where(np.isfinite(values), values, 0)


@pytest.fixture
def make_pool():
    def make(count=400, classes=8, dim=16, k=40, seed=0):
        rng = np.random.default_rng(seed)
        total = count + count // 4
        label = rng.integers(0, classes, total)
        centres = rng.normal(size=(classes, dim))
        image = centres[label] + rng.normal(size=(total, dim)) * 0.6
        image[20] = image[10]  # near-duplicates, and a sample without a vector
        image[30] = 0
        image, caption = unit(image), unit(image + rng.normal(size=(total, dim)) * 0.4)
        groups = np.arange(total)
        groups[20] = 10
        inside = np.ones(total, bool)
        inside[rng.permutation(np.arange(40, total))[: total - count]] = False
        anchors = np.flatnonzero(inside)
        ids, sims = brute_graph(image, image, groups, inside, k)
        columns = {"label": np.where(anchors % 50 == 7, -1, label[anchors])}
        return Pool(
            anchors=anchors,
            groups=groups[anchors],
            columns=columns,
            graphs={"image>image": Lists(ids, sims.astype(np.float32))},
            vectors={"image": Space(image), "caption": Space(caption)},
            seed=seed + 1,
        )

    return make


@pytest.fixture
def pool(make_pool):
    return make_pool()
