"""One training step against a slow reading of the tables: loops over pairs, in numpy."""

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

from curate.manifests import PairStream
from curate.manifests.consumer import Augmentation, Place, Step, StepSettings, build_head
from curate.manifests.consumer.step import drawn_weights
from curate.manifests.losses import InfoNce
from curate.manifests.stream import ImageTransform, normalise

STILL = Augmentation(area=(1, 1), ratio=(1, 1), flip=0, jitter=0, grey=0)
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
T = 0.2


@pytest.fixture
def project():
    matrix = torch.randn(3 * 8 * 8, 6, generator=torch.Generator().manual_seed(0))

    def project(given):
        images = getattr(given, "images", given)
        return torch.nn.functional.normalize(images.flatten(1) @ matrix, dim=1)

    return project


@pytest.fixture
def batch(tiny):
    return next(iter(PairStream(tiny.root, 48, transform=ImageTransform(8))))


def batch_loss(project, batch, epoch, settings):
    head = build_head(InfoNce(t=T), Place(project, 1, 160), 0)
    return head(project, Step(batch, settings, epoch))


def reference(tiny, batch, project, mask=True, hard=True):
    """The loss from the Parquet rows alone; every unique image is encoded once."""
    features = project(normalise(batch.images, MEAN, STD)).double().numpy()
    at = {sample: features[i] for i, sample in enumerate(batch.sample_id.tolist())}
    rows = {row["pair_id"]: row for row in pq.read_table(tiny.root / "pairs").to_pylist()}
    pairs = [
        rows[i] for i, ok in zip(batch.pair_id.tolist(), batch.valid.tolist(), strict=True) if ok
    ]

    bank = [(pair["anchor_id"], None) for pair in pairs]
    bank += [(p, None) for pair in pairs for p in pair["positive_ids"] if p in at]
    if hard:
        bank += [
            (n, "hard")
            for n in sorted({n for pair in pairs for n in pair["negative_ids"] if n in at})
        ]
    losses, weights = [], []
    for pair in pairs:
        anchor, positives = pair["anchor_id"], [p for p in pair["positive_ids"] if p in at]
        share = np.array(
            [
                w
                for p, w in zip(pair["positive_ids"], pair["positive_weights"], strict=True)
                if p in at
            ]
        )
        total = 0.0
        for other, kind in bank:
            group = mask and tiny.group_id[other] == tiny.group_id[anchor]
            listed = mask and other in pair["false_negative_ids"]
            if other == anchor or other in positives or group or listed:
                continue
            weight = 1.0
            if kind == "hard" and other in pair["negative_ids"]:
                weight = pair["negative_weights"][pair["negative_ids"].index(other)]
            total += weight * np.exp(at[anchor] @ at[other] / T)
        scores = np.array([at[anchor] @ at[p] for p in positives]) / T
        losses.append((share / share.sum() * (-scores + np.log(np.exp(scores) + total))).sum())
        weights.append(pair["weight"])
    return np.average(losses, weights=weights)


@pytest.mark.parametrize("mask", [True, False])
@pytest.mark.parametrize("hard", [True, False])
def test_equals_a_slow_reading_of_the_tables(tiny, batch, project, mask, hard):
    settings = StepSettings(STILL, mask=mask, hard_negatives=hard)
    loss = batch_loss(project, batch, 0, settings)
    assert float(loss) == pytest.approx(reference(tiny, batch, project, mask, hard), rel=1e-5)


def test_the_mask_matters_here(tiny, batch, project):
    masked, bare = (reference(tiny, batch, project, mask=m) for m in (True, False))
    assert abs(masked - bare) > 1e-3


def test_weights_of_listed_negatives_count(tiny, batch, project):
    settings = StepSettings(STILL)
    heavy = {**vars(batch), "negative_weight": batch.negative_weight * 5}
    more = batch_loss(project, type(batch)(**heavy), 0, settings)
    assert more > batch_loss(project, batch, 0, settings)


def test_invalid_pairs_have_no_part(tiny, batch, project):
    settings = StepSettings(STILL, hard_negatives=False)
    half = torch.arange(48) < 24
    cut = {**vars(batch), "valid": half, "weight": batch.weight * half}
    cut["anchor"] = torch.where(half, batch.anchor, -1)
    left = type(batch)(**cut)
    assert float(batch_loss(project, left, 0, settings)) == pytest.approx(
        reference(tiny, left, project, hard=False), rel=1e-5
    )


def test_views_change_with_the_epoch_only(batch, project):
    settings = StepSettings(Augmentation(), seed=1)
    losses = [float(batch_loss(project, batch, epoch, settings)) for epoch in (0, 0, 1)]
    assert losses[0] == losses[1] != losses[2]


def test_drawn_weights_are_an_unbiased_draw():
    weight = torch.tensor([[0.5, 0.3, 0.2], [2.0, 0.0, 2.0], [0.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
    share = [[0.5, 0.3, 0.2], [0.5, 0.0, 0.5], [0, 0, 0], [0, 1, 0]]
    for count in (1, 2, 5):
        starts = (np.arange(1000) + 0.5) / 1000
        drawn = [drawn_weights(weight, count, np.full(4, start)).numpy() for start in starts]
        for one in drawn:
            assert np.allclose(one.sum(1), [1, 1, 0, 1])
            assert np.allclose(one * count, np.round(one * count))
        assert np.allclose(np.mean(drawn, axis=0), share, atol=2e-3)
    assert drawn_weights(weight, 1, np.zeros(4)).tolist()[0] == [1, 0, 0]
    assert drawn_weights(torch.tensor([[0.1] * 10]), 1, np.array([1 - 2**-53])).tolist()[0][9] == 1


def test_one_positive_is_shown_and_all_are_masked(batch):
    step = Step(batch, StepSettings(STILL, seed=3, positives=1))
    assert (step.positive_weight > 0).sum(1).tolist() == [1] * len(step.rows)
    assert len(step.positives()) == len(step.rows)
    assert float(step.positive_share.sum()) == pytest.approx(1)
    twice = Step(batch, StepSettings(STILL, seed=3, positives=1))
    assert torch.equal(step.positive_weight, twice.positive_weight)
    later = Step(batch, StepSettings(STILL, seed=3, positives=1), epoch=1)
    assert not torch.equal(step.positive_weight, later.positive_weight)
    ids = torch.cat([batch.sample_id, torch.tensor([-1])])
    allowed = step.allowed(batch.sample_id, batch.groups)
    for row, positives in enumerate(ids[batch.positive[step.rows]].tolist()):
        for place, sample in enumerate(batch.sample_id.tolist()):
            assert not (allowed[row, place] and sample in positives)
