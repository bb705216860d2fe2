"""Synthetic negatives out of their recipes, from the trainer's own features of the parents.

A recipe is a method, a type, one or two parents and a number c; q is the anchor, a and b the
parents, N noise drawn from the recipe's seed. Every vector is scaled to unit length afterwards:

    mochi 1, sscl 1, synco 3     c a + (1 - c) b
    mochi 2, synco 1             c q + (1 - c) a
    synco 2                      q + c (a - q)
    synco 4                      a + c N(0, 1)
    synco 5                      a + c q             (the gradient of q a in a is q)
    synco 6                      a + c sign(q)

Kalantidis et al. 2020 (MoCHi), Dong et al. 2024 (SSCL), Giakoumoglou 2024 (SynCo). They have no
gradient: what the loss moves is the anchor.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from ..fingerprint import draw_uniform
from .model import ContrastiveModel, unit
from .step import Step

FORMS: dict[tuple[str, int], str] = {
    ("mochi", 1): "parents",
    ("sscl", 1): "parents",
    ("synco", 3): "parents",
    ("mochi", 2): "anchor",
    ("synco", 1): "anchor",
    ("synco", 2): "beyond",
    ("synco", 4): "noise",
    ("synco", 5): "step",
    ("synco", 6): "sign",
}
"""The closed form of each method's types."""


def synthetic_cosines(net: ContrastiveModel, step: Step, anchors: Tensor) -> tuple[Tensor, Tensor]:
    """Make the synthetic negatives of a batch.

    Args:
        net: encodes the parents, without gradient.
        step: whose batch has recipes.
        anchors: float32 [B, d], unit rows.

    Returns:
        float32 [B, M], cosines of anchors and their synthetic negatives; and bool [B, M], whether
        there is one.

    Raises:
        ValueError: the batch has no recipes.
    """
    shown, first, second = step.parents()
    mixes = step.batch.mixes
    if mixes is None or not len(shown):
        return anchors.new_zeros(first.shape), torch.zeros_like(first, dtype=torch.bool)
    with torch.no_grad():
        features = net(shown)
    rows = step.rows
    forms = forms_of(mixes.methods, mixes.method[rows], mixes.type[rows])
    a, b = features[first.clamp_min(0)], features[second.clamp_min(0)]
    h, known = synthesise(anchors.detach(), a, b, mixes.coef[rows], mixes.seed[rows], forms)
    return (anchors[:, None] * h).sum(2), known & (first >= 0)


def forms_of(methods: tuple[str, ...], method: Tensor, kind: Tensor) -> dict[str, Tensor]:
    """Return which recipes have each form: bool, of the shape of `kind`.

    Args:
        methods: names, by code.
        method: int64 [B, M], codes.
        kind: int64 [B, M], each method's own number of the type.
    """
    found = {form: torch.zeros_like(kind, dtype=torch.bool) for form in set(FORMS.values())}
    for (name, number), form in FORMS.items():
        if name in methods:
            found[form] |= (method == methods.index(name)) & (kind == number)
    return found


@torch.no_grad()
def synthesise(
    q: Tensor, a: Tensor, b: Tensor, c: Tensor, seed: Tensor, forms: dict[str, Tensor]
) -> tuple[Tensor, Tensor]:
    """Make the vectors of recipes.

    Args:
        q: float32 [B, d], unit rows: the anchors.
        a: float32 [B, M, d], unit rows: first parents.
        b: float32 [B, M, d], unit rows; anything where there is no second parent.
        c: float32 [B, M].
        seed: int64 [B, M].
        forms: see `forms_of`.

    Returns:
        float32 [B, M, d], unit rows, and bool [B, M], whether the recipe is one of a known form.
    """
    c, q = c[..., None], q[:, None].expand_as(a)
    made = {
        "parents": c * a + (1 - c) * b,
        "anchor": c * q + (1 - c) * a,
        "beyond": q + c * (a - q),
        "noise": a + c * _noise(seed, forms["noise"], a.shape[-1]),
        "step": a + c * q,
        "sign": a + c * q.sign(),
    }
    h, known = torch.zeros_like(a), torch.zeros_like(seed, dtype=torch.bool)
    for form, where in forms.items():
        h = torch.where(where[..., None], made[form], h)
        known |= where
    return unit(h), known


def _noise(seed: Tensor, where: Tensor, dim: int) -> Tensor:
    """Return float32 [B, M, dim], standard normal where asked for, else 0; by seed alone."""
    noise = torch.zeros(*seed.shape, dim)
    rows = seed[where].cpu().numpy()
    draws = draw_uniform(0, rows, "synthetic/noise", 2 * dim)
    # Box and Muller 1958; 1 - u is never 0.
    radius = np.sqrt(-2 * np.log(1 - draws[:, :dim]))
    normal = radius * np.cos(2 * np.pi * draws[:, dim:])
    noise[where.cpu()] = torch.from_numpy(normal.astype(np.float32))
    return noise.to(seed.device)
