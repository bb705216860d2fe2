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

WEIGHTS: Path = Path(__file__).parent / "weights"
"""The folder with `open_clip_config.json` and `open_clip_model.safetensors`."""
