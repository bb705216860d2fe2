"""Losses with negatives against loops in numpy; the reductions of algorithms.md §3."""

import dataclasses
import functools
import itertools

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from tiny_pairset import edit_manifest, write_tiny_pairset

from curate.manifests import Pairset
from curate.manifests.consumer import Step, StepSettings, build_head, contrastive_loss
from curate.manifests.consumer.acceptance import accepted_together, bound, schedules_of
from curate.manifests.consumer.losses.adco import bank_gradient
from curate.manifests.consumer.losses.base import Queue
from curate.manifests.consumer.losses.bcl import rank_weights
from curate.manifests.consumer.losses.infonce import class_priors
from curate.manifests.consumer.losses.triplet import drawn_hinges
from curate.manifests.consumer.losses.unremix import importance
from curate.manifests.consumer.step import Shown
from curate.manifests.errors import UsageError
from curate.manifests.losses import Adco, Bcl, Clsp, InfoNce, Moco, Nnclr, Unremix


def units(rng, *shape):
    rows = rng.normal(size=shape)
    return rows / np.linalg.norm(rows, axis=-1, keepdims=True)


@functools.cache
def pairs_of(root):
    return {row["anchor_id"]: row for row in pq.read_table(root / "pairs").to_pylist()}


def forbidden(tiny, batch, anchor, other):
    """Read from the tables who must not be contrasted."""
    row = pairs_of(tiny.root)[anchor]
    return (
        other == anchor
        or other in row["positive_ids"]
        or other in row["false_negative_ids"]
        or tiny.group_id[other] == tiny.group_id[anchor]
    )


def test_nnclr_with_an_identity_is_infonce_of_neighbours_and_anchors(tiny, net, place, step):
    t = 0.2
    head = build_head(Nnclr(t=t, hidden=0, symmetric=False), place, 0)
    anchors = step.anchors()
    z = net(anchors.images).detach().double().numpy()
    n = net(step.positives().images).detach().double().numpy()
    losses, ids = [], anchors.ids.tolist()
    for i in range(len(z)):
        rest = sum(
            np.exp(n[i] @ z[j] / t)
            for j in range(len(z))
            if not forbidden(tiny, step.batch, ids[i], ids[j])
        )
        own = np.exp(n[i] @ z[i] / t)
        losses.append(-np.log(own / (own + rest)))
    weight = step.batch.weight[step.rows].numpy()
    assert head(net, step).item() == pytest.approx(np.average(losses, weights=weight), rel=1e-5)


def test_a_symmetric_nnclr_of_still_views_is_the_same(net, place, step):
    one = build_head(Nnclr(hidden=8, symmetric=False), place, 0).eval()
    two = build_head(Nnclr(hidden=8), place, 0).eval()
    assert one(net, step).item() == pytest.approx(two(net, step).item(), rel=1e-6)


def test_a_queue_keeps_ids_and_the_newest():
    queue = Queue(5, 2, 1)
    assert len(queue.filled()[1]) == 0
    for first in (0, 3, 6):
        ids = torch.arange(first, first + 3)
        queue.push(ids[:, None].repeat(1, 2).float(), Shown(torch.zeros(3), ids, ids[:, None] + 50))
    keys, ids, groups = queue.filled()
    assert sorted(ids.tolist()) == [4, 5, 6, 7, 8]
    assert torch.equal(keys[:, 0], ids.float())
    assert torch.equal(groups[:, 0], ids + 50)
    ids = torch.arange(100, 112)
    queue.push(ids[:, None].repeat(1, 2).float(), Shown(torch.zeros(12), ids, ids[:, None]))
    assert sorted(queue.filled()[1].tolist()) == list(range(107, 112))


