"""Negatives that a plan drew come with its batches, behind those of the pairs."""

import numpy as np
import pytest
import torch
from tiny_pairset import add_plan

from curate.manifests import Pairset, PairStream
from curate.manifests.stream import ImageTransform
from curate.manifests.stream.planned import PlannedNegatives

SMALL = ImageTransform(8)
H = 3


@pytest.fixture
def planned(copy, tiny):
    """Return the root, and {pair_id: drawn ids} of a plan of 5 batches of 16."""
    rng = np.random.default_rng(2)
    train = np.array([row for row, split in enumerate(tiny.splits) if split == "train"])
    batches = rng.permutation(train)[:80].reshape(5, 16)
    drawn = rng.choice(train, (5, 16, H))
    drawn[1, 3] = -1
    drawn[2, 4, 2] = -1
    add_plan(copy, batches, "b3", negatives=drawn)
    add_plan(copy, batches, "plain")
    by_pair = dict(zip(batches.reshape(-1).tolist(), drawn.reshape(-1, H).tolist(), strict=True))
    return copy, by_pair


@pytest.mark.parametrize("ranks", [1, 2])
def test_each_pair_gets_its_own(planned, ranks):
    root, by_pair = planned
    k, seen = Pairset.open(root).counts["K"], 0
    for rank in range(ranks):
        stream = PairStream(
            root, order="plan", plan="b3", transform=SMALL, rank=rank, world_size=ranks
        )
        for batch in stream:
            assert batch.negative.shape == (16 // ranks, k + H)
            ids = torch.cat([batch.sample_id, torch.tensor([-1])])[batch.negative]
            for pair, row, weight in zip(
                batch.pair_id.tolist(), ids.tolist(), batch.negative_weight.tolist(), strict=True
            ):
                assert row[k:] == by_pair[pair]
                assert weight[k:] == [float(j >= 0) for j in by_pair[pair]]
                seen += 1
    assert seen == 80


def test_the_pairs_own_negatives_are_as_without(planned):
    root, _ = planned
    k = Pairset.open(root).counts["K"]
    both = [
        next(iter(PairStream(root, order="plan", plan=plan, transform=SMALL)))
        for plan in ("b3", "plain")
    ]
    for name in ("pair_id", "positive_weight", "fn_ids"):
        assert torch.equal(getattr(both[0], name), getattr(both[1], name))
    ids = [torch.cat([b.sample_id, torch.tensor([-1])])[b.negative[:, :k]] for b in both]
    assert torch.equal(*ids)
    assert torch.equal(both[0].negative_weight[:, :k], both[1].negative_weight)


def test_other_orders_and_pairs_outside_the_plan_have_none(planned):
    root, by_pair = planned
    batch = next(iter(PairStream(root, 16, transform=SMALL)))
    assert batch.negative.shape[1] == Pairset.open(root).counts["K"]
    pairset = Pairset.open(root)
    assert PlannedNegatives.of(pairset, "plain") is None
    found = PlannedNegatives.of(pairset, "b3").rows(np.arange(pairset.counts["pairs"]))
    for pair, row in enumerate(found.tolist()):
        assert row == by_pair.get(pair, [-1] * H)


def test_workers_open_them_anew(planned):
    root, by_pair = planned
    stream = PairStream(root, order="plan", plan="b3", transform=SMALL)
    next(iter(stream))
    batches = list(stream.loader(num_workers=1))
    ids = torch.cat([batches[0].sample_id, torch.tensor([-1])])[batches[0].negative[:, -H:]]
    assert ids.tolist() == [by_pair[pair] for pair in batches[0].pair_id.tolist()]
