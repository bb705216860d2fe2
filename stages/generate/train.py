"""Train the small autoencoder: `python -m curate.stages.generate.train CORPUS -o weights`.

CORPUS is a folder with pictures or tars of pictures (what `curate sample` writes, for one), at any
depth. The codes are principal components, which are solved for; the decoder's network learns the
mean absolute and squared error of pixels from codes with noise: Adam, a cosine from 2e-3 to 0.
"""

from __future__ import annotations

import argparse
import math
import sys
import tarfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional

from ...manifests import storage
from ...manifests.device import torch_device
from ...manifests.errors import DataError
from ...manifests.images import EXTENSIONS, ImageError, decode
from ._autoencoder import Autoencoder, save, square

_RATE = 2e-3
_NOISE = 0.15


@dataclass(frozen=True)
class Plan:
    """How the training goes.

    Attributes:
        px: side of the pictures, a multiple of 8.
        steps: of the optimiser.
        batch: pictures a step.
        pictures: at most so many are read.
        seed: of weights, order and noise.
    """

    px: int = 64
    steps: int = 1000
    batch: int = 16
    pictures: int = 20_000
    seed: int = 0


def read_pictures(corpus: Path, px: int, most: int) -> np.ndarray:
    """Return uint8 [n, px, px, 3]: pictures below a folder, in the order of their names.

    Raises:
        DataError: there is none that can be read.
    """
    found: list[np.ndarray] = []
    for data in _payloads(corpus):
        if len(found) == most:
            break
        try:
            found.append(square(decode(data), px))
        except ImageError:
            continue
    if not found:
        raise DataError(f"{corpus}: no picture that can be read, in no file and in no tar.")
    return np.stack(found)


def _payloads(corpus: Path) -> Iterator[bytes]:
    files = sorted(corpus.rglob("*")) if corpus.is_dir() else [corpus]
    for path in files:
        if path.suffix == ".tar" and path.is_file():
            with tarfile.open(path) as tar:
                for member in tar:
                    held = tar.extractfile(member) if _is_picture(member.name) else None
                    if held is not None:
                        yield held.read()
        elif _is_picture(path.name) and path.is_file():
            yield path.read_bytes()


def _is_picture(name: str) -> bool:
    return name.rpartition(".")[2].lower() in EXTENSIONS


def train(
    pictures: np.ndarray, plan: Plan, device: str, say: Callable[[str], None] = lambda _: None
) -> tuple[Autoencoder, float]:
    """Return a trained model, and the mean absolute error of the last steps, in 0..1.

    Args:
        pictures: uint8 [n, px, px, 3].
        plan: of the training.
        device: torch device.
        say: is told how it goes.
    """
    torch.manual_seed(plan.seed)
    rng = np.random.default_rng(plan.seed)
    model = Autoencoder(plan.px)
    model.fit(pictures)
    model = model.to(device).train()
    optimiser = torch.optim.Adam(model.refine.parameters(), _RATE)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimiser, lambda step: 0.5 * (1 + math.cos(math.pi * min(1.0, step / plan.steps)))
    )
    error, begun = 1.0, time.monotonic()
    for step in range(plan.steps):
        rows = rng.integers(0, len(pictures), plan.batch)
        batch = torch.from_numpy(pictures[rows]).to(device).permute(0, 3, 1, 2).float() / 255
        if rng.random() < 0.5:
            batch = batch.flip(3)
        codes = model.encode(batch)
        made = model.decode(codes + _NOISE * torch.randn_like(codes))
        absolute = functional.l1_loss(made, batch)
        now = float(absolute.detach())
        loss = absolute + functional.mse_loss(made, batch)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
        schedule.step()
        error = 0.98 * error + 0.02 * now if step else now
        if step % 100 == 99:
            say(
                f"step {step + 1} of {plan.steps}: mean error {error:.4f}, "
                f"{time.monotonic() - begun:.0f} s"
            )
    return model.eval(), error


def main(arguments: Sequence[str] | None = None) -> None:
    """Read options, train, and write the weights whole or not at all."""
    default = Plan()
    parser = argparse.ArgumentParser(
        "python -m curate.stages.generate.train", description="Train the small autoencoder."
    )
    parser.add_argument("corpus", type=Path, help="folder with pictures or tars of pictures")
    parser.add_argument("-o", "--out", type=Path, required=True, help="the .safetensors to write")
    for name in ("px", "steps", "batch", "pictures", "seed"):
        parser.add_argument(f"--{name}", type=int, default=getattr(default, name))
    chosen = parser.parse_args(arguments)
    if chosen.px < 16 or chosen.px % 8:
        parser.error(f"--px {chosen.px}: a multiple of 8 from 16 on is allowed")
    plan = Plan(chosen.px, chosen.steps, chosen.batch, chosen.pictures, chosen.seed)
    device = torch_device()
    pictures = read_pictures(chosen.corpus, plan.px, plan.pictures)
    _say(f"{len(pictures)} pictures of {plan.px} px, {plan.steps} steps on {device}")
    model, error = train(pictures, plan, device, _say)
    about = {"mean_error": f"{error:.4f}", "pictures": str(len(pictures))}
    storage.write_atomically(chosen.out, lambda path: save(model, path, about))
    _say(f"{chosen.out}: mean absolute error {error:.4f} (0 is black, 1 is white)")


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")


if __name__ == "__main__":
    main()
