"""Any image-to-image or image-variation pipeline of the diffusers library."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from PIL import Image
from pydantic import Field

from ...manifests.errors import ConfigError
from ...manifests.fingerprint import canonical_json, digest, file_digest
from ..base import Runtime
from .base import Generator, LoadedGenerator, Prompt, Variation

_INSTALL = 'pip install "curate-pairs[diffusers]"'


class Diffusers(Generator):
    """Variations of the anchor by a pretrained diffusion pipeline.

    Zeng et al., Contrastive Learning with Synthetic Positives (CLSP), ECCV 2024, mix bottleneck
    features of the anchor and of a random sample inside an unconditional model that they train
    themselves (w = 0.1, DDIM with 100 steps, eta = 0.1, 8 candidates). Published pipelines have no
    such input, so what is offered instead is theirs: `strength` of the noise that the anchor is
    denoised from (img2img), or the anchor's image embedding as the condition (variation). `steps`
    and `eta` are CLSP's, where the pipeline and its scheduler take them.

    Fidelity: surrogate for CLSP's own model; everything behind the generator is as in the paper.

    Traps: a pipeline with a safety checker paints what it flags black; the gates refuse that. A
    large pipeline on a CPU takes minutes for one picture.

    Draws come from one CPU generator a candidate, so they do not depend on the device.
    """

    fidelity = "surrogate"
    paper = "Zeng et al., Contrastive Learning with Synthetic Positives, 2024"

    path: Annotated[str, Runtime()] = ""
    """A folder that `save_pretrained` wrote, or a name of the hub."""
    revision: str = Field(default="", pattern=r"^([0-9a-f]{40})?$")
    """The commit of a name of the hub; it names the weights, so it is needed there."""
    kind: Literal["img2img", "variation"] = "img2img"
    """The anchor as the start of the denoising, or as its condition."""
    prompt: str = ""
    """Text of an img2img pipeline, the same for every anchor."""
    steps: int = Field(default=100, ge=1, le=1000)
    """Denoising steps (img2img runs `strength` of them)."""
    strength: float = Field(default=0.5, gt=0, le=1)
    """How far img2img goes from the anchor: 0 is a copy, 1 is unrelated."""
    guidance: float = Field(default=3.0, ge=0)
    """Scale of classifier-free guidance; 1 and below turn it off."""
    eta: float = Field(default=0.1, ge=0, le=1)
    """Share of fresh noise in each step of DDIM."""
    px: int = Field(default=512, ge=8, multiple_of=8)
    """Side of the square that an img2img pipeline gets."""
    dtype: Literal["float32", "float16", "bfloat16"] = "float32"
    """Arithmetic."""

    def weights_digest(self) -> str:
        """Return a sha256 over all files of the folder, or of name and commit.

        Raises:
            ConfigError: no path, or a name of the hub without its commit.
        """
        if not self.path:
            raise ConfigError(
                "generator diffusers needs `path`: the folder of a saved pipeline, or a name of "
                "the hub with its `revision`."
            )
        folder = Path(self.path)
        if folder.is_dir():
            files = sorted(path for path in folder.rglob("*") if path.is_file())
            named = {path.relative_to(folder).as_posix(): file_digest(path) for path in files}
            if "model_index.json" not in named:
                raise ConfigError(f"generator diffusers: {folder} holds no model_index.json.")
            return digest(canonical_json(named))
        if not self.revision:
            raise ConfigError(
                f"generator diffusers: {self.path} is no folder here. If it is a name of the hub, "
                "give `revision`, the 40 hex digits of its commit."
            )
        return digest(f"{self.path}@{self.revision}")

    def load(self, device: str) -> LoadedGenerator:
        """Load the pipeline.

        Raises:
            ConfigError: diffusers is not installed, or what is there is no such pipeline.
        """
        self.weights_digest()
        try:
            # By name: here, `import diffusers` would read as this very module to some tools.
            library = importlib.import_module("diffusers")
        except ImportError as error:
            raise ConfigError(
                f"the diffusers generator needs diffusers and transformers: {_INSTALL} ({error})."
            ) from error
        import torch

        kinds = {
            "img2img": library.AutoPipelineForImage2Image,
            "variation": library.StableDiffusionImageVariationPipeline,
        }
        local = Path(self.path).is_dir()
        where = {"local_files_only": True} if local else {"revision": self.revision}
        try:
            pipeline = kinds[self.kind].from_pretrained(
                self.path, torch_dtype=getattr(torch, self.dtype), use_safetensors=True, **where
            )
        except (OSError, ValueError, ImportError) as error:
            raise ConfigError(f"generator diffusers: {self.path}: {error}.") from error
        pipeline.set_progress_bar_config(disable=True)
        return _Loaded(self, pipeline.to(device))


class _Loaded:
    """A pipeline on a device."""

    def __init__(self, settings: Diffusers, pipeline: Any) -> None:
        self._settings = settings
        self._pipeline = pipeline
        self._takes = set(inspect.signature(pipeline.__call__).parameters)

    def make(self, anchor: Image.Image, prompts: Sequence[Prompt]) -> list[Variation]:
        """Run the pipeline once for all candidates of an anchor."""
        import torch

        settings, count = self._settings, len(prompts)
        seeds = [prompt.seed for prompt in prompts]
        given: dict[str, Any] = {
            "num_inference_steps": settings.steps,
            "guidance_scale": settings.guidance,
            "eta": settings.eta,
            "strength": settings.strength,
        }
        given = {name: value for name, value in given.items() if name in self._takes}
        recipe = dict(given)
        if settings.kind == "img2img":
            square = _square(anchor, settings.px)
            given |= {"image": [square] * count, "prompt": [settings.prompt] * count}
        else:
            given |= {"image": [anchor] * count}
        generators = [torch.Generator("cpu").manual_seed(seed) for seed in seeds]
        images = self._pipeline(**given, generator=generators).images
        return [
            Variation(image, {**recipe, "kind": settings.kind, "seed": seed})
            for image, seed in zip(images, seeds, strict=True)
        ]


def _square(picture: Image.Image, px: int) -> Image.Image:
    side = min(picture.size)
    left, top = ((length - side) // 2 for length in picture.size)
    box = (left, top, left + side, top + side)
    return picture.resize((px, px), Image.Resampling.BICUBIC, box)
