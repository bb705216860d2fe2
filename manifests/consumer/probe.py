"""A linear probe: logistic regression on frozen features, in closed training (L-BFGS)."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from ..fingerprint import draw_uniform
from .evaluate import LabelledSamples

PENALTIES = (1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1)
"""Weights of the squared norm that are tried."""
_HELD_OUT = 0.2
_ITERATIONS = 500


def probe_accuracy(
    samples: LabelledSamples,
    bank: tuple[Tensor, np.ndarray],
    queries: tuple[Tensor, np.ndarray],
    seed: int,
) -> float:
    """Return the share of queries that a linear classifier of the bank's features names right.

    The penalty is the best of PENALTIES on a fifth of the bank (whole near-duplicate groups, drawn
    by seed), then the whole bank is learnt from; as CLIP's linear probe does (Radford et al. 2021,
    appendix A.3). Where there is no validation split, that is where the queries are the bank, a
    fifth of it is judged and the rest learnt from, so that no query's group is ever learnt.

    Args:
        samples: labels and groups by sample id.
        bank: features [m, d], unit rows, and their ids.
        queries: the same of the queries.
        seed: of the draws of groups.

    Returns:
        0..1; 0.0 where nothing is left to judge or to learn from.
    """
    if not samples.split:
        away = _drawn(samples, bank[1], seed, "probe/judged")
        queries, bank = _some(bank, away), _some(bank, ~away)
    if not (len(bank[1]) and len(queries[1])):
        return 0.0
    tried = _drawn(samples, bank[1], seed, "probe/tried")
    fitting, trying = _some(bank, ~tried), _some(bank, tried)
    best = PENALTIES[len(PENALTIES) // 2]
    if len(fitting[1]) and len(trying[1]):
        scores = [_score(samples, fitting, trying, penalty) for penalty in PENALTIES]
        best = PENALTIES[int(np.argmax(scores))]
    return _score(samples, bank, queries, best)


def fit_logistic(
    features: Tensor, labels: Tensor, classes: int, penalty: float
) -> tuple[Tensor, Tensor]:
    """Minimise mean cross-entropy + penalty / 2 |W|^2 over W and b, from 0.

    Args:
        features: float32 [n, d].
        labels: int64 [n] in [0, classes).
        classes: of the labels.
        penalty: >= 0; biases have none.

    Returns:
        float64 [classes, d] and [classes].
    """
    rows = features.double()
    weight = torch.zeros(classes, rows.shape[1], dtype=torch.float64, requires_grad=True)
    bias = torch.zeros(classes, dtype=torch.float64, requires_grad=True)
    solver = torch.optim.LBFGS(
        [weight, bias],
        max_iter=_ITERATIONS,
        tolerance_grad=1e-7,
        tolerance_change=1e-12,
        line_search_fn="strong_wolfe",
    )

    def closure() -> Tensor:
        solver.zero_grad()
        loss = functional.cross_entropy(rows @ weight.T + bias, labels)
        loss = loss + penalty / 2 * weight.square().sum()
        loss.backward()
        return loss

    with torch.enable_grad():
        solver.step(closure)  # pyright: ignore[reportArgumentType]
    return weight.detach(), bias.detach()


def _score(
    samples: LabelledSamples,
    known: tuple[Tensor, np.ndarray],
    asked: tuple[Tensor, np.ndarray],
    penalty: float,
) -> float:
    labels = torch.from_numpy(samples.labels)
    # Features of unit length: scaled so that a dimension varies by about 1, as penalties expect.
    scale = known[0].shape[1] ** 0.5
    weight, bias = fit_logistic(known[0] * scale, labels[known[1]], int(labels.max()) + 1, penalty)
    named = ((asked[0] * scale).double() @ weight.T + bias).argmax(1)
    return float((named == labels[asked[1]]).double().mean())


def _drawn(samples: LabelledSamples, ids: np.ndarray, seed: int, purpose: str) -> np.ndarray:
    return draw_uniform(seed, samples.groups[ids], purpose)[:, 0] < _HELD_OUT


def _some(given: tuple[Tensor, np.ndarray], which: np.ndarray) -> tuple[Tensor, np.ndarray]:
    return given[0][torch.from_numpy(which)], given[1][which]
