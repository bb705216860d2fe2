"""Synthetic negatives: the properties of algorithms.md §3.1 and §3.9, and a batch against loops."""

import numpy as np
import pytest
import torch

from curate.manifests.consumer.synthetic import FORMS, forms_of, synthesise

B, M, D = 40, 30, 16
RANGES = {
    ("mochi", 1): (0, 1),
    ("mochi", 2): (0, 0.5),
    ("sscl", 1): (0, 1),
    ("synco", 1): (0, 0.5),
    ("synco", 2): (1, 1.5),
    ("synco", 3): (0, 1),
    ("synco", 4): (0.01, 0.01),
    ("synco", 5): (0.01, 0.01),
    ("synco", 6): (0.01, 0.01),
}


def units(rng, *shape):
    rows = rng.normal(size=shape)
    return rows / np.linalg.norm(rows, axis=-1, keepdims=True)


def make(method, kind, seeds=None):
    """Recipes of one type between an anchor and parents that are rather like it."""
    rng = np.random.default_rng(kind)
    q = units(rng, B, D)
    a = 0.6 * q[:, None] + 0.5 * units(rng, B, M, D)
    b = 0.6 * q[:, None] + 0.5 * units(rng, B, M, D)
    a, b = (x / np.linalg.norm(x, axis=-1, keepdims=True) for x in (a, b))
    coef = rng.uniform(*RANGES[method, kind], (B, M))
    seeds = rng.integers(0, 2**62, (B, M)) if seeds is None else seeds
    codes = torch.zeros(B, M, dtype=torch.int64)
    forms = forms_of((method,), codes, codes + kind)
    given = [torch.from_numpy(x) for x in (q, a, b, coef, seeds)]
    h, known = synthesise(*given, forms)
    assert known.all()
    assert torch.allclose(h.norm(dim=2), torch.ones(B, M))
    return q[:, None].repeat(M, 1), a, b, coef, h.double().numpy()


def dot(x, y):
    return (x * y).sum(-1)


def in_span(h, x, y):
    """Least squares coefficients of h in x and y, and the residual, recipe by recipe."""
    out = []
    for one, u, v in zip(h.reshape(-1, D), x.reshape(-1, D), y.reshape(-1, D), strict=True):
        basis = np.stack([u, v], 1)
        coef, *_ = np.linalg.lstsq(basis, one, rcond=None)
        out.append((*coef, np.linalg.norm(basis @ coef - one)))
    return np.array(out)


@pytest.mark.parametrize("method", ["mochi", "synco"])
def test_the_anchor_has_a_part_but_never_leads(method):
    q, a, _, coef, h = make(method, {"mochi": 2, "synco": 1}[method])
    x, y, residual = in_span(h, q, a).T
    assert residual.max() < 1e-5
    assert np.allclose(x / (x + y), coef.reshape(-1), atol=1e-4)
    assert (dot(h, q) >= dot(a, q) - 1e-6).all()
    assert (dot(h, a) >= dot(h, q) - 1e-6).all()


@pytest.mark.parametrize(("method", "kind"), [("mochi", 1), ("sscl", 1), ("synco", 3)])
def test_two_parents_are_mixed(method, kind):
    q, a, b, coef, h = make(method, kind)
    x, y, residual = in_span(h, a, b).T
    assert residual.max() < 1e-5
    assert np.allclose(x / (x + y), coef.reshape(-1), atol=1e-4)
    both = (dot(a, q) > 0) & (dot(b, q) > 0)
    assert (dot(h, q) >= np.minimum(dot(a, q), dot(b, q)) - 1e-6)[both].all()


def test_extrapolation_moves_away_from_the_anchor():
    q, a, _, coef, h = make("synco", 2)
    x, y, residual = in_span(h, q, a).T
    assert residual.max() < 1e-5
    assert np.allclose(y / (x + y), coef.reshape(-1), atol=1e-4)
    assert (dot(h, q) <= dot(a, q) + 1e-6).all()


def test_a_step_along_the_gradient_and_along_its_sign():
    q, a, _, _, h = make("synco", 5)
    x, y, residual = in_span(h, q, a).T
    assert residual.max() < 1e-5
    assert np.allclose(x / y, 0.01, atol=1e-4)
    assert (dot(h, q) >= dot(a, q) - 1e-6).all()
    q, a, _, _, h = make("synco", 6)
    moved = a + 0.01 * np.sign(q)
    assert np.allclose(h, moved / np.linalg.norm(moved, axis=-1, keepdims=True), atol=1e-6)


def test_noise_comes_from_the_seed_alone():
    seeds = np.arange(B * M).reshape(B, M) * 7919
    _, a, _, _, h = make("synco", 4, seeds)
    assert np.array_equal(h, make("synco", 4, seeds)[4])
    assert not np.array_equal(h, make("synco", 4, seeds + 1)[4])
    same = make("synco", 4, np.full((B, M), 5))
    # Before scaling, h - a is 0.01 times a standard normal vector: one for one seed.
    scale = np.linalg.norm(a, axis=-1, keepdims=True)
    noise = (h / dot(h, a)[..., None] - a / scale) / 0.01
    assert noise.std() == pytest.approx(1, abs=0.05)
    assert noise.mean() == pytest.approx(0, abs=0.05)
    first = (same[4] / dot(same[4], same[1])[..., None] - same[1]) / 0.01
    across = first - dot(first, same[1])[..., None] * same[1]
    one, other = across[0, 0], across[1, 1]
    assert one @ other / np.linalg.norm(one) / np.linalg.norm(other) > 0.7


def test_an_unknown_type_is_none():
    codes = torch.zeros(1, 3, dtype=torch.int64)
    forms = forms_of(("synco",), codes, torch.tensor([[1, 7, 0]]))
    q, a = torch.ones(1, 4), torch.ones(1, 3, 4)
    _, known = synthesise(q, a, a, torch.ones(1, 3), codes, forms)
    assert known.tolist() == [[True, False, False]]
    assert set(FORMS) == set(RANGES)
