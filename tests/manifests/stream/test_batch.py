import numpy as np
import pytest
import torch

from curate.manifests import Pairset
from curate.manifests.stream.batch import Settings, complete, compose
from curate.manifests.stream.cache import load_columns
from curate.manifests.stream.columns import Request


@pytest.fixture
def columns(tiny):
    return load_columns(Pairset.open(tiny.root), Request(Settings(captions=True)), 1 << 30)


def pictures(ids):
    """An image that says whose it is."""
    return [torch.full((3, 2, 2), float(i)) for i in ids]


def test_each_image_is_needed_once_and_each_index_leads_to_its_id(columns):
    rows = np.array([5, 190, 7, 5])
    valid = np.array([True, True, True, False])
    plan = compose(columns, rows, valid)
    expected = set()
    for row in rows[:3]:
        for name in ("anchor_id", "positive_ids", "negative_ids"):
            expected |= set(np.ravel(columns[name][row]).tolist())
    assert plan.sample_id.tolist() == sorted(expected - {-1})
    batch = complete(columns, plan, list(pictures(plan.sample_id)), Settings(captions=True))
    for at, row in enumerate(rows[:3]):
        assert batch.images[batch.anchor[at], 0, 0, 0] == columns["anchor_id"][row]
        for index, name in ((batch.positive, "positive"), (batch.negative, "negative")):
            for slot, sample in enumerate(columns[f"{name}_ids"][row]):
                place = int(index[at, slot])
                assert (batch.sample_id[place] == sample) if sample >= 0 else place == -1
        assert batch.fn_ids[at].tolist() == columns["false_negative_ids"][row].tolist()
    assert batch.pair_id.tolist() == rows.tolist()
    assert batch.valid.tolist() == valid.tolist()
    assert batch.anchor[3] == -1
    assert (batch.positive[3] == -1).all()
    assert batch.weight.tolist() == [1, 1, 1, 0]
    assert batch.positive_weight[3].sum() == batch.negative_weight[3].sum() == 0
    assert batch.group_id.tolist() == columns["groups"][plan.sample_id, 0].tolist()
    assert batch.captions == [columns.caption(i) for i in plan.sample_id]


def test_a_lost_image_takes_only_its_own_places(columns):
    rows = np.arange(40)
    plan = compose(columns, rows, np.ones(40, bool))
    images = pictures(plan.sample_id)
    lost = {
        int(columns["anchor_id"][3]),
        int(columns["negative_ids"][9, 0]),
        int(columns["positive_ids"][20, 0]),
    }
    for at, sample in enumerate(plan.sample_id.tolist()):
        images[at] = None if sample in lost else images[at]
    batch = complete(columns, plan, list(images))
    assert batch.bad_images == 3
    assert not set(batch.sample_id.tolist()) & lost
    for row in rows:
        anchor_lost = int(columns["anchor_id"][row]) in lost
        left = [p for p in columns["positive_ids"][row].tolist() if p >= 0 and p not in lost]
        assert bool(batch.valid[row]) == (not anchor_lost and bool(left))
        assert (batch.weight[row] > 0) == bool(batch.valid[row])
        for slot, sample in enumerate(columns["negative_ids"][row].tolist()):
            place = int(batch.negative[row, slot])
            if sample in lost or sample < 0:
                assert place == -1
                assert batch.negative_weight[row, slot] == 0
            else:
                assert batch.images[place, 0, 0, 0] == sample
    assert not bool(batch.valid[3])


def test_all_images_lost(columns):
    plan = compose(columns, np.arange(4), np.ones(4, bool))
    batch = complete(columns, plan, [None] * len(plan.sample_id))
    assert batch.images.shape[0] == len(batch.sample_id) == 0
    assert not batch.valid.any()
    assert (batch.anchor == -1).all()


def test_moves_to_a_device_as_a_whole(columns):
    plan = compose(columns, np.arange(4), np.ones(4, bool))
    batch = complete(columns, plan, list(pictures(plan.sample_id))).to("meta")
    tensors = [value for value in vars(batch).values() if isinstance(value, torch.Tensor)]
    assert len(tensors) == 13
    assert {tensor.device.type for tensor in tensors} == {"meta"}
    assert len(batch) == 4
