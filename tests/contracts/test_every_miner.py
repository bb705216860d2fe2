"""What every miner owes, whoever wrote it: found through the registry, nothing listed here."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pyarrow as pa
import pytest

from curate.manifests.schema import REASONS, Role
from curate.stages import registry
from curate.stages.mining.base import (
    AssetLists,
    Block,
    EdgeLists,
    LabelSets,
    Miner,
    RowIndex,
)
from curate.stages.mining.columns import Columns
from curate.stages.mining.keys import KeyIds

PACKAGES = {
    Role.POSITIVE: "curate.stages.mining.positives",
    Role.NEGATIVE: "curate.stages.mining.negatives",
    Role.FALSE_NEGATIVE: "curate.stages.mining.false_negatives",
    Role.SOFT: "curate.stages.mining.soft",
}
EVERY = [(role, name) for role, package in PACKAGES.items() for name in registry.names(package)]
N = 90
CAPTIONS = [
    [],
    [""],
    ["a red cup on a blue box", "a blue cup on a red box"],
    ["two men standing above a small dog", "Two men standing above a small dog."],
    ["nothing to change here"],
]


class ListGraph:
    """A graph of lists in memory."""

    name = "image>image"

    def __init__(self, ids, similarities):
        self.ids, self.similarities = ids, similarities
        self.k = ids.shape[1]

    def rows(self, ids, depth=None):
        return self.ids[ids, :depth].copy(), self.similarities[ids, :depth].copy()


class ArrayVectors:
    """Vectors in memory."""

    name = "image"

    def __init__(self, data):
        self.data, self.dim = data, data.shape[1]

    def rows(self, ids):
        return self.data[ids].copy()


def keys_of(n):
    """Return the ids of keys k0, k1, ... that `files` name; a small corpus repeats its ids."""

    class Samples:
        parts = ("part",)

        @staticmethod
        def table(part, columns):
            return pa.table({"key": [f"k{i}" for i in range(N)]})

    found = KeyIds.of(Samples, [f"k{i}" for i in range(N)])
    return dataclasses.replace(found, found=found.found % n)


@pytest.fixture(scope="session")
def files(tmp_path_factory):
    """Files for miners that need one: sets and answers about the first samples."""
    folder = tmp_path_factory.mktemp("people")
    sets = [{"set": f"s{i % 3}", "key": f"k{i}", "round": i // 9} for i in range(0, N, 2)]
    said = [
        {"key_a": f"k{i}", "key_b": f"k{(i * 7) % N}", "answer": ("yes", "no", "no")[i % 3]}
        for i in range(1, N)
    ]
    for name, rows in (("selections", sets), ("answers", said)):
        (folder / name).write_text("".join(json.dumps(row) + "\n" for row in rows))
    return {name: str(folder / name) for name in ("selections", "answers")}


class CodedClusters:
    """Clusters in memory: one level, every seventh sample in none."""

    name = "image"

    def __init__(self, columns, there):
        n = columns.count
        self.codes = np.where(there & (np.arange(n) % 7 != 6), np.arange(n) % 3, -1)
        self.sure = np.where(self.codes >= 0, 1 / (1 + np.arange(n) % 5), 0).astype(np.float32)
        known = np.flatnonzero(self.codes >= 0)
        self.ranks = np.full(n, -1)
        self.ranks[known[np.argsort(-self.sure[known], kind="stable")]] = np.arange(len(known))
        self.ranked, self.columns = len(known), columns

    def _at(self, values, ids, fill):
        return np.where(ids == -1, fill, values[ids])

    def take(self, ids, level=0):
        return self._at(self.codes, ids, -1)

    def confidence(self, ids, level=0):
        return self._at(self.sure, ids, np.float32(0))

    def accept_rank(self, ids, level=0):
        return self._at(self.ranks, ids, -1)

    def members(self, level=0):
        rows = np.arange(self.columns.count)
        others = [self.columns.take(name, rows) for name in ("split", "group_id")]
        return RowIndex.of(rows, [self.codes, *others])


def block_of(vectors, k, anchors=None, classes=4) -> Block:
    n = len(vectors)
    group = np.arange(n) // 2 * 2 if n < 12 else np.where(np.arange(n) == 11, 10, np.arange(n))
    split = (np.arange(n) % 3 == 0).astype(np.int32)
    label = (np.arange(n) % (classes + 1) - 1).astype(np.int32)
    split[group != np.arange(n)] = split[group[group != np.arange(n)]]
    captions = np.roll(vectors, 1, axis=0)
    graphs = {
        "image>image": ListGraph(*lists_of(vectors, group, split, k)),
        "caption>caption": ListGraph(*lists_of(captions, group, split, k)),
    }
    graphs["image-view1>image-view1"] = graphs["image>caption"] = graphs["caption>caption"]
    ids = graphs["image>image"].ids
    known = label >= 0
    sets = LabelSets(np.concatenate([[0], np.cumsum(known)]), label[known], classes)
    rows = np.arange(n)
    location = np.where(rows % 7 == 6, -1, rows // 3 % 5).astype(np.int32)
    time = np.where(rows % 8 == 5, np.nan, rows * 3.0 % 40 + 1.7e9)
    columns = Columns(
        n,
        {"group_id": group, "split": split, "label": label, "attr_location": location},
        {"labels": sets},
        {"attr_time": time},
        keys_of(n),
    )
    anchors = np.arange(n) if anchors is None else anchors
    positives = ids[anchors][:, :1]
    fns = np.where(label[anchors][:, None] > 1, ids[anchors][:, 2:3], -1)
    lists = [
        EdgeLists(x, np.ones(x.shape, np.float32), np.ones(x.shape, np.float32))
        for x in (positives, fns)
    ]
    return Block(
        anchors=anchors,
        samples=columns,
        graphs=graphs,
        vectors={"image": ArrayVectors(vectors), "caption": ArrayVectors(captions)},
        positives=lists[0],
        false_negatives=lists[1],
        negatives=EdgeLists.none(len(anchors)),
        thresholds={"image>image": {"attract": 0.9, "eliminate": 0.5}},
        assets={"assets": assets_of(anchors)},
        seed=3,
        captions=[CAPTIONS[i % len(CAPTIONS)] for i in anchors],
        twin_captions=[CAPTIONS[(i + 1) % len(CAPTIONS)] if i < 4 else [] for i in anchors],
        clusters={"image": CodedClusters(columns, vectors.any(axis=1))},
    )


def assets_of(anchors) -> AssetLists:
    shape = (len(anchors), 10)
    keys = np.array([[f"assets/{i}-{c}" for c in range(10)] for i in anchors], object)
    keys = keys.reshape(shape)
    keys[anchors % 3 == 0, 7:] = None
    sims = ((anchors[:, None] * 7 + np.arange(10)) % 21 / 20).astype(np.float32)
    ids = np.where((anchors[:, None] + np.arange(10)) % 2 == 0, -1, 5)
    random = np.linspace(-0.5, 0.4, 1001).astype(np.float32)
    return AssetLists(keys, sims, ids, np.full(shape, 0.5, np.float32), random)


def lists_of(vectors, group, split, k):
    n = len(vectors)
    sims = (vectors[:, None] * vectors[None]).sum(-1, dtype=np.float32)
    there = vectors.any(axis=1)
    allowed = (split[:, None] == split) & (group[:, None] != group) & there & there[:, None]
    ids, found = np.full((n, k), -1, np.int64), np.zeros((n, k), np.float32)
    for i in range(n):
        order = [j for j in np.lexsort((np.arange(n), -sims[i])) if allowed[i, j]][:k]
        ids[i, : len(order)], found[i, : len(order)] = order, sims[i, order]
    return ids, found


def vectors_of(kind, n=N):
    rng = np.random.default_rng(1)
    rows = {
        "plain": rng.normal(size=(n, 6)),
        "ties": np.eye(6)[rng.integers(0, 6, n)],
        "equal": np.ones((n, 6)),
        "opposed": np.where(np.arange(n) % 2, 1, -1)[:, None] * np.ones((n, 6)),
        "zero": np.zeros((n, 6)),
    }[kind]
    norm = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.where(norm > 0, rows / np.maximum(norm, 1e-9), 0).astype(np.float32)


@pytest.fixture(params=EVERY, ids=lambda item: "/".join(item))
def miner(request, files) -> Miner:
    role, name = request.param
    kind = registry.load(name, PACKAGES[role], Miner)
    needed = [key for key, item in kind.model_fields.items() if item.is_required()]
    found = kind(**{key: files[key] for key in needed})
    assert found.role is role
    return found


@pytest.fixture(params=["plain", "ties", "equal", "opposed", "zero"])
def block(request, miner) -> Block:
    return prepared(miner, block_of(vectors_of(request.param), k=16))


def prepared(miner, block) -> Block:
    """Make what the miner wants beforehand, in memory."""
    made = {
        name: stage.computed(block.graphs, block.vectors, block.samples.count)
        for name, stage in miner.preparations.items()
    }
    return dataclasses.replace(block, prepared=made)


def well_formed(miner, block, found):
    shape = found.ids.shape
    assert shape[0] == len(block.anchors)
    assert (found.ids.dtype, found.reasons.dtype) == (np.int64, np.uint8)
    for name in (
        "reasons",
        "similarities",
        "ranks",
        "weights",
        "corrected",
        "valid_from",
        "actions",
    ):
        value = getattr(found, name)
        assert value is None or value.shape == shape, name
    there = found.ids >= 0
    assert found.ids.min(initial=-1) >= -1
    assert found.ids.max(initial=-1) < block.samples.count
    assert found.reasons[there].max(initial=0) < len(REASONS)
    taken = np.where(there & (found.reasons == 0), found.ids, -1)
    if found.weights is not None:
        assert (found.weights[taken >= 0] > 0).all()
    own = taken == block.anchors[:, None]
    assert miner.allows_self or not own.any()
    for row in taken:
        ids = row[row >= 0].tolist()
        assert len(ids) == len(set(ids)), "taken twice"
    return taken


def test_it_names_its_paper_and_fidelity(miner):
    assert miner.paper
    assert miner.fidelity in ("exact", "exact+hook", "frozen-detector", "surrogate")
    assert (type(miner).__doc__ or "").count("\n") > 3
    assert type(miner).__name__.lower() == type(miner).__module__.rsplit(".", 1)[-1].replace(
        "_", ""
    )


def test_output_is_well_formed(miner, block):
    found = miner.mine(block)
    taken = well_formed(miner, block, found)
    limit = miner.capacity or 1
    assert ((taken >= 0).sum(axis=1) <= limit).all()


def test_it_takes_nothing_that_no_miner_may_take(miner, block):
    taken = well_formed(miner, block, miner.mine(block))
    row, place = np.nonzero((taken >= 0) & (taken != block.anchors[:, None]))
    a, b = block.anchors[row], taken[row, place]
    for column, same in (("split", True), ("group_id", False)):
        equal = block.samples.take(column, a) == block.samples.take(column, b)
        assert (equal == same).all(), column
    if miner.role is Role.NEGATIVE:
        for lists in (block.positives, block.false_negatives):
            assert not (lists.ids[row] == b[:, None]).any()


def test_an_empty_block_gives_nothing(miner):
    full = prepared(miner, block_of(vectors_of("plain"), k=16))
    none = EdgeLists.none(0)
    empty = dataclasses.replace(
        full,
        anchors=full.anchors[:0],
        captions=(),
        twin_captions=(),
        positives=none,
        false_negatives=none,
        negatives=none,
        assets={"assets": assets_of(full.anchors[:0])},
    )
    found = miner.mine(empty)
    well_formed(miner, empty, found)
    assert found.ids.size == 0


@pytest.mark.parametrize("k", [1, 3])
def test_a_list_shorter_than_asked_for(miner, k):
    block = prepared(miner, block_of(vectors_of("plain"), k=k))
    well_formed(miner, block, miner.mine(block))


@pytest.mark.parametrize("n", [1, 2, 5])
def test_a_corpus_of_few_samples(miner, n):
    block = prepared(miner, block_of(vectors_of("plain", n), k=4))
    well_formed(miner, block, miner.mine(block))


def same(one, two):
    for item in dataclasses.fields(one):
        a, b = getattr(one, item.name), getattr(two, item.name)
        if isinstance(a, np.ndarray):
            np.testing.assert_array_equal(a, b, err_msg=item.name)
        else:
            assert a == b, item.name


def test_twice_the_same_and_the_block_is_left_alone(miner, block):
    before = [x.ids.copy() for x in (block.positives, block.false_negatives)]
    same(miner.mine(block), miner.mine(block))
    for copy, lists in zip(before, (block.positives, block.false_negatives), strict=True):
        np.testing.assert_array_equal(copy, lists.ids)


def test_an_anchor_does_not_depend_on_the_others_of_its_block(miner, block):
    def edges(b):
        found = miner.mine(b)
        row, place = np.nonzero(found.there)
        names = (found.ids, found.reasons, found.ranks, np.nan_to_num(found.similarities, nan=9))
        rows = zip(b.anchors[row], *(x[row, place] for x in names), strict=True)
        return [tuple(map(float, item)) for item in rows]

    def half(lists, rows):
        return EdgeLists(lists.ids[rows], lists.similarities[rows], lists.weights[rows])

    pieces = []
    for rows in np.array_split(np.arange(len(block.anchors)), [7, 8, 50]):
        pieces += edges(
            dataclasses.replace(
                block,
                anchors=block.anchors[rows],
                captions=[block.captions[row] for row in rows],
                twin_captions=[block.twin_captions[row] for row in rows],
                positives=half(block.positives, rows),
                false_negatives=half(block.false_negatives, rows),
                negatives=half(block.negatives, rows),
                assets={"assets": assets_of(block.anchors[rows])},
            )
        )
    assert pieces == edges(block)


def test_its_settings_are_frozen_and_named(miner):
    for name in type(miner).model_fields:
        with pytest.raises(ValueError, match="frozen"):
            setattr(miner, name, None)
    with pytest.raises(ValueError, match="Extra inputs are not permitted"):
        type(miner)(no_such_setting=1)
    assert miner.identity()["class"].endswith(type(miner).__qualname__)
