"""The reference trainer: an InfoNCE loop over a stream of pairs, on one CPU or GPU."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..errors import CurateError, Interrupted
from ..stream import ImageTransform, PairBatch, PairLoader, PairStream, normalise
from .checkpoint import NAME, check_options, load_checkpoint, save_checkpoint
from .evaluate import LabelledSamples, embed, knn_accuracy, labelled_samples
from .loss import LossSettings
from .model import build_model
from .options import TrainOptions, TrainResult, device_named, learning_rate, uses_bf16
from .step import IMAGE_MEAN, IMAGE_STD, StepSettings, batch_loss

BATCH_SIZE = 128
"""Pairs a batch where neither the options nor a plan say."""
Report = Callable[[Mapping[str, Any]], None]
"""Gets small JSON events: {"event": "start" | "step" | "evaluate" | "checkpoint", ...}."""


def train(
    root: str | Path, options: TrainOptions | None = None, report: Report | None = None
) -> TrainResult:
    """Train an encoder on a pairset.

    With a folder, a run that was stopped goes on where its last checkpoint stands; on one CPU
    thread count the weights are then bit for bit those of an undisturbed run.

    Args:
        root: folder of the pairset.
        options: of the run.
        report: called with small JSON events.

    Raises:
        PairsetError: `root` is no pairset.
        UsageError: options that cannot work.
        StateMismatch: the folder's checkpoint is of other options or another pairset.
        CurateError: the loss is no number any more.
        Interrupted: stopped with Ctrl-C; the last checkpoint stands.
    """
    run = _Run(root, options or TrainOptions(), report or (lambda event: None))
    run.resume()
    return run.go()


class _Run:
    """One training run: what changes from step to step, and where it is kept."""

    def __init__(self, root: str | Path, options: TrainOptions, report: Report) -> None:
        self.options, self.report = options, report
        self.device = device_named(options.device)
        self.bf16 = uses_bf16(options.precision, self.device)
        stream = PairStream(
            root,
            options.batch_size or (0 if options.plan else BATCH_SIZE),
            seed=options.seed,
            order=options.order,
            plan=options.plan,
            split=options.split,
            transform=ImageTransform(options.image_px),
        )
        defaults = stream.pairset.manifest.get("loss") or {}
        loss = LossSettings.of({**defaults, **options.loss})
        self.settings = StepSettings(
            loss, options.augmentation, options.seed, options.mask, options.hard_negatives
        )
        self.loader: PairLoader = stream.loader(
            options.workers, pin_memory=self.device.type == "cuda"
        )
        self.model = build_model(options.encoder, options.projection, options.seed)
        self.model.to(self.device)
        self.optimizer = torch.optim.AdamW(
            self.model.parameters(), lr=options.lr, weight_decay=options.weight_decay
        )
        self.labelled: LabelledSamples | None = None
        if options.evaluate:
            self.labelled = labelled_samples(stream.pairset, options.evaluate, options.seed)
        self.step, self.saved, self.pairs, self.bad_images = 0, 0, 0, 0
        self.knn_before: float | None = None
        self.losses: list[tuple[int, float]] = []

    @property
    def checkpoint(self) -> Path | None:
        folder = self.options.folder
        return None if folder is None else Path(folder) / NAME

    def resume(self) -> None:
        """Take up the checkpoint of the folder, if there is one."""
        path = self.checkpoint
        if path is None or not path.exists():
            return
        body = load_checkpoint(path)
        check_options(path, body["options"], self.options.deciding())
        self.loader.load_state_dict(body["stream"])
        self.model.load_state_dict(body["model"])
        self.optimizer.load_state_dict(body["optimizer"])
        self.step = self.saved = body["step"]
        self.knn_before = body["knn_before"]

    def go(self) -> TrainResult:
        """Do the steps that are left."""
        stream = self.loader.stream
        self.report(
            {
                "event": "start",
                "step": self.step,
                "steps": self.options.steps,
                "device": str(self.device),
                "precision": "bf16" if self.bf16 else "fp32",
                "pairs": stream.pairs,
                "split": stream.split,
                "columns": stream.columns.place,
                "columns_bytes": stream.columns.nbytes,
                "loss": asdict(self.settings.loss),
            }
        )
        if self.step == 0:
            self.knn_before = self._evaluate("before")
        begun = time.perf_counter()
        try:
            self._steps(begun)
        except KeyboardInterrupt as stop:
            raise Interrupted(
                f"stopped in step {self.step + 1} of {self.options.steps}; the same command goes "
                f"on from step {self.saved}."
            ) from stop
        seconds = time.perf_counter() - begun
        self._save()
        return TrainResult(
            steps=self.step,
            losses=tuple(self.losses),
            knn_before=self.knn_before,
            knn_after=self._evaluate("after"),
            knn_chance=self.labelled.chance if self.labelled else None,
            bad_images=self.bad_images,
            seconds=seconds,
            pairs_per_second=self.pairs / seconds if seconds else 0.0,
            checkpoint=self.checkpoint,
        )

    def _steps(self, begun: float) -> None:
        options = self.options
        while self.step < options.steps:
            epoch = self.loader.epoch
            for batch in self.loader:
                loss = self._update(batch.to(self.device, non_blocking=True), epoch)
                self.step += 1
                self.bad_images += batch.bad_images
                if self.step % options.log_every == 0 or self.step == options.steps:
                    self._log(loss, epoch, time.perf_counter() - begun)
                if options.save_every and self.step % options.save_every == 0:
                    self._save()
                if self.step == options.steps:
                    return

    def _update(self, batch: PairBatch, epoch: int) -> Tensor | None:
        self.model.train()
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(self.step, self.options)
        loss = batch_loss(self._project, batch, epoch, self.settings)
        if loss is None:
            return None
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.optimizer.step()
        self.pairs += len(batch)
        return loss.detach()

    def _project(self, images: Tensor) -> Tensor:
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.bf16):
            return self.model(images)

    def _features(self, images: Tensor) -> Tensor:
        with (
            torch.inference_mode(),
            torch.autocast(self.device.type, torch.bfloat16, enabled=self.bf16),
        ):
            return self.model.features(normalise(images.to(self.device), IMAGE_MEAN, IMAGE_STD))

    def _log(self, loss: Tensor | None, epoch: int, seconds: float) -> None:
        if loss is None:
            return
        value = float(loss)
        if not math.isfinite(value):
            raise CurateError(
                f"the loss is {value} at step {self.step}. Lower lr ({self.options.lr}) or raise "
                f"the loss's t ({self.settings.loss.t})."
            )
        self.losses.append((self.step, value))
        self.report(
            {
                "event": "step",
                "step": self.step,
                "steps": self.options.steps,
                "epoch": epoch,
                "loss": value,
                "lr": learning_rate(self.step - 1, self.options),
                "pairs_per_second": self.pairs / seconds,
                "bad_images": self.bad_images,
            }
        )

    def _save(self) -> None:
        path = self.checkpoint
        if path is None:
            return
        save_checkpoint(
            path,
            {
                "step": self.step,
                "options": self.options.deciding(),
                "stream": self.loader.state_dict(),
                "model": self.model.state_dict(),
                "optimizer": self.optimizer.state_dict(),
                "knn_before": self.knn_before,
            },
        )
        self.saved = self.step
        self.report({"event": "checkpoint", "step": self.step, "path": str(path)})

    def _evaluate(self, when: str) -> float | None:
        if self.labelled is None:
            return None
        self.model.eval()
        stream, samples, workers = self.loader.stream, self.labelled, self.options.workers
        bank = embed(self._features, stream, samples.bank, workers)
        queries = bank
        if samples.split:
            queries = embed(self._features, stream, samples.queries, workers)
        accuracy = knn_accuracy(samples, bank, queries)
        self.report(
            {
                "event": "evaluate",
                "when": when,
                "step": self.step,
                "knn_accuracy": accuracy,
                "chance": samples.chance,
                "queries": len(queries[1]),
                "bank": len(bank[1]),
                "split": samples.split,
            }
        )
        return accuracy
