"""Seconds of a training step on curated batches, beside plain InfoNCE on images held in memory.

    python benchmarks/train_step.py [--encoder conv] [--px 64] [--batch 128] [--workers 4]
                                    [--chunk 32] [--compile] [--steps 20]

One model, one optimiser, one pairset of rendered pictures (P = 1, K = 4):

    plain, in memory       two views of B images that stay on the device, InfoNCE by hand: no ids,
                           no masks, no weights, nothing is read
    curated, batch held    the same number of views through `Step` and the loss: what positives,
                           masks and weights cost
    ... hard negatives     the listed negatives are encoded too: more views a step
    ... in chunks          cached contrastive: the encoder takes --chunk views at a time
    curated, streamed      batches come from the stream: what data cost

On a GPU with the memory that a step takes beyond what was there; without one a small CPU run
whose ratios alone count.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from curate.manifests.consumer import Augmentation, TrainOptions
from curate.manifests.consumer.augment import view_draws
from curate.manifests.consumer.build import build, compile_encoder
from curate.manifests.consumer.fetch import Fetched, fetched
from curate.manifests.consumer.model import build_model
from curate.manifests.consumer.options import device_named, uses_bf16
from curate.manifests.consumer.step import IMAGE_MEAN, IMAGE_STD, Step
from curate.manifests.losses import InfoNce
from curate.manifests.stream import normalise
from curate.stages.sample_corpus import write_corpus

T = 0.1


def make(folder: Path, images: int, px: int) -> Path:
    """Render a corpus and mine it by labels and by chance."""
    write_corpus(folder / "corpus", images, image_px=px)
    np.save(folder / "image.npy", np.random.default_rng(0).normal(size=(images, 16)))
    settings = ["false_negatives=[]", "negatives=[{miner: random}]", "output.negatives=4"]
    settings += ["positives=[{miner: label, count: 1}]"]
    command = [sys.executable, "-m", "curate.pipeline.cli", "run", str(folder / "corpus")]
    command += ["--embeddings", f"image={folder / 'image.npy'}", "-o", str(folder / "out")]
    command += ["--ray", "off", "--no-report"]
    command += [word for text in settings for word in ("--set", text)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return folder / "out"


@dataclass
class Loop:
    """One loop, and what its steps came to."""

    name: str
    steps: Iterator[int]
    seconds: list[float] = field(default_factory=list)
    views: list[int] = field(default_factory=list)
    peaks: list[int] = field(default_factory=list)
    waits: list[float] = field(default_factory=list)

    @property
    def second(self) -> float:
        """Median seconds of a step."""
        return statistics.median(self.seconds)

    @property
    def wait(self) -> float:
        """Share of the seconds that a batch was waited for."""
        return sum(self.waits[-len(self.seconds) :]) / sum(self.seconds)


class Bench:
    """One pairset, one device, one way to measure."""

    def __init__(self, root: Path, asked: argparse.Namespace) -> None:
        self.root, self.asked = root, asked
        self.device = device_named(asked.device)
        self.options = TrainOptions(
            batch_size=asked.batch,
            image_px=asked.px,
            encoder=asked.encoder,
            compile=asked.compile,
            workers=0,
            evaluate=0,
            split=None,
            positives_per_anchor=1,
        )

    def time(self, *loops: Loop) -> None:
        """Take steps of the loops in turn, so that a noisy machine is as noisy for each."""
        for turn in range(self.asked.warmup + self.asked.steps):
            for loop in loops:
                before = self._held()
                begun = time.perf_counter()
                views = next(loop.steps)
                after = self._peak()
                if turn >= self.asked.warmup:
                    loop.seconds.append(time.perf_counter() - begun)
                    loop.views.append(views)
                    loop.peaks.append(after - before)

    def _held(self) -> int:
        """Return what the GPU holds, and begin to look for its peak; 0 without one."""
        if self.device.type != "cuda":
            return 0
        torch.cuda.reset_peak_memory_stats(self.device)
        return torch.cuda.memory_allocated(self.device)

    def _peak(self) -> int:
        """Wait for the GPU and return its peak since `_held`, 0 without one."""
        if self.device.type != "cuda":
            return 0
        torch.cuda.synchronize(self.device)
        return torch.cuda.max_memory_allocated(self.device)

    def plain(self) -> Iterator[int]:
        """InfoNCE of two views of images that are there already."""
        options, batch = self.options, self.asked.batch
        model = build_model(options.encoder, options.projection, 0, options.image_px)
        model.bf16 = uses_bf16(options.precision, self.device)
        model.to(self.device)
        if options.compile:
            compile_encoder(model.encoder)
        optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
        images = torch.rand(batch, 3, options.image_px, options.image_px, device=self.device)
        augment, ids = Augmentation(), torch.arange(batch)
        target = torch.arange(2 * batch, device=self.device).roll(batch)
        own = torch.eye(2 * batch, dtype=torch.bool, device=self.device)
        step = 0
        while True:
            views = [
                normalise(
                    augment(images, view_draws(0, step, ids, name).to(self.device)),
                    IMAGE_MEAN,
                    IMAGE_STD,
                )
                for name in ("one", "two")
            ]
            z = model(torch.cat(views))
            logits = (z @ z.T / T).masked_fill(own, -torch.inf)
            loss = functional.cross_entropy(logits, target)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            step += 1
            yield 2 * batch

    def curated(self, waits: list[float], held: bool, **change: Any) -> Iterator[int]:
        """Steps of the trainer: over one batch again and again, or over the stream."""
        options = replace(self.options, **change)
        parts = build(self.root, options, InfoNce(t=T), self.device, None)
        parts.model.train()
        parts.head.train()

        def update(item: Fetched, number: int) -> int:
            step = Step(item.batch, parts.settings, number, 0.5, parts.schedules)
            loss = parts.head(parts.model, step)
            parts.optimizer.zero_grad(set_to_none=True)
            loss.backward()
            parts.optimizer.step()
            return len(step.rows) + len(step.positive_at[0]) + len(step.hard)

        items = fetched(parts.loader, self.device, None)
        first = next(items) if held else None
        number = 0
        while True:
            begun = time.perf_counter()
            item = first or next(items)
            waits.append(time.perf_counter() - begun)
            yield update(item, number)
            number += 1

    def loops(self) -> list[Loop]:
        """Measure every loop."""
        asked, without = self.asked, {"hard_negatives": False}
        held = [
            Loop("plain, in memory", self.plain()),
            Loop("curated, batch held", self.curated([], True, **without)),
            Loop("curated, batch held, hard negatives", self.curated([], True)),
        ]
        if asked.chunk:
            name = f"curated, batch held, hard negatives, in chunks of {asked.chunk}"
            held.append(Loop(name, self.curated([], True, chunk=asked.chunk)))
        self.time(*held)
        waits: list[float] = []
        steps = self.curated(waits, False, workers=asked.workers, **without)
        # By itself: its workers would read ahead while others have their turn.
        streamed = Loop(f"curated, streamed, workers: {asked.workers}", steps, waits=waits)
        self.time(streamed)
        return [*held, streamed]


def main() -> None:
    """Measure and print one table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--encoder", default="conv")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--px", type=int, default=64)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--chunk", type=int, default=32, help="0 leaves the row out")
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--warmup", type=int, default=3)
    parser.add_argument("--compile", action="store_true")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        bench = Bench(make(Path(name), asked.images, 2 * asked.px), asked)
        rows = bench.loops()
    where = torch.cuda.get_device_name(bench.device) if bench.device.type == "cuda" else "CPU"
    print(f"{asked.encoder}, {asked.px} px, batch {asked.batch}, {where}, {torch.__version__}")
    print("| loop | views a step | s a step | / plain | / plain, a view | data wait | peak |")
    print("|---|---|---|---|---|---|---|")
    plain = rows[0]
    for row in rows:
        views = statistics.mean(row.views)
        each = row.second / views / (plain.second / statistics.mean(plain.views))
        peak = max(row.peaks)
        print(
            f"| {row.name} | {views:.0f} | {row.second:.3f} | {row.second / plain.second:.2f} | "
            f"{each:.2f} | {f'{row.wait:.0%}' if row.waits else '-'} | "
            f"{f'{peak / 1e9:.2f} GB' if peak else '-'} |"
        )


if __name__ == "__main__":
    main()