def test_moco_masks_what_is_in_the_queue(tiny, net, place, step):
    head = build_head(Moco(t=0.3, queue=200), place, 0)
    ids = torch.arange(160)
    keys = torch.from_numpy(units(np.random.default_rng(0), 160, 8)).float()
    groups = torch.from_numpy(tiny.group_id)[:, None]
    head.queue.push(keys, Shown(torch.zeros(160), ids, groups))
    q = net(step.anchors().images).detach().double().numpy()
    k = net(step.positives().images).detach().double().numpy()
    losses = []
    for i, anchor in enumerate(step.anchors().ids.tolist()):
        rest = sum(
            np.exp(q[i] @ keys[j].double().numpy() / 0.3)
            for j in range(160)
            if not forbidden(tiny, step.batch, anchor, j)
        )
        own = np.exp(q[i] @ k[i] / 0.3)
        losses.append(-np.log(own / (own + rest)))
    weight = step.batch.weight[step.rows].numpy()
    assert head(net, step).item() == pytest.approx(np.average(losses, weights=weight), rel=1e-5)
    head.after(net, step)
    assert head.queue.filled()[1][160:].tolist() == step.positives().ids.tolist()[:40]


def test_adco_climbs_the_gradient_of_its_loss():
    rng = np.random.default_rng(1)
    bank = torch.from_numpy(rng.normal(size=(7, 4)) * 2).requires_grad_()
    anchors = torch.from_numpy(units(rng, 5, 4))
    positive, t = torch.from_numpy(rng.uniform(-1, 1, 5)), 0.3
    rows = bank / bank.norm(dim=1, keepdim=True)
    logits = torch.cat([positive[:, None], anchors @ rows.T], 1) / t
    loss = torch.nn.functional.cross_entropy(logits, torch.zeros(5, dtype=torch.int64))
    loss.backward()
    assert torch.allclose(bank_gradient(bank.detach(), anchors, positive, t), -bank.grad)


def test_adcos_bank_fills_with_keys_and_then_climbs(net, place, step):
    head = build_head(Adco(bank=60, bank_t=0.1, bank_lr=0.5), place, 0)
    count = len(step.rows)
    head(net, step)
    head.after(net, step)
    keys = net(step.positives().images)
    assert int(head.filled) == count
    assert torch.allclose(head.bank[:count], keys)
    assert (head.bank[count:] == 0).all()
    losses = []
    for _ in range(6):
        losses.append(head(net, step).item())
        head.after(net, step)
    assert int(head.filled) == 60
    assert losses[-1] > losses[1]


def test_clsp_keeps_synthetic_views_out_of_the_denominator(tiny, net, place, whole):
    t, share = 0.3, 0.7
    settings = StepSettings(whole.settings.augmentation, seed=3, hard_negatives=False)
    step = Step(whole.batch, settings)
    found = build_head(Clsp(t=t, synthetic=share), place, 0)(net, step).item()
    anchors, positives = step.anchors(), step.positives()
    z = net(anchors.images).detach().double().numpy()
    p = net(positives.images).detach().double().numpy()
    row, column = (index.tolist() for index in step.positive_at)
    first = [i for i in range(len(row)) if column[i] == 0]
    bank = [(int(anchors.ids[i]), z[i]) for i in range(len(z))]
    bank += [(int(positives.ids[i]), p[i]) for i in first]
    losses = np.zeros(len(z))
    for i in first:
        anchor = int(anchors.ids[row[i]])
        rest = sum(
            np.exp(z[row[i]] @ other / t)
            for sample, other in bank
            if not forbidden(tiny, step.batch, anchor, sample)
        )
        own = np.exp(z[row[i]] @ p[i] / t)
        losses[row[i]] = -np.log(own / (own + rest))
    weight = step.batch.weight[step.rows].numpy()
    others = [i for i in range(len(row)) if column[i] > 0]
    assert others
    term = np.average(
        [2 - 2 * z[row[i]] @ p[i] for i in others], weights=[weight[row[i]] for i in others]
    )
    assert found == pytest.approx(np.average(losses, weights=weight) + share * term, rel=1e-5)


