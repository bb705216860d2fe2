"""The reference trainer: a loop over a stream of pairs, on one device or several, with any loss."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager, nullcontext
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..errors import CurateError, Interrupted, StateMismatch
from ..fingerprint import digest
from .build import build, settled
from .checkpoint import NAME, check_options, load_checkpoint, save_checkpoint
from .distributed import Ranks, joined_ranks, local_device
from .evaluation import Evaluation
from .fetch import Fetched, fetched
from .options import TrainOptions, TrainResult, device_named, learning_rate
from .progress import Board, Meter
from .step import Step

Report = Callable[[Mapping[str, Any]], None]
"""Gets small JSON events: {"event": "start" | "step" | "evaluate" | "checkpoint", ...}."""


def train(
    root: str | Path, options: TrainOptions | None = None, report: Report | None = None
) -> TrainResult:
    """Train an encoder on a pairset.

    With a folder, a run that was stopped goes on where its last checkpoint stands; on one CPU
    thread count the weights are then bit for bit those of an undisturbed run.

    Started by torchrun, the processes share each batch and each step; any loss runs so, with the
    gradients of one process that has the whole batch (see `distributed`). The first writes and
    reports. A run may go on with another number of processes.

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
    options = options or TrainOptions()
    device = local_device(device_named(options.device))
    with joined_ranks(device) as ranks:
        run = _Run(root, options, report or (lambda event: None), device, ranks)
        run.resume()
        return run.go()


