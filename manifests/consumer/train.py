"""The reference trainer: a loop over a stream of pairs, on one CPU or GPU, with any loss."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..errors import CurateError, Interrupted, UsageError
from ..fingerprint import digest
from ..losses import DEFAULT, Loss, parse
from ..pairset import Pairset
from ..stream import ImageTransform, PairBatch, PairLoader, PairStream, normalise
from .acceptance import schedules_of
from .checkpoint import NAME, check_options, load_checkpoint, save_checkpoint
from .columns import sample_codes
from .evaluate import LabelledSamples, embed, knn_accuracy, labelled_samples
from .losses import Head, Place, build_head, head_class
from .model import build_model
from .options import TrainOptions, TrainResult, device_named, learning_rate, uses_bf16
from .step import IMAGE_MEAN, IMAGE_STD, Step, StepSettings

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
        loss = _loss(root, options)
        stream = PairStream(
            root,
            options.batch_size or (0 if options.plan else BATCH_SIZE),
            seed=options.seed,
            order=options.order,
            plan=options.plan,
            split=options.split,
            transform=ImageTransform(options.image_px),
            captions=head_class(loss.kind).captions,
            mixes=loss.recipes,
            schedule_batches=options.steps,
        )
        self.loader: PairLoader = stream.loader(
            options.workers, pin_memory=self.device.type == "cuda"
        )
        self.model = build_model(options.encoder, options.projection, options.seed)
        self.model.bf16 = self.bf16
        groups = stream.columns["groups"].shape[1]
        place = Place(
            self.model,
            groups,
            stream.pairset.counts["samples"],
            partial(sample_codes, stream.pairset),
        )
        self.head: Head = build_head(loss, place, options.seed)
        self.model.to(self.device)
        self.head.to(self.device)
        drawn = options.positives_per_anchor
        self.settings = StepSettings(
            options.augmentation,
            options.seed,
            options.mask,
            options.hard_negatives,
            self.head.positives if drawn is None else drawn,
        )
        learned = [*self.model.parameters(), *self.head.parameters()]
        self.optimizer = torch.optim.AdamW(
            [weight for weight in learned if weight.requires_grad],
            lr=options.lr,
            weight_decay=options.weight_decay,
        )
        self.schedules = schedules_of(stream.pairset, self.device)
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
        self.head.load_state_dict(body["head"])
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
                "loss": self.head.settings.block(),
                "positives_per_anchor": self.settings.positives,
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
        if not bool(batch.valid.any()):
            return None
        self.model.train()
        self.head.train()
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(self.step, self.options)
        progress = self.step / self.options.steps
        step = Step(batch, self.settings, epoch, progress, self.schedules)
        with _seeded(f"{self.options.seed}/{self.step}", self.device):
            loss = self.head(self.model, step)
            self.optimizer.zero_grad(set_to_none=True)
            loss.backward()
            self.optimizer.step()
            self.head.after(self.model, step)
        self.pairs += len(batch)
        return loss.detach()

    def _features(self, images: Tensor) -> Tensor:
        with torch.inference_mode():
            return self.model.features(normalise(images.to(self.device), IMAGE_MEAN, IMAGE_STD))

    def _log(self, loss: Tensor | None, epoch: int, seconds: float) -> None:
        if loss is None:
            return
        value = float(loss)
        if not math.isfinite(value):
            raise CurateError(
                f"the loss is {value} at step {self.step}. Lower lr ({self.options.lr}) or soften "
                f"the loss ({self.head.settings.block()})."
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
                "head": self.head.state_dict(),
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


def _loss(root: str | Path, options: TrainOptions) -> Loss:
    """Read the settings of the loss: the options' over the manifest's, if of one kind."""
    if options.positives_per_anchor is not None and options.positives_per_anchor < 0:
        raise UsageError(
            f"positives_per_anchor={options.positives_per_anchor}; a number from 1, 0 for all."
        )
    own = Pairset.open(root).manifest.get("loss") or {}
    same = options.loss.get("kind", own.get("kind", DEFAULT)) == own.get("kind", DEFAULT)
    return parse({**own, **options.loss} if same else options.loss)


@contextmanager
def _seeded(purpose: str, device: torch.device) -> Iterator[None]:
    # What a loss draws (dropout, negatives) depends on seed and step alone, so a resumed run
    # draws the same; the caller's generators are left as they were.
    devices = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(int(digest(purpose)[:15], 16))
        yield
