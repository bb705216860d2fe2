"""The loss of a batch with recipes against a loop over them."""

import dataclasses

import numpy as np
import pytest
import torch

from curate.manifests.consumer import Step, StepSettings, build_head
from curate.manifests.losses import InfoNce
from curate.manifests.stream.batch import MixBatch

T = 0.3


@pytest.fixture
def mixed(batch):
    """Three recipes a pair: between two parents, with the anchor, and an empty place."""
    rng, size = np.random.default_rng(0), (len(batch), 3)
    a, b = (torch.from_numpy(rng.integers(0, len(batch.sample_id), size)) for _ in "ab")
    a[:, 2] = b[:, 1:] = -1
    kind = torch.tensor([[1, 2, 0]]).expand(size)
    coef = torch.from_numpy(rng.uniform(0, 0.5, size).astype(np.float32))
    none = torch.zeros(size, dtype=torch.int64)
    mixes = MixBatch(("other", "mochi"), none + 1, kind, a, b, coef, none)
    return dataclasses.replace(batch, mixes=mixes)


def settings(step):
    return StepSettings(step.settings.augmentation, seed=3, positives=1)


def test_recipes_join_the_denominator_of_their_own_anchor(net, place, step, mixed):
    bare = build_head(InfoNce(t=T), place, 0)
    with_mixes = Step(mixed, settings(step), progress=0.5)
    found = bare(net, with_mixes)
    anchors = step.anchors()
    q = net(anchors.images).detach()
    from curate.manifests.stream import normalise

    images = normalise(mixed.images, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    z = net(images).detach().double().numpy()
    losses = []
    of_positives = net(step.positives().images).detach().double().numpy()
    every = torch.cat([anchors.images, step.positives().images, step.negatives().images])
    bank = net(every).detach().double().numpy()
    from curate.manifests.consumer.step import together

    weights = step.negative_weights(together(anchors, step.positives(), step.negatives()))
    for i, row in enumerate(step.rows.tolist()):
        own = q[i].double().numpy()
        extra = 0.0
        for place_, kind in ((0, 1), (1, 2)):
            c = float(mixed.mixes.coef[row, place_])
            a = z[mixed.mixes.a[row, place_]]
            h = c * a + (1 - c) * z[mixed.mixes.b[row, 0]] if kind == 1 else c * own + (1 - c) * a
            extra += np.exp(own @ h / np.linalg.norm(h) / T)
        rest = (weights[i].double().numpy() * np.exp(bank @ own / T)).sum()
        positive = np.exp(own @ of_positives[i] / T)
        losses.append(-np.log(positive / (positive + rest + extra)))
    weight = step.batch.weight[step.rows].numpy()
    assert found.item() == pytest.approx(np.average(losses, weights=weight), rel=1e-5)
    assert found.item() > bare(net, step).item()


def test_recipes_wait_for_the_warmup_and_have_no_gradient(net, place, step, mixed):
    head = build_head(InfoNce(t=T, warmup=0.5), place, 0)
    early, late = (Step(mixed, settings(step), progress=p) for p in (0.4, 0.5))
    assert head(net, early).item() == head(net, step).item()
    assert head(net, late).item() > head(net, step).item()
    only = dataclasses.replace(mixed, negative_weight=mixed.negative_weight * 0)
    shown, first, second = Step(only, settings(step)).parents()
    assert (second[:, 1:] == -1).all()
    assert (first[:, 2] == -1).all()
    assert torch.equal(shown.ids[first[:, 0]], mixed.sample_id[mixed.mixes.a[step.rows, 0]])