def slow_bcl(scores, allowed, plus, alpha, h):
    out, minus = np.zeros(scores.shape), 1 - plus
    for i in range(len(scores)):
        mine = scores[i][allowed[i]]
        for j in np.flatnonzero(allowed[i]):
            u = np.mean(mine <= scores[i, j])
            a = (1 - 2 * alpha) * (minus - plus) + 1e-3
            b = 2 * (alpha * minus + (1 - alpha) * plus)
            f = (-b + np.sqrt(max(b * b + 4 * a * u, 0))) / (2 * a)
            low, high = 2 * (1 - f), 2 * f
            top = (alpha * (1 - h) * low + (1 - alpha) * h * high) / (
                alpha * (1 - h) + (1 - alpha) * h
            )
            bottom = minus * (alpha * low + (1 - alpha) * high)
            bottom += plus * ((1 - alpha) * low + alpha * high)
            out[i, j] = top / bottom
    return out


@pytest.mark.parametrize("hardness", [0.5, 0.8, 1.0])
def test_bcl_weights_ranks(hardness):
    rng = np.random.default_rng(2)
    scores, allowed = rng.uniform(-1, 1, (4, 500)), rng.random((4, 500)) < 0.9
    scores[0, :50] = 0.25
    settings = Bcl(tau_plus=0.1, alpha=0.9, hardness=hardness)
    found = rank_weights(torch.from_numpy(scores), torch.from_numpy(allowed), settings).numpy()
    assert np.allclose(found, slow_bcl(scores, allowed, 0.1, 0.9, hardness))
    ordered = found[1][allowed[1]][np.argsort(scores[1][allowed[1]])]
    if hardness == 0.5:
        assert found[1][allowed[1]].mean() == pytest.approx(1, abs=0.02)
        assert (np.diff(ordered) <= 1e-9).all()
    if hardness == 1.0:
        assert (np.diff(ordered) >= -1e-9).all()


def test_unremix_weights_by_three_terms():
    rng = np.random.default_rng(3)
    z, q = units(rng, 30, 5), units(rng, 4, 5)
    allowed = rng.random((4, 30)) < 0.7
    settings = Unremix(t=0.4, similarity=0.5, uncertainty=0.3, diversity=0.2)
    scores, positive = q @ z.T, rng.uniform(0, 1, 4)
    given = [torch.from_numpy(x) for x in (positive, scores, allowed, z)]
    found = importance(*given, settings).numpy()
    for i in range(4):
        mine = np.flatnonzero(allowed[i])
        e = np.exp(scores[i][mine] / 0.4)
        g = e / (e.sum() + np.exp(positive[i] / 0.4)) / 0.4
        r = [1 - np.mean([z[j] @ z[k] for k in mine if k != j]) for j in mine]
        scaled = [(x - np.min(x)) / (np.max(x) - np.min(x)) for x in (scores[i][mine], g, r)]
        w = 0.5 * scaled[0] + 0.3 * scaled[1] + 0.2 * scaled[2]
        assert np.allclose(found[i][mine], w / w.mean())
        assert found[i][mine].mean() == pytest.approx(1)
        assert (found[i][~allowed[i]] == 0).all()


def test_a_triplet_draws_among_those_that_violate():
    near, far = (
        torch.tensor([0.5, 0.5, 0.5]),
        torch.tensor([[0.6, 2.0, 0.1], [3.0, 3, 3], [0, 0, 0]]),
    )
    allowed = torch.tensor([[True, True, False], [True] * 3, [False] * 3])
    assert drawn_hinges(near, far, allowed, 0.3).tolist() == pytest.approx([0.2, 0, 0])
    torch.manual_seed(0)
    many = drawn_hinges(
        torch.full((4000,), 0.5), torch.tensor([[0.2, 0.7, 9.0]]).expand(4000, 3),
        torch.ones(4000, 3, dtype=torch.bool), 0.3,
    )  # fmt: skip
    values, counts = np.unique(many.numpy().round(4), return_counts=True)
    assert values == pytest.approx([0.1, 0.6])
    assert abs(counts[0] - 2000) < 4 * np.sqrt(1000)