class _Run:
    """One training run: what changes from step to step, and where it is kept."""

    def __init__(
        self,
        root: str | Path,
        options: TrainOptions,
        report: Report,
        device: torch.device,
        ranks: Ranks | None,
    ) -> None:
        self.device, self.ranks, self.first = device, ranks, ranks is None or ranks.rank == 0
        self.options, loss = settled(root, options)
        self._report = report if self.first else (lambda event: None)
        resumed = self.checkpoint is not None and self.checkpoint.exists()
        self.parts = build(root, self.options, loss, device, ranks, resumed)
        self.loader, self.model, self.head = self.parts.loader, self.parts.model, self.parts.head
        self.state = self.loader.state_dict()
        pairset = self.loader.stream.pairset
        self.evaluation = Evaluation(pairset, self.options, self.parts.tower, ranks)
        self.step, self.saved, self.bad_images = 0, 0, 0
        self.before: dict[str, float] = {}
        self.losses: list[tuple[int, float]] = []
        self.board: Board | None = None
        if self.options.tensorboard and self.options.folder and self.first:
            self.board = Board(Path(self.options.folder) / "tensorboard")

    @property
    def checkpoint(self) -> Path | None:
        folder = self.options.folder
        return None if folder is None else Path(folder) / NAME

    def resume(self) -> None:
        """Take up the checkpoint of the folder, if there is one."""
        path = self.checkpoint
        body = load_checkpoint(path) if path and path.exists() else None
        steps = {None if one is None else one["step"] for one in [body]}
        if self.ranks is not None:
            steps = set(self.ranks.share(next(iter(steps))))
        if len(steps) > 1:
            raise StateMismatch(
                f"the processes find different checkpoints at {path} (steps {steps}). The folder "
                "must be one that all of them share."
            )
        if path is None or body is None:
            return
        check_options(path, body["options"], self.options.deciding())
        self.loader.load_state_dict(body["stream"])
        self.state = self.loader.state_dict()
        self.model.load_state_dict(body["model"])
        self.head.load_state_dict(body["head"])
        self.parts.optimizer.load_state_dict(body["optimizer"])
        self.step = self.saved = body["step"]
        self.before = body["before"]

    def go(self) -> TrainResult:
        """Do the steps that are left."""
        self._start()
        if self.step == 0:
            self.before = self._evaluate("before")
        meter = Meter(self.device, self.options.steps - self.step)
        with closing(self.board) if self.board else nullcontext():
            try:
                self._steps(meter)
            except KeyboardInterrupt as stop:
                raise Interrupted(
                    f"stopped in step {self.step + 1} of {self.options.steps}; the same command "
                    f"goes on from step {self.saved}."
                ) from stop
            seconds = meter.seconds
            self._save()
            after = self._evaluate("after")
        labelled = self.evaluation.labelled
        return TrainResult(
            steps=self.step,
            losses=tuple(self.losses),
            knn_before=self.before.get("knn"),
            knn_after=after.get("knn"),
            knn_chance=labelled.chance if labelled else None,
            bad_images=self.bad_images,
            seconds=seconds,
            pairs_per_second=meter.pairs / seconds if seconds else 0.0,
            checkpoint=self.checkpoint,
            scores_before=self.before,
            scores_after=after,
            data_wait=meter.waited / seconds if seconds else 0.0,
            peak_gpu_bytes=meter.peak_gpu_bytes,
            rank=self.ranks.rank if self.ranks else 0,
            world=self.ranks.world if self.ranks else 1,
        )

    def report(self, event: Mapping[str, Any]) -> None:
        """Tell the caller, and TensorBoard if asked for, from the first process alone."""
        self._report(event)
        if self.board is not None and event["event"] in ("step", "evaluate"):
            self.board.write(event["step"], event["figures"] if "figures" in event else event)

    def _start(self) -> None:
        stream = self.loader.stream
        self.report(
            {
                "event": "start",
                "step": self.step,
                "steps": self.options.steps,
                "device": str(self.device),
                "world": self.ranks.world if self.ranks else 1,
                "precision": "bf16" if self.model.bf16 else "fp32",
                "pairs": stream.pairs,
                "split": stream.split,
                "columns": stream.columns.place,
                "columns_bytes": stream.columns.nbytes,
                "loss": self.head.settings.block(),
                "positives_per_anchor": self.parts.settings.positives,
            }
        )

    def _steps(self, meter: Meter) -> None:
        options = self.options
        if self.step >= options.steps:
            return
        for item in meter.waiting(fetched(self.loader, self.device, self.ranks)):
            loss = self._update(item)
            self.step += 1
            self.state = item.state
            self.bad_images += item.batch.bad_images
            meter.count(len(item.batch) if loss is not None else 0)
            last = self.step == options.steps
            if loss is not None and (last or self.step % options.log_every == 0):
                self._log(float(loss), item.epoch, meter)
            if options.save_every and self.step % options.save_every == 0:
                self._save()
            if last:
                return

    def _update(self, item: Fetched) -> Tensor | None:
        if not bool(item.batch.valid.any()):
            return None
        options, optimizer = self.options, self.parts.optimizer
        self.model.train()
        self.head.train()
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(self.step, options)
        progress = self.step / options.steps
        step = Step(
            item.batch,
            self.parts.settings,
            item.epoch,
            progress,
            self.parts.schedules,
            item.company,
        )
        with _seeded(f"{options.seed}/{self.step}", self.device):
            loss = self.head(self.model, step)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            if self.ranks is not None:
                self.ranks.average(self.parts.learned)
            optimizer.step()
            self.head.after(self.model, step)
        return loss.detach()

    def _log(self, loss: float, epoch: int, meter: Meter) -> None:
        if not math.isfinite(loss):
            raise CurateError(
                f"the loss is {loss} at step {self.step}. Lower lr ({self.options.lr}) or soften "
                f"the loss ({self.head.settings.block()})."
            )
        self.losses.append((self.step, loss))
        self.report(
            {
                "event": "step",
                "step": self.step,
                "steps": self.options.steps,
                "epoch": epoch,
                "loss": loss,
                "lr": learning_rate(self.step - 1, self.options),
                **meter.look(),
                "bad_images": self.bad_images,
            }
        )

    def _save(self) -> None:
        self.saved = self.step
        path = self.checkpoint
        if path is None or not self.first:
            return
        save_checkpoint(
            path,
            {
                "step": self.step,
                "options": self.options.deciding(),
                "stream": self.state,
                "model": self.model.state_dict(),
                "head": self.head.state_dict(),
                "optimizer": self.parts.optimizer.state_dict(),
                "before": self.before,
            },
        )
        self.report({"event": "checkpoint", "step": self.step, "path": str(path)})

    def _evaluate(self, when: str) -> dict[str, float]:
        evaluation = self.evaluation
        figures = evaluation.figures(self.model, self.loader.stream, self.device)
        if figures:
            self.report(
                {"event": "evaluate", "when": when, "step": self.step, "figures": figures}
                | evaluation.facts
            )
        return figures


@contextmanager
def _seeded(purpose: str, device: torch.device) -> Iterator[None]:
    # What a loss draws (dropout, negatives) depends on seed and step alone, so a resumed run
    # draws the same; the caller's generators are left as they were.
    devices = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(int(digest(purpose)[:15], 16))
        yield
