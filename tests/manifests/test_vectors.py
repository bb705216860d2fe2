"""Rows over parts; exact widening of float16; similarities that do not move with the batch."""

import pickle
import subprocess
import sys

import numpy as np
import pytest

from curate.manifests.artifact import Draft, Output
from curate.manifests.errors import DataError
from curate.manifests.vectors import (
    GraphStore,
    Rows,
    VectorStore,
    pair_similarity,
    starts_of,
    widen,
)


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    """Four parts of 7, 0, 1 and 12 rows, and the whole of them."""
    folder = tmp_path_factory.mktemp("rows")
    whole = np.random.default_rng(0).normal(size=(20, 6)).astype(np.float16)
    draft, starts = Draft(folder), starts_of([7, 0, 1, 12])
    receipts = []
    for number in range(4):
        block = whole[starts[number] : starts[number + 1]]
        receipts.append(draft.write(f"part-{number:05d}", Output(len(block), {"npy": block})))
    return draft.commit("f" * 16, receipts, {}), whole


def test_any_rows_in_any_shape(stored):
    artifact, whole = stored
    rows = Rows.of(artifact)
    assert (len(rows), rows.width) == (20, 6)
    for ids in ([0], [19, 7, 7, 0, 6, 8], [], [[1, 19], [8, 7]], range(20)):
        found = rows.take(np.array(ids, np.int64))
        expected = whole[np.array(ids, np.int64)]
        assert found.shape == expected.shape
        assert (found == expected).all()
        assert found.dtype == np.float16
    assert (rows.take(np.array([3, 19]), 2) == whole[[3, 19], :2]).all()


def test_a_copy_can_be_changed(stored):
    artifact, whole = stored
    rows = Rows.of(artifact)
    rows.take(np.array([1]))[:] = 0
    assert (rows.take(np.array([1])) == whole[1]).all()


@pytest.mark.parametrize("size", [1, 3, 7, 20, 100])
def test_blocks_cross_parts(stored, size):
    artifact, whole = stored
    blocks = list(Rows.of(artifact).blocks(size))
    assert [start for start, _ in blocks] == list(range(0, 20, size))
    assert (np.concatenate([block for _, block in blocks]) == whole).all()


def test_rows_travel_without_their_data(stored):
    artifact, whole = stored
    rows = Rows.of(artifact)
    rows.take(np.arange(20))
    data = pickle.dumps(rows)
    assert len(data) < 2000
    assert (pickle.loads(data).take(np.array([9])) == whole[9]).all()


def test_vector_store_widens(stored):
    artifact, whole = stored
    store = VectorStore("image", Rows.of(artifact))
    assert store.dim == 6
    found = store.rows(np.array([4, 19]))
    assert found.dtype == np.float32
    assert (found == whole[[4, 19]].astype(np.float32)).all()
    assert (np.concatenate([b for _, b in store.blocks(9)]) == whole.astype(np.float32)).all()


def test_graph_store(tmp_path):
    ids = np.arange(12, dtype=np.int64).reshape(4, 3)
    sims = np.random.default_rng(0).random((4, 3)).astype(np.float32)
    draft = Draft(tmp_path)
    receipt = draft.write("part-00000", Output(4, {"ids.npy": ids, "sims.npy": sims}))
    artifact = draft.commit("f" * 16, [receipt], {})
    graph = GraphStore("image>image", Rows.of(artifact, "ids.npy"), Rows.of(artifact, "sims.npy"))
    found = graph.rows(np.array([2, 0]))
    assert (graph.k, len(graph)) == (3, 4)
    assert (found[0] == ids[[2, 0]]).all()
    assert (found[1] == sims[[2, 0]]).all()
    assert graph.rows(np.array([1]), 2)[0].tolist() == [[3, 4]]


def test_widen_is_exact_for_every_finite_float16():
    bits = np.arange(2**16, dtype=np.uint16)
    values = bits.view(np.float16)
    values = values[np.isfinite(values)]
    expected = values.astype(np.float32)
    found = widen(values)
    assert found.dtype == np.float32
    assert (found.view(np.uint32) == expected.view(np.uint32)).all()


def test_widen_takes_views_and_other_types():
    values = np.random.default_rng(0).normal(size=(8, 6)).astype(np.float16)
    assert (widen(values[::2, 1:4]) == values[::2, 1:4].astype(np.float32)).all()
    assert (widen(values.T) == values.T.astype(np.float32)).all()
    wide = values.astype(np.float64)
    assert widen(wide).dtype == np.float32
    source = values.astype(np.float32)
    widen(source)[:] = 0
    assert source.any()


DIMS = (1, 3, 8, 64, 127, 128, 129, 512, 768, 1000)


def unit(rng, shape):
    values = rng.normal(size=shape).astype(np.float16).astype(np.float32)
    return values / np.linalg.norm(values, axis=-1, keepdims=True)


@pytest.mark.parametrize("dim", DIMS)
def test_a_similarity_does_not_depend_on_its_batch(dim):
    rng = np.random.default_rng(dim)
    left, right = unit(rng, (97, dim)), unit(rng, (97, dim))
    whole = pair_similarity(left, right)
    alone = np.array([pair_similarity(a, b) for a, b in zip(left, right, strict=True)])
    assert (whole.view(np.uint32) == alone.astype(np.float32).view(np.uint32)).all()
    for size in (1, 2, 5, 32, 96):
        parts = [
            pair_similarity(left[i : i + size], right[i : i + size]) for i in range(0, 97, size)
        ]
        assert (np.concatenate(parts).view(np.uint32) == whole.view(np.uint32)).all()


@pytest.mark.parametrize("dim", DIMS)
def test_a_similarity_does_not_depend_on_its_layout(dim):
    """[A, K, d] against [A, 1, d] is what miners and graphs use; rows may come from any gather."""
    rng = np.random.default_rng(dim)
    anchors, others = unit(rng, (11, dim)), unit(rng, (11, 7, dim))
    broadcast = pair_similarity(anchors[:, None], others)
    assert broadcast.shape == (11, 7)
    flat = pair_similarity(np.repeat(anchors, 7, axis=0), others.reshape(77, dim))
    assert (broadcast.reshape(-1).view(np.uint32) == flat.view(np.uint32)).all()
    swapped = pair_similarity(others, anchors[:, None])
    assert (swapped.view(np.uint32) == broadcast.view(np.uint32)).all()
    assert (pair_similarity(anchors, others[:, 3]) == broadcast[:, 3]).all()


def test_a_similarity_is_the_cosine():
    rng = np.random.default_rng(0)
    left, right = unit(rng, (50, 512)), unit(rng, (50, 512))
    exact = (left.astype(np.float64) * right.astype(np.float64)).sum(axis=1)
    assert np.abs(pair_similarity(left, right) - exact).max() < 1e-6


def test_a_similarity_does_not_depend_on_threads():
    code = (
        "import numpy as np; from curate.manifests.vectors import pair_similarity as p;"
        "r = np.random.default_rng(0); a, b = r.normal(size=(2, 300, 512)).astype(np.float32);"
        "print(p(a, b).tobytes().hex())"
    )
    texts = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={"OMP_NUM_THREADS": threads, "OPENBLAS_NUM_THREADS": threads, "PATH": ""},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for threads in ("1", "2")
    }
    assert len(texts) == 1
    assert len(texts.pop()) > 1000


def test_spaces_of_different_width_are_not_compared():
    left, right = np.ones((3, 4), np.float32), np.ones((3, 5), np.float32)
    with pytest.raises(DataError, match=r"4 and 5 dimensions.*joint encoder"):
        pair_similarity(left, right)
