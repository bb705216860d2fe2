"""Soft targets, recipes, negative captions and schedules in a batch, against the table's rows."""

import dataclasses
from typing import ClassVar

import numpy as np
import pyarrow as pa
import pytest
import torch
from runs import curate, vector_config, vector_corpus

from curate.manifests.errors import UsageError
from curate.manifests.pairset import Pairset
from curate.manifests.schema import PAIR_EXTRAS
from curate.manifests.stream import PairStream
from curate.manifests.stream.batch import Settings, complete, compose
from curate.manifests.stream.cache import load_columns
from curate.manifests.stream.columns import Request, build
from curate.manifests.stream.extras import draw_mixes, extra_bytes, read_extras


@pytest.fixture(scope="module")
def pairset(tmp_path_factory):
    root = tmp_path_factory.mktemp("extras")
    corpus = vector_corpus(root / "corpus", rows=200)
    config = vector_config(
        corpus,
        root / "c.yaml",
        synthetic=[{"miner": "mochi", "mixed": 5, "with_anchor": 2}, {"miner": "synco"}],
        soft=[{"miner": "teacher", "k": 6, "t": 0.05}],
    )
    curate("run", config, "-o", root / "out", "--ray", "off", "--no-report")
    return Pairset.open(root / "out")


def pictures(ids):
    return [torch.full((3, 1, 1), float(i)) for i in ids]


def batch_of(columns, rows, settings, epoch=0, missing=()):
    plan = compose(columns, rows, np.ones(len(rows), bool), settings, epoch)
    images = [
        None if int(i) in missing else p
        for i, p in zip(plan.sample_id, pictures(plan.sample_id), strict=True)
    ]
    return complete(columns, plan, images, settings)


def test_columns_hold_what_the_table_holds(pairset, tmp_path):
    rows = pairset.table("pairs").to_pylist()
    for columns in (
        build(pairset, Request()),
        load_columns(pairset, Request(), 1, tmp_path / "cache"),
    ):
        assert set(columns.methods) == {"mochi", "synco"}
        for at in (0, 7, 150):
            assert columns["soft_ids"][at].tolist() == rows[at]["soft_ids"]
            for place, item in enumerate(rows[at]["synthetic"]):
                assert columns.methods[columns["mix_method"][at, place]] == item["method"]
                for name in ("type", "a_id", "b_id", "coef", "seed"):
                    assert columns[f"mix_{name}"][at, place] == item[name]
    assert extra_bytes(pairset, False) > len(rows) * 22 * 20


def test_a_batch_names_the_images_of_the_parents(pairset):
    columns, table = build(pairset, Request()), pairset.table("pairs").to_pylist()
    rows = np.array([3, 90, 150])
    batch = batch_of(columns, rows, Settings(mixes=4, seed=1))
    names = {i: int(s) for i, s in enumerate(batch.sample_id)} | {-1: -1}
    assert torch.equal(batch.images[:, 0, 0, 0].long(), batch.sample_id)
    for at, row in enumerate(rows):
        known = [tuple(item.values()) for item in table[row]["synthetic"] if item["a_id"] >= 0]
        got = [
            (
                batch.mixes.methods[int(batch.mixes.method[at, m])],
                int(batch.mixes.type[at, m]),
                names[int(batch.mixes.a[at, m])],
                names[int(batch.mixes.b[at, m])],
                float(batch.mixes.coef[at, m]),
                int(batch.mixes.seed[at, m]),
            )
            for m in range(4)
            if batch.mixes.a[at, m] >= 0
        ]
        assert len(got) == min(4, len(known))
        assert len(set(got)) == len(got)
        assert set(got) <= set(known)
        assert batch.soft_ids[at].tolist() == table[row]["soft_ids"]
        np.testing.assert_allclose(batch.soft_targets[at], table[row]["soft_targets"])
    assert batch.to("cpu").mixes.a.shape == (3, 4)


def test_without_mixes_no_parent_is_read(pairset):
    columns = build(pairset, Request())
    plain = batch_of(columns, np.arange(5), Settings())
    assert plain.mixes is None
    assert len(batch_of(columns, np.arange(5), Settings(mixes=5)).images) > len(plain.images)


