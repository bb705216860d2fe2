"""Regression of the other view's projection, without negatives: what BYOL, SimSiam and MSF share.

L = sum over shown positives of share * (2 - 2 cos(predictor(z_anchor), target))
"""

from __future__ import annotations

from torch import Tensor

from .step import Step


def regression(predicted: Tensor, target: Tensor, step: Step) -> Tensor:
    """Return the mean of 2 - 2 cos under the pairs' weights; no gradient goes to the target.

    Args:
        predicted: float32 [Q, d], of any length.
        target: float32 [Q, d], of any length.
        step: whose shown positives the rows are.
    """
    return (step.positive_share * distance(predicted, target.detach())).sum()


def distance(left: Tensor, right: Tensor) -> Tensor:
    """Return 2 - 2 cos of rows [n, d]: the squared distance of the unit rows, [n]."""
    lengths = left.norm(dim=1) * right.norm(dim=1)
    return 2 - 2 * (left * right).sum(1) / lengths.clamp_min(1e-8)