def test_accepted_samples_of_a_cluster_are_masked_and_only_they():
    ranked, ranks = 100, torch.randperm(100, generator=torch.Generator().manual_seed(0))
    clusters = torch.arange(100) % 7
    clusters[5] = -1
    ranks[5] = -1
    before = torch.zeros(100, 100, dtype=torch.bool)
    for percent in range(0, 101, 5):
        limit = bound(0.0, 1.0, percent / 100, ranked)
        assert limit == percent * ranked // 100
        mask = accepted_together(clusters, ranks, clusters, ranks, limit)
        for i, j in itertools.product(range(100), repeat=2):
            both = 0 <= ranks[i] < limit and 0 <= ranks[j] < limit
            assert bool(mask[i, j]) == bool(both and clusters[i] == clusters[j])
        assert (mask | ~before).all()
        before = mask
        if percent == 0:
            assert not mask.any()
    assert bound(0.2, 0.6, 0.5, 10) == 4


def test_a_schedule_of_the_manifest_masks_more_and_more(tiny, step, tmp_path):
    root = write_tiny_pairset(tmp_path / "out", samples=160, image_size=8).root
    with edit_manifest(root) as manifest:
        columns = {"column": "label", "accept": "sample_id"}
        manifest["mask_schedules"] = [
            {
                **columns,
                "miner": "ifnd",
                "schedule": "linear",
                "from": 0.0,
                "to": 1.0,
                "ranked": 160,
            }
        ]
    schedules = schedules_of(Pairset.open(root), torch.device("cpu"))
    ids = torch.arange(160)
    groups = torch.from_numpy(tiny.group_id)[:, None]
    bare = step.allowed(ids, groups)
    for progress in (0.0, 0.3, 1.0):
        later = dataclasses.replace(step, progress=progress, schedules=schedules)
        allowed, limit = later.allowed(ids, groups), int(progress * 160)
        for row, anchor in enumerate(step.anchors().ids.tolist()):
            for other in range(160):
                both = anchor < limit and other < limit
                gone = both and tiny.labels[anchor] == tiny.labels[other]
                assert bool(allowed[row, other]) == bool(bare[row, other] and not gone)
    off = dataclasses.replace(step.settings, mask=False)
    bare = dataclasses.replace(step, settings=off).allowed(ids, groups)
    later = dataclasses.replace(step, settings=off, progress=1.0, schedules=schedules)
    assert torch.equal(later.allowed(ids, groups), bare)


def test_infonce_draws_one_positive_unless_they_meet_in_one_denominator(place):
    assert build_head(InfoNce(), place, 0).positives == 1
    assert build_head(InfoNce(pos_in_denom="none"), place, 0).positives == 1
    assert build_head(InfoNce(pos_in_denom="all"), place, 0).positives == 0


def test_synthetic_negatives_join_the_denominator_only():
    rng = np.random.default_rng(5)
    pos, neg = torch.from_numpy(rng.uniform(-1, 1, (3, 1))), torch.zeros(3, 0).double()
    extra = torch.from_numpy(rng.uniform(-1, 1, (3, 4)))
    found = contrastive_loss(pos, torch.ones(3, 1), neg, neg, InfoNce(t=0.5), extra)
    expected = -pos[:, 0] / 0.5 + torch.cat([pos, extra], 1).div(0.5).logsumexp(1)
    assert torch.allclose(found, expected)


def test_class_priors_are_shares_of_labels(tiny, place, net, step):
    head = build_head(InfoNce(t=0.5, tau_plus=0.3, tau_column="label"), place, 0)
    counts = {label: tiny.labels.count(label) / len(tiny.labels) for label in tiny.labels}
    assert head.tau.tolist() == pytest.approx([counts[label] for label in tiny.labels])
    plain = build_head(InfoNce(t=0.5, tau_plus=0.3), place, 0)
    assert float(head(net, step).detach()) != pytest.approx(float(plain(net, step).detach()))
    assert "tau" not in head.state_dict()


def test_samples_without_a_value_keep_the_setting_and_one_value_is_refused():
    found = class_priors(torch.tensor([0, 1, 1, -1, 7]), 0.3, "label")
    assert found.tolist() == pytest.approx([0.25, 0.5, 0.5, 0.3, 0.25])
    for codes in ([-1, -1], [4, 4, -1]):
        with pytest.raises(UsageError, match=r"nothing is a negative|no sample has a value"):
            class_priors(torch.tensor(codes), 0.1, "label")
