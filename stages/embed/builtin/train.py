"""Train the built-in encoder: `python -m curate.stages.embed.builtin.train --out DIR`.

CLIP's symmetric loss on pictures and captions of the sample corpus with seed 1000, and a
supervised contrastive loss that draws pictures of one class together: without it, colour, place
and hour weigh as much as the kind of thing. The learning rate follows the clock, so a run of any
length ends well, and a checkpoint is written every few minutes.
"""

from __future__ import annotations

import json
import os
import platform
import time
from dataclasses import dataclass
from math import cos, log, pi
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch
from numpy.typing import NDArray
from open_clip.model import CLIP
from safetensors.torch import load_file
from torch.nn import functional

from .evaluate import evaluate
from .model import (
    CONFIG_NAME,
    IMAGE_PX,
    PREPROCESS_CFG,
    WEIGHTS_NAME,
    device_of,
    new_model,
    save_model,
)
from .pictures import Pictures, training_pictures

_RENDER_PX = 72
_FIRST_SEED = 1000
_PEAK_RATE = 2e-3
_WARM_UP = 0.04
_MAX_SCALE = log(100.0)
_SAVE_SECONDS = 180.0
_CLASS_WEIGHT = 1.0
_CLASS_TEMPERATURE = 0.1


@dataclass(slots=True)
class Budget:
    """How much time the run has, and how much of it has passed.

    Attributes:
        seconds: length of the run.
        start: `time.monotonic()` at its start.
    """

    seconds: float
    start: float

    @property
    def passed(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self.start

    @property
    def spent(self) -> float:
        """Share of the time that has passed, 0 .. 1."""
        return min(1.0, self.passed / self.seconds)

    @property
    def rate(self) -> float:
        """The learning rate now: a short rise, then a cosine to nothing."""
        spent = self.spent
        if spent < _WARM_UP:
            return _PEAK_RATE * (0.02 + spent / _WARM_UP)
        return _PEAK_RATE * max(1e-3, 0.5 * (1 + cos(pi * (spent - _WARM_UP) / (1 - _WARM_UP))))


def _batch_images(
    images: NDArray[np.uint8], draws: np.random.Generator, device: torch.device
) -> torch.Tensor:
    """Crop, brighten and normalise uint8 [b, 72, 72, 3] to float32 [b, 3, 64, 64].

    Nothing is mirrored: captions say left and right.
    """
    side = int(draws.integers(62, _RENDER_PX + 1))
    spare = _RENDER_PX - side
    corners = draws.integers(0, spare + 1, size=(len(images), 2))
    crops = np.stack(
        [image[y : y + side, x : x + side] for image, (y, x) in zip(images, corners, strict=True)]
    )
    batch = torch.from_numpy(crops).to(device).permute(0, 3, 1, 2).float().div_(255)
    if side != IMAGE_PX:
        batch = functional.interpolate(batch, size=IMAGE_PX, mode="bilinear", antialias=True)
    gain = draws.uniform(0.85, 1.15, size=(len(images), 1, 1, 1)).astype(np.float32)
    shift = draws.uniform(-0.05, 0.05, size=(len(images), 1, 1, 1)).astype(np.float32)
    batch = batch * torch.from_numpy(gain).to(device) + torch.from_numpy(shift).to(device)
    batch = batch + 0.015 * torch.randn_like(batch)
    return (batch.clamp(0, 1) - PREPROCESS_CFG["mean"][0]) / PREPROCESS_CFG["std"][0]


def _class_loss(seen: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Supervised contrastive loss (Khosla et al. 2020, L_out) of unit rows [b, d]."""
    itself = torch.eye(len(seen), dtype=torch.bool, device=seen.device)
    logits = (seen @ seen.T / _CLASS_TEMPERATURE).masked_fill(itself, -1e4)
    same = ((labels[:, None] == labels[None, :]) & ~itself).float()
    shares = functional.log_softmax(logits, dim=1)
    return -((shares * same).sum(1) / same.sum(1).clamp(min=1)).mean()


def _loss(
    model: CLIP, images: torch.Tensor, tokens: torch.Tensor, labels: torch.Tensor
) -> torch.Tensor:
    on_gpu = images.device.type == "cuda"
    with torch.autocast(images.device.type, dtype=torch.bfloat16):
        seen = model.encode_image(images, normalize=True)
    # On a CPU the text tower is too narrow for bfloat16 to pay.
    with torch.autocast(images.device.type, dtype=torch.bfloat16, enabled=on_gpu):
        read = model.encode_text(tokens, normalize=True)
    logits = model.logit_scale.exp() * seen.float() @ read.float().T
    target = torch.arange(len(logits), device=logits.device)
    there = functional.cross_entropy(logits, target, label_smoothing=0.02)
    back = functional.cross_entropy(logits.T, target, label_smoothing=0.02)
    return (there + back) / 2 + _CLASS_WEIGHT * _class_loss(seen.float(), labels)


def _optimizer(model: CLIP) -> torch.optim.AdamW:
    """Weight decay for matrices only: words that no caption uses keep their first vectors."""
    named = dict(model.named_parameters())
    plain = [p for n, p in named.items() if p.ndim < 2 or "embedding" in n]
    decayed = [p for n, p in named.items() if p.ndim >= 2 and "embedding" not in n]
    groups = [{"params": decayed, "weight_decay": 0.05}, {"params": plain, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=_PEAK_RATE, betas=(0.9, 0.98), eps=1e-6)


def _fit(
    model: CLIP, data: Pictures, out: Path, budget: Budget, batch: int, device: torch.device
) -> int:
    """Train until the budget is spent or Ctrl-C; returns the number of pairs seen."""
    optimizer = _optimizer(model)
    draws = np.random.Generator(np.random.PCG64(1))
    order = np.array([], dtype=np.int64)
    seen, step, saved = 0, 0, 0.0
    try:
        while budget.spent < 1.0:
            if len(order) < batch:
                order = draws.permutation(len(data.images))
            rows, order = order[:batch], order[batch:]
            for group in optimizer.param_groups:
                group["lr"] = budget.rate
            tokens = _batch_tokens(data, rows, draws).to(device)
            labels = torch.from_numpy(data.labels[rows]).to(device)
            images = _batch_images(data.images[rows], draws, device)
            loss = _loss(model, images, tokens, labels)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            model.logit_scale.data.clamp_(max=_MAX_SCALE)
            seen, step = seen + len(rows), step + 1
            if step % 50 == 0:
                rate = seen / budget.passed
                click.echo(f"{budget.spent:6.1%}  loss {loss.item():.3f}  {rate:.0f} pairs/s")
            if budget.passed > saved + _SAVE_SECONDS:
                saved = budget.passed
                save_model(model, out)
    except KeyboardInterrupt:
        click.echo("stopped early; what was learned so far is kept")
    return seen


def _batch_tokens(
    data: Pictures, rows: NDArray[np.int64], draws: np.random.Generator
) -> torch.Tensor:
    """One caption of each image, drawn anew each time: int64 [b, 40]."""
    counts = data.first[rows + 1] - data.first[rows]
    chosen = data.first[rows] + (draws.random(len(rows)) * counts).astype(np.int64)
    return torch.from_numpy(data.tokens[chosen]).long()


def _machine(device: torch.device) -> str:
    if device.type == "cuda":
        return torch.cuda.get_device_name()
    return f"{platform.machine()} CPU, {os.cpu_count()} cores"


def _train(
    out: Path,
    start: Path | None,
    minutes: float,
    size: int,
    batch: int,
    threads: int,
    device: torch.device,
) -> dict[str, Any]:
    """Render, train and save; returns what to say of the training."""
    click.echo(f"rendering {size} rows of seed {_FIRST_SEED}")
    data = training_pictures(_FIRST_SEED, size, _RENDER_PX, threads)
    click.echo(f"{len(data.images)} scenes, {len(data.tokens)} captions; training on {device}")
    model = new_model()
    if start:
        model.load_state_dict(load_file(start / WEIGHTS_NAME))
    model.to(device).train()
    budget = Budget(minutes * 60, time.monotonic())
    seen = _fit(model, data, out, budget, batch, device)
    save_model(model, out)
    return {
        "started_from": str(start.name) if start else "random weights",
        "seed": _FIRST_SEED,
        "scenes": len(data.images),
        "captions": len(data.tokens),
        "pairs_seen": seen,
        "batch": batch,
        "minutes": round(budget.passed / 60, 1),
        "machine": _machine(device),
        "threads": threads,
        "torch": str(torch.__version__),
    }


@click.command()
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), required=True)
@click.option(
    "--start", type=click.Path(path_type=Path, exists=True), help="Weights to go on from."
)
@click.option("--minutes", default=25.0, show_default=True, help="Training time after rendering.")
@click.option("--size", default=80000, show_default=True, help="Rows to render for training.")
@click.option("--batch", default=256, show_default=True, help="Pairs in a batch.")
@click.option("--threads", default=2, show_default=True, help="CPU threads and render processes.")
@click.option("--device", default="auto", show_default=True, help="auto, cpu or cuda.")
@click.option("--measure", is_flag=True, help="Train nothing; measure the weights in --out again.")
def main(
    out: Path,
    start: Path | None,
    minutes: float,
    size: int,
    batch: int,
    threads: int,
    device: str,
    measure: bool,
) -> None:
    """Train the built-in encoder and measure it.

    Example: python -m curate.stages.embed.builtin.train --out /tmp/weights --minutes 25
    """
    torch.manual_seed(1)
    torch.set_num_threads(threads)
    notes = out / "metrics.json"
    if measure:
        training = (
            json.loads(notes.read_text(encoding="utf-8"))["training"] if notes.exists() else {}
        )
    else:
        training = _train(out, start, minutes, size, batch, threads, device_of(device))
    figures = {
        **evaluate(out),
        "parameters": sum(p.numel() for p in new_model().parameters()),
        "bytes": sum((out / name).stat().st_size for name in (CONFIG_NAME, WEIGHTS_NAME)),
        "training": training,
    }
    text = json.dumps(figures, indent=2)
    notes.write_text(text + "\n", encoding="utf-8")
    click.echo(text)


if __name__ == "__main__":
    main()
