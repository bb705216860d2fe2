"""Pairs of increasing hardness: an anchor, and what stands at a growing distance from its code."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from PIL import Image
from pydantic import Field, model_validator

from . import _autoencoder
from ._decoded import CodecGenerator
from .base import Prompt, Variation


class Offset(CodecGenerator):
    """Decodes the anchor's code moved by delta in a random direction, delta from small to large.

    Wu et al., Synthetic Hard Positives (AAAI 2023): a pair of generators makes two similar but
    distinct pictures, and learns jointly with the main model to make their similarity lower and
    lower. Offline there is no generator that follows the trainer, so one frozen decoder makes the
    pairs: candidate c of n stands at z + delta_c u, where u is a direction drawn for it with
    root mean square 1 and delta_c goes from `near` to `far` in equal steps. How hard a pair came
    out (1 - cosine in the frozen space) is measured afterwards and stands in `assets`; the miner's
    `schedule` lets hardness grow with the training progress.

    Fidelity: surrogate. The other picture of the pair is the anchor itself, not a second
    generated one, and nothing adapts to the model that is trained.

    Traps: far from the code a decoder makes noise that is no positive of anything; the gates of
    the miner `synthetic` refuse it. Hardness is not exactly proportional to delta.
    """

    fidelity = "surrogate"
    paper = "Wu et al., Synthetic Hard Positives for Contrastive Learning, 2023"

    near: float = Field(default=0.1, ge=0)
    """Offset of the first candidate; codes have variance 1."""
    far: float = Field(default=0.5, ge=0)
    """Offset of the last candidate."""

    @model_validator(mode="after")
    def _near_is_nearer(self) -> Offset:
        if self.near > self.far:
            raise ValueError(f"near {self.near:g} must not be beyond far {self.far:g}")
        return self

    @property
    def note(self) -> str:
        """Say that this generator is small."""
        return (
            "the offset generator is a small frozen autoencoder; it does not follow the trainer "
            "as the paper's generators do"
        )

    def vary(
        self, codec: _autoencoder.Codec, anchor: Image.Image, prompts: Sequence[Prompt]
    ) -> list[Variation]:
        """Move the anchor's code by each prompt's delta."""
        near, far = self.near, self.far
        code = codec.encode([anchor])
        deltas = [near + (far - near) * prompt.step for prompt in prompts]
        ways = _autoencoder.noise([prompt.seed for prompt in prompts], code.shape[1:])
        scale = ways.square().mean(dim=(1, 2, 3), keepdim=True).sqrt()
        moved = code + torch.tensor(deltas).view(-1, 1, 1, 1) * ways / scale
        pictures = codec.decode(moved)
        return [
            Variation(picture, {"delta": round(delta, 6), "seed": prompt.seed})
            for picture, delta, prompt in zip(pictures, deltas, prompts, strict=True)
        ]
