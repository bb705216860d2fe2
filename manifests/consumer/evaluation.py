"""What a run's weights are worth: kNN, a linear probe, retrieval, before and after training."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..pairset import Pairset
from ..stream import PairStream, normalise
from .distributed import Ranks
from .evaluate import LabelledSamples, embed, knn_accuracy, labelled_samples
from .model import ContrastiveModel
from .options import TrainOptions
from .probe import probe_accuracy
from .retrieval import CaptionedSamples, captioned_samples, recalls
from .shown import Told
from .step import IMAGE_MEAN, IMAGE_STD

_TEXTS = 256


class Evaluation:
    """The samples that a run is judged on, and the figures.

    Figures by name, where the pairset has what they need: `knn` and, if asked for, `probe`
    (accuracies on labels); `i2t_r1`, `i2t_r5`, `i2t_r10`, `t2i_r1`, ... (shares of queries with a
    hit among the first 1, 5, 10), where there is a tower of captions.

    Args:
        pairset: whose samples.
        options: how many, which, and the seed of the choice.
        tower: of captions; None for none.
        ranks: processes that share the encoding; None for a process alone.

    Attributes:
        labelled: samples with labels, None where there are none.
        told: samples with captions, None where there are none or no tower.
    """

    def __init__(
        self,
        pairset: Pairset,
        options: TrainOptions,
        tower: torch.nn.Module | None,
        ranks: Ranks | None,
    ) -> None:
        self.options, self.tower, self.ranks = options, tower, ranks
        self.labelled: LabelledSamples | None = None
        self.told: CaptionedSamples | None = None
        if options.evaluate:
            self.labelled = labelled_samples(pairset, options.evaluate, options.seed)
            if tower is not None:
                self.told = captioned_samples(pairset, options.evaluate, options.seed)

    def figures(
        self, model: ContrastiveModel, stream: PairStream, device: torch.device
    ) -> dict[str, float]:
        """Judge the weights as they are; the model is left in evaluation mode."""
        model.eval()
        found: dict[str, float] = {}

        def pixels(images: Tensor) -> Tensor:
            return normalise(images.to(device), IMAGE_MEAN, IMAGE_STD)

        if self.labelled is not None:
            samples = self.labelled
            bank = self._embed(lambda images: model.features(pixels(images)), stream, samples.bank)
            queries = bank
            if samples.split:
                queries = self._embed(
                    lambda images: model.features(pixels(images)), stream, samples.queries
                )
            found["knn"] = knn_accuracy(samples, bank, queries)
            if self.options.probe:
                found["probe"] = probe_accuracy(samples, bank, queries, self.options.seed)
        if self.told is not None:
            pictures = self._embed(lambda images: model(pixels(images)), stream, self.told.ids)
            found |= recalls(self.told, pictures, self._texts(self.told.captions))
        return found

    @property
    def facts(self) -> dict[str, Any]:
        """Return what the figures are measured on, as JSON; sizes are of what was asked for."""
        found: dict[str, Any] = {}
        if self.labelled is not None:
            found |= {
                "chance": self.labelled.chance,
                "queries": len(self.labelled.queries),
                "bank": len(self.labelled.bank),
                "split": self.labelled.split,
            }
        if self.told is not None:
            found |= {"pictures": len(self.told.ids), "captions": len(self.told.captions)}
        return found

    def _embed(
        self, encode: Callable[[Tensor], Tensor], stream: PairStream, ids: np.ndarray
    ) -> tuple[Tensor, np.ndarray]:
        """Encode samples, each process its share; the features and ids of those that were read."""
        with torch.inference_mode():
            if self.ranks is None:
                return embed(encode, stream, ids, self.options.workers)
            own = ids[self.ranks.rank :: self.ranks.world]
            parts = self.ranks.share(embed(encode, stream, own, self.options.workers))
        parts = [part for part in parts if len(part[1])] or parts[:1]
        kept = np.concatenate([part[1] for part in parts])
        order = np.argsort(kept, kind="stable")
        return torch.cat([part[0] for part in parts])[torch.from_numpy(order)], kept[order]

    def _texts(self, captions: list[str]) -> Tensor:
        tower: Any = self.tower
        tower.eval()
        with torch.inference_mode():
            parts = [
                tower(Told(captions[start : start + _TEXTS])).float().cpu()
                for start in range(0, len(captions), _TEXTS)
            ]
        return torch.cat(parts)
