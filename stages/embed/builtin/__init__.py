"""The built-in encoder: a small open_clip model trained on pictures of the sample corpus.

It exists so that every command works with no network and no download. It knows the world of
`curate sample` and nothing else: on photographs its vectors are poor. Train it again with
`python -m curate.stages.embed.builtin.train`; `metrics.json` beside the weights says how good it
is and how that was measured.

Load it as any checkpoint:
`open_clip.create_model_from_pretrained(f"local-dir:{WEIGHTS}")`.
"""

from __future__ import annotations

from pathlib import Path

from ..base import Encoder, LoadedEncoder
from ..open_clip import LOCAL_DIR, OpenClip

WEIGHTS: Path = Path(__file__).parent
"""The folder with `open_clip_config.json` and `open_clip_model.safetensors`: this package."""


class Builtin(Encoder):
    """The built-in encoder as a component of a run; it has no settings."""

    def weights_digest(self) -> str:
        """Return what names the weights in this package and their preprocessing."""
        return self._model().weights_digest()

    def load(self, device: str) -> LoadedEncoder:
        """Load the weights on a torch device."""
        return self._model().load(device)

    def batch(self, of: str, device: str) -> int:
        """Return how many images or texts go through one forward pass."""
        return self._model().batch(of, device)

    @property
    def note(self) -> str:
        """Say that this encoder is a toy."""
        return (
            "the built-in encoder is for trying things offline: it knows the pictures of `curate "
            "sample` and little else. For real work: --encoder open_clip"
        )

    def _model(self) -> OpenClip:
        return OpenClip(model=f"{LOCAL_DIR}{WEIGHTS}", pretrained="")
