"""A small head on frozen features, trained on a pairset with the trainer's own parts, and judged.

Order, masks, recipes and schedules are those of `PairStream`; losses are those of
`manifests/consumer/losses`. Only the pictures are replaced: what stands for a picture is its
sample id, and a view of it is one of the features in the `Bank`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from features import Bank
from torch import Tensor, nn

from curate.manifests import PairStream, losses
from curate.manifests.consumer import ContrastiveModel, Step, StepSettings, TrainOptions
from curate.manifests.consumer.acceptance import schedules_of
from curate.manifests.consumer.augment import Augmentation, view_draws
from curate.manifests.consumer.distributed import Holders
from curate.manifests.consumer.evaluate import LabelledSamples, knn_accuracy
from curate.manifests.consumer.losses import Place, build_head
from curate.manifests.consumer.options import learning_rate
from curate.manifests.consumer.step import Shown
from curate.manifests.stream import PairBatch
from curate.manifests.stream.budget import FailureBudget
from curate.manifests.stream.images import ImageSource

WIDTH = 256
"""Features that are judged."""
HIDDEN = 512
RIDGE = 1e-2
"""Weight of the penalty of the linear probe, as a share of the number of its rows."""


class Ids(ImageSource):
    """Stands for the images of a stream: each is its sample id, int64 [1]."""

    def load(self, ids: np.ndarray, epoch: int, budget: FailureBudget) -> list[Tensor | None]:
        """Return the ids; nothing is read."""
        del epoch, budget
        return list(torch.from_numpy(ids)[:, None])


class IdStream(PairStream):
    """Pairs of a pairset without its pictures."""

    @property
    def images(self) -> ImageSource:
        """Ids in place of pictures."""
        return Ids(self.pairset, self.columns, self.transform, self.seed)


@dataclass(frozen=True)
class FeatureStep(Step):
    """A step whose views come from a bank.

    Anchors have the even views and all others the odd ones, so that an anchor and its positive
    are never the same vector.
    """

    bank: Bank = field(kw_only=True)

    def anchors(self, view: str = "anchor") -> Shown:
        """Return an even view of each anchor, [B]."""
        draws = view_draws(self.settings.seed, self.epoch, self.batch.pair_id[self.rows], view)
        shown = super().anchors(view)
        return replace(shown, images=self._features(shown.ids, draws, 0))

    def _show(
        self, places: Tensor, held: Holders | None, draws: Callable[[Tensor], Tensor]
    ) -> Shown:
        del held
        ids = self.batch.sample_id[places]
        every = torch.ones_like(places, dtype=torch.bool)
        return Shown(self._features(ids, draws(every), 1), ids, self.batch.groups[places])

    def _features(self, ids: Tensor, draws: Tensor, first: int) -> Tensor:
        views = self.bank.views[first::2]
        at = (draws[:, 0] * len(views)).long().clamp(max=len(views) - 1)
        return views[at, ids].float()


class FeatureModel(ContrastiveModel):
    """Two layers of features and the trainer's projection head."""

    def __init__(self, width: int, projection: int) -> None:
        encoder = nn.Sequential(
            nn.Linear(width, HIDDEN),
            nn.BatchNorm1d(HIDDEN),
            nn.ReLU(inplace=True),
            nn.Linear(HIDDEN, WIDTH),
        )
        super().__init__(encoder, WIDTH, projection)

    def _encode(self, images: Tensor) -> Tensor:
        return self.encoder(images * math.sqrt(images.shape[1]))


class Trial:
    """One head in training."""

    def __init__(self, root: Path, options: TrainOptions, bank: Bank) -> None:
        self.options, self.bank, self.step = options, bank, 0
        self.stream = self._open(root)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(options.seed)
            self.model = FeatureModel(bank.plain.shape[1], options.projection)
        loss = losses.parse(self.stream.pairset.manifest["loss"])
        groups = self.stream.columns["groups"].shape[1]
        self.head = build_head(loss, Place(self.model, groups, len(bank.labels)), options.seed)
        self.optimizer = torch.optim.AdamW(
            [*self.model.parameters(), *self.head.parameters()],
            lr=options.lr,
            weight_decay=options.weight_decay,
        )

    def _open(self, root: Path) -> PairStream:
        options = self.options
        stream = IdStream(root, options.batch_size or 0, plan=options.plan, order=options.order,
                          seed=options.seed, schedule_batches=options.steps)  # fmt: skip
        stream.mixes = losses.parse(stream.pairset.manifest["loss"]).recipes
        self.schedules = schedules_of(stream.pairset, torch.device("cpu"))
        return stream

    def move(self, root: Path) -> None:
        """Go on with the pairs of another pairset of the same samples."""
        self.stream = self._open(root)

    def run(self, until: int) -> None:
        """Train up to a step."""
        settings = StepSettings(Augmentation(), self.options.seed, positives=self.head.positives)
        self.model.train()
        for epoch, batch in self._batches(until):
            for group in self.optimizer.param_groups:
                group["lr"] = learning_rate(self.step, self.options)
            progress = self.step / self.options.steps
            step = FeatureStep(batch, settings, epoch, progress, self.schedules, bank=self.bank)
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(self.options.seed * 1_000_003 + self.step)
                loss = self.head(self.model, step)
                self.optimizer.zero_grad(set_to_none=True)
                loss.backward()
                self.optimizer.step()
                self.head.after(self.model, step)
            self.step += 1

    def _batches(self, until: int) -> Iterator[tuple[int, PairBatch]]:
        while self.step < until:
            epoch, start = divmod(self.step, len(self.stream))
            self.stream.seek(epoch, start)
            for batch in self.stream:
                yield epoch, batch
                if self.step == until:
                    return

    def features(self) -> Tensor:
        """Return float32 [N, WIDTH], unit rows: all pictures as they are."""
        self.model.eval()
        with torch.inference_mode():
            return torch.cat([self.model.features(rows.float()) for rows in
                              self.bank.plain.split(1024)])  # fmt: skip


def judge(bank: Bank, features: Tensor) -> dict[str, float]:
    """Return accuracies on the test split: `knn` (k = 20) and `linear` (ridge regression)."""
    train, test = bank.train, bank.test
    labels = bank.labels.numpy()
    samples = LabelledSamples(train.numpy(), test.numpy(), labels, np.arange(len(labels)), "test")
    knn = knn_accuracy(samples, (features[train], train.numpy()), (features[test], test.numpy()))
    return {"knn": knn, "linear": linear_accuracy(bank, features)}


def linear_accuracy(bank: Bank, features: Tensor) -> float:
    """Return the accuracy of ridge regression to one column a class, on standardised features."""
    known = features[bank.train].double()
    mean, deviation = known.mean(0), known.std(0).clamp_min(1e-9)
    rows = torch.cat([(features.double() - mean) / deviation, known.new_ones(len(features), 1)], 1)
    known = rows[bank.train]
    wanted = nn.functional.one_hot(bank.labels[bank.train], int(bank.labels.max()) + 1).double()
    penalty = RIDGE * len(known) * torch.eye(known.shape[1], dtype=known.dtype)
    weights = torch.linalg.solve(known.T @ known + penalty, known.T @ wanted)
    found = (rows[bank.test] @ weights).argmax(1)
    return float((found == bank.labels[bank.test]).float().mean())
