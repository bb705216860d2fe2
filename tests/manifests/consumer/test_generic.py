"""The generic loss against closed forms in numpy, and the reductions of algorithms.md §3.3."""

import itertools

import numpy as np
import pytest
import torch

from curate.manifests.consumer.generic import (
    contrastive_loss,
    hardness_weights,
)
from curate.manifests.losses import InfoNce

B, P, M = 5, 3, 40


@pytest.fixture
def given():
    rng = np.random.default_rng(0)
    weight = rng.random((B, P)) + 0.1
    weight[1, 2] = weight[2, 1:] = 0
    allowed = (rng.random((B, M)) < 0.8).astype(float)
    return {
        "pos": rng.uniform(-0.2, 1, (B, P)),
        "weight": weight,
        "neg": rng.uniform(-1, 1, (B, M)),
        "allowed": allowed,
    }


def ours(given, synthetic=None, **settings):
    tensors = [torch.from_numpy(given[name]) for name in ("pos", "weight", "neg", "allowed")]
    extra = None if synthetic is None else torch.from_numpy(synthetic)
    return contrastive_loss(*tensors, InfoNce(**settings), extra).numpy()


def closed_form(given, own, negatives, t):
    """sum_p w_p (-s_p / t + log(own + negatives)), row by row."""
    out = []
    for i in range(B):
        w = given["weight"][i] / given["weight"][i].sum()
        terms = [
            w[p] * (-given["pos"][i, p] / t + np.log(own(i, p) + negatives(i, p)))
            for p in range(P)
            if w[p] > 0
        ]
        out.append(sum(terms))
    return np.array(out)


def exps(given, i, t):
    return np.exp(given["neg"][i][given["allowed"][i] > 0] / t)


def test_infonce(given):
    t = 0.2
    expected = closed_form(
        given, lambda i, p: np.exp(given["pos"][i, p] / t), lambda i, p: exps(given, i, t).sum(), t
    )
    assert np.allclose(ours(given, t=t), expected)


def test_infonce_equals_cross_entropy(given):
    one = {**given, "weight": np.eye(P)[[0] * B], "allowed": np.ones((B, M))}
    logits = torch.from_numpy(np.concatenate([given["pos"][:, :1], given["neg"]], axis=1)) / 0.07
    expected = torch.nn.functional.cross_entropy(
        logits, torch.zeros(B, dtype=torch.int64), reduction="none"
    )
    assert np.allclose(ours(one, t=0.07), expected)


def test_supcon_and_infoloob(given):
    t = 0.3

    def all_positives(i, p):
        return np.exp(given["pos"][i][given["weight"][i] > 0] / t).sum()

    def negatives(i, p):
        return exps(given, i, t).sum()

    expected = closed_form(given, all_positives, negatives, t)
    assert np.allclose(ours(given, t=t, pos_in_denom="all"), expected)
    expected = closed_form(given, lambda i, p: 0.0, negatives, t)
    assert np.allclose(ours(given, t=t, pos_in_denom="none"), expected)


def debiased(given, t, tau, beta):
    """N_g of DCL / HCL as in the official codes, M positives averaged."""

    def term(i, p):
        neg = exps(given, i, t)
        imp = neg**beta
        count = len(neg)
        w = given["weight"][i] / given["weight"][i].sum()
        positive = (w * np.exp(given["pos"][i] / t)).sum()
        reweighted = (imp * neg).sum() / imp.mean()
        ng = (-tau * count * positive + reweighted) / (1 - tau)
        return max(ng, count * np.exp(-1 / t))

    return term


@pytest.mark.parametrize(("tau", "beta"), [(0.1, 0.0), (0.1, 1.0), (0.0, 1.0), (0.6, 0.5)])
def test_debiased_and_hard(given, tau, beta):
    t = 0.5
    expected = closed_form(
        given, lambda i, p: np.exp(given["pos"][i, p] / t), debiased(given, t, tau, beta), t
    )
    assert np.allclose(ours(given, t=t, tau_plus=tau, beta=beta), expected)


def test_the_floor_is_reached(given):
    low = {**given, "pos": np.full((B, P), 0.9), "neg": np.full((B, M), -0.9)}
    t, count = 0.5, low["allowed"].sum(1)
    expected = -0.9 / t + np.log(np.exp(0.9 / t) + count * np.exp(-1 / t))
    assert np.allclose(ours(low, t=t, tau_plus=0.5), expected)


def test_beta_0_is_dcl_and_tau_0_is_infonce(given):
    assert np.allclose(ours(given, tau_plus=0.1, beta=0.0), ours(given, tau_plus=0.1))
    tiny = ours(given, tau_plus=1e-9, beta=1e-9)
    assert np.allclose(tiny, ours(given), rtol=1e-5)


