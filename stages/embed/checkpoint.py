"""An encoder that `curate train` made: mine, train, mine again in the trained space."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

import numpy as np
from PIL import Image
from pydantic import field_validator

from ...manifests.errors import ConfigError, CurateError
from ...manifests.fingerprint import canonical_json
from ...manifests.listing import absolute
from ..base import Runtime
from .base import Encoder, LoadedEncoder

if TYPE_CHECKING:
    from ...manifests.consumer import ContrastiveModel

What = Literal["features", "projection"]


class Checkpoint(Encoder):
    """The image encoder of a checkpoint, frozen where it stands; fp32, batch norms as learnt.

    Pixels are those that the trainer's kNN accuracy is measured on: the centre square at the
    side that was trained on, with the trainer's mean and deviation. The folder is read, never
    written; training on in it makes another encoder, so let none run while a round is mined.
    """

    modalities: ClassVar[tuple[str, ...]] = ("image",)
    path: Annotated[str, Runtime()]
    """The folder given to `curate train -d`, or the checkpoint.pt in it."""
    what: What = "features"
    """features of the backbone (what kNN and later tasks use), or projection: what the loss saw."""

    @field_validator("path")
    @classmethod
    def _made_absolute(cls, path: str) -> str:
        # Workers of a cluster stand in folders of their own.
        return absolute(path)

    def weights_digest(self) -> str:
        """Return the sha256 of the model's tensors and of the preprocessing.

        Neither the optimizer's state nor the place in the stream is in it.

        Raises:
            ConfigError: there is no checkpoint of `curate train`.
        """
        return self._about.digest

    def trained_on(self) -> str:
        """Return the manifest_id of the pairset that the checkpoint was trained on.

        Raises:
            ConfigError: there is no checkpoint of `curate train`.
        """
        return self._about.trained_on

    def load(self, device: str) -> LoadedEncoder:
        """Load the weights on a torch device.

        Raises:
            ConfigError: there is no checkpoint of `curate train`, or its weights do not fit.
        """
        return _Loaded(_read(self._file), self.what, device)

    @property
    def _file(self) -> Path:
        from ...manifests.consumer.checkpoint import NAME

        given = Path(self.path)
        path = given / NAME if given.is_dir() else given
        if not path.is_file():
            raise ConfigError(
                f"checkpoint: {path} is not a file. Train one with `curate train OUT -d FOLDER` "
                "and set path to FOLDER (or to its checkpoint.pt)."
            )
        return path

    @property
    def _about(self) -> _About:
        status = self._file.stat()
        return _about(self._file, status.st_size, status.st_mtime_ns)


@dataclass(frozen=True)
class _About:
    """What names a checkpoint, without its tensors."""

    digest: str
    trained_on: str


@functools.lru_cache(maxsize=32)
def _about(path: Path, size: int, changed_ns: int) -> _About:
    del size, changed_ns
    body = _read(path)
    _built(path, body)
    return _About(_digest(body), str(body["stream"]["manifest_id"]))


def _read(path: Path) -> dict[str, Any]:
    """Read a checkpoint to the CPU; only tensors, numbers and texts are ever loaded."""
    from ...manifests.consumer.checkpoint import load_checkpoint

    try:
        body = load_checkpoint(path)
    except CurateError as error:
        raise ConfigError(
            f"checkpoint: {error} Set path to a folder that `curate train -d FOLDER` wrote."
        ) from error
    options, stream = body.get("options"), body.get("stream")
    wanted = {"options": ("encoder", "projection", "image_px"), "stream": ("manifest_id",)}
    held = {"options": options or {}, "stream": stream or {}}
    missing = [f"{part}.{key}" for part, keys in wanted.items() for key in keys
               if key not in held[part]]  # fmt: skip
    if "model" not in body or missing:
        raise ConfigError(
            f"checkpoint: {path} lacks {', '.join(missing) or 'model'}; it was not written whole "
            "by `curate train`. Train again into a new folder."
        )
    return {"path": path, **{name: body[name] for name in ("options", "stream", "model")}}


def _digest(body: Mapping[str, Any]) -> str:
    from ...manifests.consumer.step import IMAGE_MEAN, IMAGE_STD

    options = body["options"]
    settings = {
        "encoder": options["encoder"],
        "image_px": options["image_px"],
        "mean": IMAGE_MEAN,
        "std": IMAGE_STD,
    }
    found = hashlib.sha256(canonical_json(settings).encode())
    for name, tensor in sorted(body["model"].items()):
        values = tensor.contiguous().numpy()
        found.update(f"/{name}/{values.dtype}/{values.shape}/".encode())
        found.update(values.tobytes())
    return found.hexdigest()


def _built(path: Path, body: Mapping[str, Any]) -> ContrastiveModel:
    from ...manifests.consumer import build_model

    options = body["options"]
    try:
        encoder, px = options["encoder"], options["image_px"]
        model = build_model(encoder, options["projection"], 0, px, pretrained=False)
        model.load_state_dict(body["model"])
    except (RuntimeError, CurateError) as error:
        raise ConfigError(f"checkpoint: the weights of {path} do not load: {error}") from error
    return model.eval().requires_grad_(False)


class _Loaded:
    """The model on its device."""

    def __init__(self, body: Mapping[str, Any], what: What, device: str) -> None:
        import torch

        from ...manifests.consumer.step import IMAGE_MEAN, IMAGE_STD
        from ...manifests.stream import ImageTransform

        self._torch, self._device = torch, device
        model: Any = _built(body["path"], body).to(device)
        self._encode = model.features if what == "features" else model.project
        self._transform = ImageTransform(body["options"]["image_px"], IMAGE_MEAN, IMAGE_STD)
        self.dim = int(model.width if what == "features" else model.projection)

    def prepare_image(self, image: Image.Image) -> Any:
        """Return float32 [3, px, px]: the trainer's own pixels, without augmentation."""
        return self._transform(image)

    def encode_images(self, prepared: Sequence[Any]) -> np.ndarray:
        """Return float32 [n, dim]."""
        batch = self._torch.stack(list(prepared)).to(self._device)
        with self._torch.inference_mode():
            return self._encode(batch).float().cpu().numpy()

    def encode_texts(self, texts: Sequence[str]) -> np.ndarray:
        """Refuse: `curate train` trains an encoder of images.

        Raises:
            ConfigError: always.
        """
        del texts
        raise ConfigError("the checkpoint encoder embeds images; set `of: image`.")
