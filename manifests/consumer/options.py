"""What a training run is asked to do, and what came of it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch

from ..errors import UsageError
from .augment import Augmentation

_SPEED_ONLY = (
    *("device", "workers", "chunk", "compile", "folder", "save_every", "log_every"),
    *("evaluate", "probe", "tensorboard"),
)


@dataclass(frozen=True)
class TrainOptions:
    """Options of a training run.

    Attributes:
        steps: batches in all.
        batch_size: pairs a batch, of all processes together; None for 128, or the plan's.
        image_px: side of the images, pixels.
        lr: peak learning rate of AdamW; warms up over `warmup` of the steps, then falls to 0
            along a cosine.
        weight_decay: of AdamW.
        warmup: share of the steps, 0..1.
        encoder: name of an encoder; see `backbones.build_encoder`.
        projection: width of the projection head; 0 for none. The towers of an open_clip model
            have none under a loss of pictures and captions: they come with their own.
        loss: settings of the loss that replace those of the manifest; all of them where it names
            another kind.
        augmentation: of all views.
        mask: whether false negatives and near-duplicates are masked.
        hard_negatives: whether the listed hard negatives are used.
        order: "global", "block" or "plan"; see `PairStream`.
        plan: name of the plan of order "plan".
        positives_per_anchor: positives that an anchor draws each time, by their weights; 0 for
            all; None for what suits the loss: all where they meet in one formula, else one.
        split: pairs of this split; None for "train" where there is one.
        seed: of weights, order and views.
        device: "auto", "cpu", "cuda", "cuda:1", ...
        precision: "auto" (bf16 on a GPU, fp32 on a CPU), "bf16" or "fp32".
        workers: processes that decode, for each process that trains.
        chunk: images that the encoder takes at a time: the memory of few, the negatives of many;
            0 for all. See `chunks.in_chunks`.
        compile: whether encoders are compiled (torch.compile).
        folder: where the checkpoint is kept and taken up again; None keeps nothing.
        save_every: steps between checkpoints; 0 for one at the end only.
        log_every: steps between reports.
        evaluate: samples that are judged before and after: labelled ones by kNN, those with
            captions by retrieval where the loss has a tower of captions; 0 for none.
        probe: whether a linear probe judges the labelled ones too.
        tensorboard: whether TensorBoard's events are written to FOLDER/tensorboard.
    """

    steps: int = 500
    batch_size: int | None = None
    image_px: int = 64
    lr: float = 1e-3
    weight_decay: float = 1e-4
    warmup: float = 0.05
    encoder: str = "conv"
    projection: int = 128
    loss: Mapping[str, Any] = field(default_factory=dict)
    augmentation: Augmentation = field(default_factory=Augmentation)
    mask: bool = True
    hard_negatives: bool = True
    order: str = "global"
    plan: str | None = None
    positives_per_anchor: int | None = None
    split: str | None = None
    seed: int = 0
    device: str = "auto"
    precision: str = "auto"
    workers: int = 0
    chunk: int = 0
    compile: bool = False
    folder: str | Path | None = None
    save_every: int = 200
    log_every: int = 10
    evaluate: int = 2000
    probe: bool = False
    tensorboard: bool = False

    def deciding(self) -> dict[str, Any]:
        """Return the options that decide the result, as JSON."""
        kept = {name: value for name, value in asdict(self).items() if name not in _SPEED_ONLY}
        return {**kept, "augmentation": _as_lists(kept["augmentation"]), "loss": dict(self.loss)}


@dataclass(frozen=True)
class TrainResult:
    """What a training run came to.

    Attributes:
        steps: steps done, those of earlier runs included.
        losses: (step, loss) of this run, as reported.
        knn_before: kNN accuracy of the first weights, None without labels.
        knn_after: the same of the last.
        knn_chance: accuracy of the most frequent label.
        scores_before: all figures of the first weights, by name; see `evaluation.Evaluation`.
        scores_after: the same of the last.
        bad_images: images that could not be read in this run.
        seconds: of this run's steps.
        pairs_per_second: pairs trained on a second, evaluation left out.
        data_wait: share of the seconds, 0..1, that the loop waited for batches.
        peak_gpu_bytes: most that torch held on the GPU, None on a CPU.
        checkpoint: the file that was written, if any.
        rank: of this process; the first, 0, writes and reports.
        world: processes that trained together.
    """

    steps: int
    losses: tuple[tuple[int, float], ...]
    knn_before: float | None
    knn_after: float | None
    knn_chance: float | None
    bad_images: int
    seconds: float
    pairs_per_second: float
    checkpoint: Path | None
    scores_before: Mapping[str, float] = field(default_factory=dict)
    scores_after: Mapping[str, float] = field(default_factory=dict)
    data_wait: float = 0.0
    peak_gpu_bytes: int | None = None
    rank: int = 0
    world: int = 1


def learning_rate(step: int, options: TrainOptions) -> float:
    """Return the learning rate of a step (0..steps-1): linear warm-up, then a cosine to 0."""
    warm = round(options.warmup * options.steps)
    if step < warm:
        return options.lr * (step + 1) / warm
    progress = (step - warm) / max(options.steps - warm, 1)
    return options.lr * 0.5 * (1 + math.cos(math.pi * progress))


def device_named(name: str) -> torch.device:
    """Return a torch device; "auto" is a GPU where there is one.

    Raises:
        UsageError: no such device here.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise UsageError(f"device={name!r}: {error}") from error
    if device.type == "cuda" and not torch.cuda.is_available():
        raise UsageError(f"device={name!r}, but torch sees no GPU here; use 'cpu' or 'auto'.")
    return device


def uses_bf16(precision: str, device: torch.device) -> bool:
    """Say whether forward passes run in bfloat16.

    Raises:
        UsageError: no such precision.
    """
    if precision not in ("auto", "bf16", "fp32"):
        raise UsageError(f"precision={precision!r}; allowed: 'auto', 'bf16', 'fp32'.")
    return precision == "bf16" or (precision == "auto" and device.type == "cuda")


def _as_lists(value: Mapping[str, Any]) -> dict[str, Any]:
    return {k: list(v) if isinstance(v, tuple) else v for k, v in value.items()}
