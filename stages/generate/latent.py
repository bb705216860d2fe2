"""Variations of a picture out of a small autoencoder that knows the corpus."""

from __future__ import annotations

from collections.abc import Sequence

from PIL import Image
from pydantic import Field

from . import _autoencoder
from ._decoded import CodecGenerator
from .base import Prompt, Variation


class Latent(CodecGenerator):
    """Decodes a mixture of the anchor's code and a random sample's: w * random + (1 - w) * anchor.

    Zeng et al., Contrastive Learning with Synthetic Positives (CLSP), ECCV 2024, eq. 4: in each
    denoising step of an unconditional diffusion model, the bottleneck features of the noised
    anchor and of a random sample are mixed with w = 0.1, while the skip connections keep the
    random sample's. Here the same mixture is taken of the codes of a small autoencoder, plus
    Gaussian noise, which stands for the random start of the denoising.

    Fidelity: surrogate for CLSP's own model, and it says so: pictures are soft, of 64 pixels, and
    a mixture shows a ghost of the other picture rather than new content. The rest of the
    technique (candidates, gates, loss) does not depend on which generator made the pictures.

    Trap: the weights know the corpus that they were trained on and nothing else.
    """

    fidelity = "surrogate"
    paper = "Zeng et al., Contrastive Learning with Synthetic Positives, 2024"

    w: float = Field(default=0.1, ge=0, le=1)
    """Share of the random sample's code."""
    noise: float = Field(default=0.2, ge=0)
    """Standard deviation of what is added to the mixture; codes have variance 1."""

    @property
    def note(self) -> str:
        """Say that this generator is small."""
        return (
            "the latent generator is a small autoencoder: soft pictures, for trying things "
            "offline. For real work: generator: diffusers"
        )

    def vary(
        self, codec: _autoencoder.Codec, anchor: Image.Image, prompts: Sequence[Prompt]
    ) -> list[Variation]:
        """Mix the anchor's code with that of each prompt's other picture."""
        w, spread = self.w, self.noise
        codes = codec.encode([anchor, *(prompt.other for prompt in prompts)])
        mixed = w * codes[1:] + (1 - w) * codes[:1]
        mixed = mixed + spread * _autoencoder.noise([p.seed for p in prompts], codes.shape[1:])
        recipes = [{"w": w, "noise": spread, "seed": prompt.seed} for prompt in prompts]
        pictures = codec.decode(mixed)
        return [Variation(*both) for both in zip(pictures, recipes, strict=True)]
