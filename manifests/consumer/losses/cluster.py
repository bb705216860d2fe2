"""Classification of what a column of `samples` says: clusters of another modality, places, labels.

    L = CE(linear(z), class) + contrast * InfoNCE

XDC (Alwassel et al. 2020, §3): clusters of one modality supervise the encoder of the other; with
contrast 0. Geography-aware pretraining (Ayush et al. 2021, eq. 4): clusters of coordinates are
classified beside temporal InfoNCE; with contrast 1. Samples without a class have no first term.
The paper of XDC clusters anew in each round; here clusters are those of the pairset.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn
from torch.nn import functional

from ...errors import UsageError
from ...losses import InfoNce
from ..model import ContrastiveModel
from ..step import Step
from . import base, infonce


class Head(base.Head):
    """A linear classifier, and InfoNCE where it has a weight."""

    codes: Tensor

    def __init__(self, settings: Any, place: base.Place) -> None:
        super().__init__(settings, place)
        codes = place.column(settings.column)
        classes = int(codes.max()) + 1
        if classes < 2:
            raise UsageError(
                f"loss.column={settings.column!r} has {classes} values: nothing to classify."
            )
        # The pairset has it; a checkpoint need not.
        self.register_buffer("codes", codes, persistent=False)
        self.classifier = nn.Linear(place.width, classes)
        self.contrast = infonce.Head(InfoNce(t=settings.t), place)

    def forward(self, net: ContrastiveModel, step: Step) -> Tensor:
        """Return both terms."""
        anchors = step.anchors()
        own = self.codes[anchors.ids]
        losses = functional.cross_entropy(
            self.classifier(net.project(anchors)), own, reduction="none", ignore_index=-1
        )
        weight = step.batch.weight[step.rows] * (own >= 0)
        loss = (losses * weight).sum() / weight.sum().clamp_min(1e-12)
        if self.settings.contrast:
            loss = loss + self.settings.contrast * self.contrast(net, step)
        return loss