def test_recipes_change_with_the_epoch_and_come_back(pairset):
    arrays = build(pairset, Request()).arrays
    rows = np.arange(50)
    first, again = (draw_mixes(arrays, rows, 3, 1, 0) for _ in range(2))
    other = draw_mixes(arrays, rows, 3, 1, 1)
    for item in dataclasses.fields(first):
        np.testing.assert_array_equal(getattr(first, item.name), getattr(again, item.name))
    assert (first.a_ids != other.a_ids).any()
    alone = draw_mixes(arrays, rows[7:9], 3, 1, 0)
    np.testing.assert_array_equal(alone.a_ids, first.a_ids[7:9])


def test_a_recipe_without_its_parent_is_an_empty_place(pairset):
    columns = build(pairset, Request())
    whole = batch_of(columns, np.arange(20), Settings(mixes=6))
    lost = int(whole.sample_id[whole.mixes.a[0, 0]])
    batch = batch_of(columns, np.arange(20), Settings(mixes=6), missing={lost})
    assert lost not in batch.sample_id
    assert (batch.mixes.a < 0).sum() > (whole.mixes.a < 0).sum()
    used = batch.mixes.b[batch.mixes.a >= 0]
    assert used.max() < len(batch.images)


class FakePairset:
    """A table of pairs with columns that no run here makes."""

    counts: ClassVar = {"pairs": 3, "P": 2, "K": 1, "F": 2, "V": 1, "T": 2}

    table = pa.table(
        {
            "positive_valid_from": [[0.0, 0.5]] * 3,
            "negative_valid_from": [[0.3]] * 3,
            "false_negative_valid_from": [[0.0, 0.9], [0.0, 0.0], [0.4, 0.0]],
            "negative_texts": [["no cat", ""], ["ä b", "c"], ["", ""]],
        }
    )

    def blocks(self, names):
        yield 0, self.table.select(names).slice(0, 2)
        yield 2, self.table.select(names).slice(2)


def test_schedules_and_captions():
    assert {e.name for e in PAIR_EXTRAS if FakePairset.counts.get(e.present)} == set(
        FakePairset.table.column_names
    )
    arrays = {}

    def allocate(name, shape, kind):
        arrays[name] = np.zeros(shape, kind)
        return arrays[name]

    fake = FakePairset()
    assert read_extras(fake, fake.blocks, allocate, captions=True) == ()
    ids = np.arange(6).reshape(3, 2)
    arrays |= {
        "anchor_id": np.array([6, 7, 8]),
        "positive_ids": ids,
        "negative_ids": ids[:, :1] + 10,
        "false_negative_ids": ids + 20,
        "positive_weights": np.ones((3, 2), np.float32),
        "negative_weights": np.ones((3, 1), np.float32),
    }
    from curate.manifests.stream.columns import Columns

    columns = Columns(arrays, ("train",), ())
    assert [columns.negative_texts(row) for row in range(3)] == [["no cat"], ["ä b", "c"], []]
    rows, whole = np.arange(3), np.ones(3, bool)
    for progress, positives, negatives, masked in (
        (0.0, 1, 0, [[20, -1], [22, 23], [-1, 25]]),
        (0.3, 1, 1, [[20, -1], [22, 23], [-1, 25]]),
        (0.5, 2, 1, [[20, -1], [22, 23], [24, 25]]),
        (1.0, 2, 1, [[20, 21], [22, 23], [24, 25]]),
    ):
        plan = compose(columns, rows, whole, progress=progress)
        assert ((plan.places["positive"] >= 0).sum(axis=1) == positives).all()
        assert ((plan.places["negative"] >= 0).sum(axis=1) == negatives).all()
        assert plan.fn_ids.tolist() == masked


def test_progress_is_a_function_of_the_place(tiny):
    stream = PairStream(tiny.root, batch_size=40, schedule_batches=10)
    length = len(stream)
    assert stream.progress_at(0, 0) == 0
    assert stream.progress_at(1, 2) == pytest.approx(min(1, (length + 2) / 10))
    assert stream.progress_at(9, 0) == 1
    stream.set_progress(0.25)
    assert stream.progress_at(9, 0) == 0.25
    stream.set_progress(None)
    assert stream.progress_at(9, 0) == 1
    assert PairStream(tiny.root, batch_size=40).progress_at(0, 0) == 1
    with pytest.raises(UsageError, match=r"progress=1\.5"):
        stream.set_progress(1.5)
    with pytest.raises(UsageError, match="schedule_batches=0"):
        PairStream(tiny.root, batch_size=40, schedule_batches=0)
