import numpy as np
import pytest
import torch
from scipy.optimize import minimize

from curate.manifests.consumer.evaluate import LabelledSamples
from curate.manifests.consumer.probe import fit_logistic, probe_accuracy

D, CLASSES = 4, 3


def clouds(rng, count, spread):
    labels = rng.integers(0, CLASSES, count)
    rows = np.eye(CLASSES, D)[labels] + rng.normal(size=(count, D)) * spread
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return torch.from_numpy(rows.astype(np.float32)), labels


def test_the_fit_is_that_of_scipy():
    rows, labels = clouds(np.random.default_rng(0), 200, 0.6)
    x, penalty = rows.double().numpy(), 1e-2

    def objective(flat):
        weight, bias = flat[: CLASSES * D].reshape(CLASSES, D), flat[CLASSES * D :]
        logits = x @ weight.T + bias
        logs = logits - np.log(np.exp(logits).sum(1, keepdims=True))
        return -logs[np.arange(len(x)), labels].mean() + penalty / 2 * (weight**2).sum()

    best = minimize(objective, np.zeros(CLASSES * (D + 1)), method="BFGS")
    weight, _ = fit_logistic(rows, torch.from_numpy(labels), CLASSES, penalty)
    assert np.allclose(weight.numpy(), best.x[: CLASSES * D].reshape(CLASSES, D), atol=1e-3)


@pytest.mark.parametrize("spread", [0.2, 50.0])
def test_a_validation_split_is_judged(spread):
    rows, labels = clouds(np.random.default_rng(1), 300, spread)
    ids = np.arange(300)
    samples = LabelledSamples(ids[:200], ids[200:], labels, ids, "val")
    found = probe_accuracy(samples, (rows[:200], ids[:200]), (rows[200:], ids[200:]), 0)
    assert found > 0.9 if spread == 0.2 else abs(found - 1 / CLASSES) < 0.15


def test_without_a_split_no_group_is_learnt_and_judged():
    # A label is a coin of each group, a feature names the group: only its own group tells it.
    rng, count = np.random.default_rng(2), 400
    groups = np.arange(count) // 2 * 2
    labels = rng.integers(0, 2, count)[groups]
    rows = torch.from_numpy(rng.normal(size=(count, 300)).astype(np.float32)[groups])
    rows = torch.nn.functional.normalize(rows, dim=1)
    ids = np.arange(count)
    samples = LabelledSamples(ids, ids, labels, groups, "")
    assert probe_accuracy(samples, (rows, ids), (rows, ids), 0) < 0.65
    alone = LabelledSamples(ids, ids, labels, ids, "")
    assert probe_accuracy(alone, (rows, ids), (rows, ids), 0) > 0.75


def test_nothing_to_learn_from():
    rows, ids = torch.eye(3), np.arange(3)
    samples = LabelledSamples(ids, ids, np.array([0, 1, 1]), np.zeros(3, np.int64), "")
    assert probe_accuracy(samples, (rows, ids), (rows, ids), 0) == 0
