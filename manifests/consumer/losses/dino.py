"""DINO: a student's output follows a slow teacher's, centred and sharpened (Caron 2021, eq. 2).

Cross-entropy of softmax((teacher - centre) / t_t) and softmax(student / t_s) over the two crossed
pairs of views; lightly's loss, which keeps the centre. Two views of full size: no small crops. All
pairs weigh the same.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from ..library import lightly_loss
from ..model import ContrastiveModel, unit
from ..step import Step
from . import base


class Head(base.Head):
    """The student's last layer, the teacher and its last layer, the centre."""

    def __init__(self, settings: Any, place: base.Place) -> None:
        super().__init__(settings, place)
        self.last = nn.Linear(place.width, settings.outputs, bias=False)
        self.teacher = base.Slow(place.net, settings.momentum, rises=True)
        self.teacher_last = base.Slow(self.last, settings.momentum, rises=True)
        self.loss = lightly_loss(
            "DINOLoss",
            output_dim=settings.outputs,
            student_temp=settings.student_t,
            center_momentum=settings.centre,
        )

    def forward(self, net: ContrastiveModel, step: Step) -> Tensor:
        """Return the cross-entropy of anchors and positives."""
        row, _ = step.positive_at
        student = [self.last(unit(view)) for view in base.two_views(net, step)]
        teacher = [
            self.teacher_last(self.teacher(step.anchors()))[row],
            self.teacher_last(self.teacher(step.positives())),
        ]
        return self.loss(teacher, student, teacher_temp=self.teacher_t(step.progress))

    def teacher_t(self, progress: float) -> float:
        """Return the teacher's temperature at a share of the training."""
        own = self.settings
        part = min(progress / own.warmup, 1.0) if own.warmup else 1.0
        return own.first_teacher_t + part * (own.teacher_t - own.first_teacher_t)

    def after(self, net: ContrastiveModel, step: Step) -> None:
        """Move the teacher."""
        self.teacher.follow(net, step.progress)
        self.teacher_last.follow(self.last, step.progress)