def test_hardness_weights_have_mean_one_and_grow_into_the_hardest(given):
    logits, allowed = torch.from_numpy(given["neg"] / 0.2), torch.from_numpy(given["allowed"]) > 0
    sums = []
    for beta in (0.0, 0.3, 1.0, 3.0, 3e4):
        weights = hardness_weights(logits, allowed, beta)
        assert torch.allclose(weights.sum(1), allowed.sum(1).double())
        assert (weights[~allowed] == 0).all()
        sums.append((weights * logits.exp()).sum(1))
    for low, high in itertools.pairwise(sums):
        assert (low <= high * (1 + 1e-9)).all()
    hardest = logits.masked_fill(~allowed, -9e9).amax(1).exp()
    assert torch.allclose(sums[-1], allowed.sum(1) * hardest)


def test_synthetic_negatives_join_the_denominator(given):
    synthetic = np.random.default_rng(1).uniform(-1, 1, (B, 7))
    joined = {
        **given,
        "neg": np.concatenate([given["neg"], synthetic], 1),
        "allowed": np.concatenate([given["allowed"], np.ones((B, 7))], 1),
    }
    assert np.allclose(ours(given, synthetic=synthetic), ours(joined))


def test_weights_of_negatives_scale_their_terms(given):
    doubled = {**given, "allowed": given["allowed"] * 2}
    repeated = {name: np.concatenate([given[name]] * 2, 1) for name in ("neg", "allowed")}
    assert np.allclose(ours(doubled), ours({**given, **repeated}))


def test_a_masked_negative_has_no_influence_and_no_gradient(given):
    changed = {**given, "neg": np.where(given["allowed"] > 0, given["neg"], 50.0)}
    for settings in ({}, {"beta": 1.0, "tau_plus": 0.1}):
        assert np.allclose(ours(given, **settings), ours(changed, **settings))
        neg = torch.from_numpy(changed["neg"]).requires_grad_()
        rest = [torch.from_numpy(given[name]) for name in ("pos", "weight", "allowed")]
        contrastive_loss(rest[0], rest[1], neg, rest[2], InfoNce(**settings)).sum().backward()
        assert neg.grad is not None
        assert neg.grad.isfinite().all()
        assert (neg.grad[rest[2] == 0] == 0).all()


@pytest.mark.parametrize("denominator", ["self", "all", "none"])
@pytest.mark.parametrize("tau", [0.0, 0.1])
def test_a_small_temperature_does_not_overflow(given, denominator, tau):
    pos = torch.from_numpy(given["pos"]).float().requires_grad_()
    rest = [torch.from_numpy(given[name]).float() for name in ("weight", "neg", "allowed")]
    settings = InfoNce(t=0.005, pos_in_denom=denominator, tau_plus=tau)
    loss = contrastive_loss(pos, *rest, settings)
    loss.sum().backward()
    assert loss.isfinite().all()
    assert pos.grad is not None
    assert pos.grad.isfinite().all()


def test_rows_without_positives_or_negatives():
    pos, neg = torch.tensor([[0.5], [0.5]]), torch.tensor([[0.1, 0.2], [0.1, 0.2]])
    weight, none = torch.tensor([[0.0], [1.0]]), torch.zeros(2, 2)
    assert contrastive_loss(pos, weight, neg, none, InfoNce()).tolist() == [0, 0]
    bare = InfoNce(pos_in_denom="none")
    assert contrastive_loss(pos, weight, neg, none, bare).tolist() == [0, 0]
    assert contrastive_loss(pos, weight, neg[:, :0], none[:, :0], bare).tolist() == [0, 0]


def test_a_class_prior_for_each_anchor(given):
    tau, t = np.linspace(0.02, 0.6, B), 0.5
    tensors = [torch.from_numpy(given[name]) for name in ("pos", "weight", "neg", "allowed")]
    found = contrastive_loss(*tensors, InfoNce(t=t), tau_plus=torch.from_numpy(tau)).numpy()

    def negatives(i, p):
        e = exps(given, i, t)
        w = given["weight"][i] / given["weight"][i].sum()
        mean = (w * np.exp(given["pos"][i] / t)).sum()
        debiased = (e.sum() - len(e) * tau[i] * mean) / (1 - tau[i])
        return max(debiased, len(e) * np.exp(-1 / t))

    expected = closed_form(given, lambda i, p: np.exp(given["pos"][i, p] / t), negatives, t)
    assert np.allclose(found, expected)
    one = contrastive_loss(*tensors, InfoNce(t=t), tau_plus=torch.full((B,), 0.1))
    assert np.allclose(one.numpy(), ours(given, t=t, tau_plus=0.1))
