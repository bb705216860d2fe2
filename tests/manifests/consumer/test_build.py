"""What the parts of a run read and hold."""

import pytest
import torch

from curate.manifests.consumer import TrainOptions
from curate.manifests.consumer.build import build, settled

QUICK = {"batch_size": 40, "image_px": 8, "evaluate": 0, "positives_per_anchor": None}


def first(root, **change):
    options, loss = settled(root, TrainOptions(**{**QUICK, **change}))
    parts = build(root, options, loss, torch.device("cpu"), None)
    return parts, next(iter(parts.loader))


@pytest.mark.parametrize(
    ("change", "negatives"),
    [
        ({}, True),
        ({"hard_negatives": False}, False),
        ({"loss": {"kind": "triplet"}}, True),
        ({"loss": {"kind": "byol"}}, False),
        ({"loss": {"kind": "moco"}}, False),
        ({"loss": {"kind": "bcl"}}, True),
    ],
)
def test_only_what_the_loss_shows_is_read(tiny, change, negatives):
    _, batch = first(tiny.root, **change)
    assert bool((batch.negative >= 0).any()) == negatives
    shown = torch.cat([batch.anchor, batch.positive.flatten(), batch.negative.flatten()])
    assert len(batch.images) == len(shown[shown >= 0].unique())


def test_positives_are_drawn_before_they_are_read(tiny):
    _, one = first(tiny.root)
    assert ((one.positive >= 0).sum(1) == 1).all()
    _, every = first(tiny.root, positives_per_anchor=0)
    _, bare = first(tiny.root, mask=False)
    assert int((every.positive >= 0).sum(1).max()) == 2
    assert torch.equal(every.positive >= 0, bare.positive >= 0)
    # Those that were not drawn are masked all the same.
    known = torch.cat([every.sample_id, torch.tensor([-1])])
    for row in range(len(one)):
        left = set(known[every.positive[row]].tolist()) - {-1}
        left -= {int(one.sample_id[one.positive[row].max()])}
        assert left <= set(one.fn_ids[row].tolist())
