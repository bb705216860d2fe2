import shutil

import numpy as np
import pytest
import torch

from curate.manifests import PairStream, false_negative_mask, false_negative_pairs
from curate.manifests.stream import ImageTransform


def by_loops(fn, anchors, groups, ids, id_groups, positives):
    mask = np.zeros((len(anchors), len(ids)), bool)
    for i, anchor in enumerate(anchors):
        for j, other in enumerate(ids):
            same = any(a == b and a >= 0 for a, b in zip(groups[i], id_groups[j], strict=True))
            listed = other in fn[i] or other in positives[i] or other == anchor
            mask[i, j] = other < 0 or same or listed
    return mask


@pytest.mark.parametrize("seed", range(12))
def test_equals_loops(seed):
    rng = np.random.default_rng(seed)
    b, m, f, p, c = rng.integers(1, 9), rng.integers(1, 30), rng.integers(0, 6), 2, 1 + seed % 3
    top = 25
    anchors, ids = rng.integers(0, top, b), rng.integers(-1, top, m)
    fn, positives = rng.integers(-1, top, (b, f)), rng.integers(-1, top, (b, p))
    values = (2, 20, 200)[seed % 4 % 3]  # of groups: one large one, and small ones
    groups, id_groups = rng.integers(-1, values, (b, c)), rng.integers(-1, values, (m, c))
    given = [torch.from_numpy(x) for x in (fn, anchors, groups, ids, id_groups, positives)]
    expected = by_loops(fn, anchors, groups, ids, id_groups, positives)
    assert np.array_equal(false_negative_mask(*given).numpy(), expected)
    rows, members = false_negative_pairs(*given).tolist()
    known = [(i, j) for i, j in np.argwhere(expected).tolist() if ids[j] >= 0]
    assert list(zip(rows, members, strict=True)) == known


def test_one_group_column_may_be_a_vector():
    mask = false_negative_mask(
        fn_ids=torch.tensor([[9, -1]]),
        anchor_ids=torch.tensor([1]),
        anchor_groups=torch.tensor([1]),
        gathered_ids=torch.tensor([1, 2, 9, 4, 5]),
        gathered_groups=torch.tensor([1, 1, 9, 4, 5]),
    )
    assert mask.tolist() == [[True, True, True, False, False]]


def test_nothing_gathered_and_no_groups():
    empty = torch.zeros(3, 0, dtype=torch.int64)
    mask = false_negative_mask(empty, torch.arange(3), empty, torch.zeros(0).long(), empty[:0])
    assert mask.shape == (3, 0)
    ids = torch.tensor([0, 7])
    mask = false_negative_mask(empty, torch.arange(3), empty, ids, empty[:2])
    assert mask.tolist() == [[True, False], [False, False], [False, False]]
    pairs = false_negative_pairs(empty, torch.arange(3), empty, ids, empty[:2])
    assert pairs.tolist() == [[0], [0]]
    nothing = torch.zeros(0).long()
    assert false_negative_pairs(empty, torch.arange(3), empty, nothing, empty[:0]).shape == (2, 0)


def test_gathered_batches_of_two_ranks(clustered, damage, tmp_path):
    """Duplicates, positives of others, lost images, padding and repeats, as two ranks see them."""
    root = shutil.copytree(clustered[0], tmp_path / "out")
    damage(root, range(0, 200, 13))
    settings = {"transform": ImageTransform(4), "max_bad_fraction": 0.9, "pad_to_multiple": 8}
    ranks = [
        PairStream(root, 48, rank=r, world_size=2, drop_last=False, **settings) for r in range(2)
    ]
    batches = [list(rank)[-1] for rank in ranks]  # the last one holds repeats
    ids = torch.cat([batch.sample_id for batch in batches])
    groups = torch.cat([batch.groups for batch in batches])
    assert (ids < 0).any()
    assert len(set(ids.tolist())) < len(ids) - int((ids < 0).sum())
    for batch in batches:
        here = batch.valid.nonzero()[:, 0]
        named = torch.cat([batch.sample_id, torch.tensor([-1])])
        anchors, positives = named[batch.anchor[here]], named[batch.positive[here]]
        own = batch.groups[batch.anchor[here]]
        given = (batch.fn_ids[here], anchors, own, ids, groups, positives)
        expected = by_loops(*(value.numpy() for value in given))
        assert np.array_equal(false_negative_mask(*given).numpy(), expected)
        rows, members = false_negative_pairs(*given)
        sparse = torch.zeros(len(here), len(ids), dtype=torch.bool)
        sparse[rows, members] = True
        sparse[:, ids < 0] = True
        assert np.array_equal(sparse.numpy(), expected)
        assert expected.any(axis=1).all()
