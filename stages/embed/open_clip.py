"""Any open_clip model: a tag of the hub, a checkpoint file, or a folder on this machine.

open_clip makes a model with random weights, and only logs it, when it finds no checkpoint. Here
that is an error: weights are found before anything runs, and named by their sha256.
"""

from __future__ import annotations

import functools
import hashlib
import json
import os
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from PIL import Image
from pydantic import Field

from ...manifests.errors import ConfigError
from ...manifests.fingerprint import canonical_json, file_digest
from ..base import Runtime
from .base import Encoder, LoadedEncoder

LOCAL_DIR = "local-dir:"
RANDOM = "random"
"""`pretrained` for weights that are drawn, not learnt: tests of speed and plumbing only."""

CONFIG = "open_clip_config.json"
_REACH_S = 5.0
_SUFFIXES = (".safetensors", ".bin", ".pth")

Precision = Literal["fp32", "bf16", "fp16"]


class OpenClip(Encoder):
    """An open_clip model with frozen weights.

    Attributes:
        model: name of an architecture ("ViT-B-32"), or "local-dir:/path" of a folder with
            open_clip_config.json and weights (.safetensors, .bin or .pth).
        pretrained: tag of the hub ("laion2b_s34b_b79k"), or path of a checkpoint file. Ignored
            for a local-dir. "random" draws weights: never for real work.
        precision: arithmetic of the forward pass; fp16 needs a GPU.
        image_batch: images a forward pass; None for 8 on a CPU, 256 on a GPU.
        text_batch: texts a forward pass; None for 64 on a CPU, 1024 on a GPU.
    """

    model: str = "ViT-B-32"
    pretrained: str = "laion2b_s34b_b79k"
    precision: Precision = "fp32"
    image_batch: Annotated[int | None, Runtime(), Field(ge=1)] = None
    text_batch: Annotated[int | None, Runtime(), Field(ge=1)] = None

    def identity(self) -> dict[str, Any]:
        """Return architecture, arithmetic and weights; paths of this machine are left out."""
        kept = super().identity()
        if self.model.startswith(LOCAL_DIR):
            kept["model"], kept["pretrained"] = "local-dir", ""
        elif Path(self.pretrained).is_file():
            kept["pretrained"] = "file"
        return kept

    def weights_digest(self) -> str:
        """Return the sha256 of the weights and of architecture and preprocessing.

        Raises:
            ConfigError: the weights are not there; the text says how to get them.
        """
        source = find_weights(self.model, self.pretrained)
        settings = hashlib.sha256(canonical_json(source.settings).encode()).hexdigest()
        weights = RANDOM if source.weights is None else _digest(source.weights)
        return hashlib.sha256(f"{weights}/{settings}".encode()).hexdigest()

    def load(self, device: str) -> LoadedEncoder:
        """Load the weights on a torch device.

        Raises:
            ConfigError: fp16 on a CPU, or weights that do not fit the architecture.
        """
        if self.precision == "fp16" and device == "cpu":
            raise ConfigError(
                "precision fp16 needs a GPU, and none is here. Use bf16 (fast on recent CPUs) "
                "or fp32."
            )
        source = find_weights(self.model, self.pretrained)
        return _Loaded(self, source, device)

    def batch(self, of: str, device: str) -> int:
        """Return how many images or texts go through one forward pass."""
        # Small batches keep a CPU's caches warm: 8 images are as fast as 64.
        gpu = device != "cpu"
        if of == "image":
            return self.image_batch or (256 if gpu else 8)
        return self.text_batch or (1024 if gpu else 64)

    @property
    def note(self) -> str:
        """What a person must know about these vectors, or nothing."""
        if self.pretrained == RANDOM and not self.model.startswith(LOCAL_DIR):
            return f"{self.model} with RANDOM weights: its vectors mean nothing"
        return ""


class Source:
    """Where a model's weights are, and what decides its vectors beside them.

    Attributes:
        weights: the checkpoint file; None for drawn weights.
        settings: architecture and preprocessing, as JSON.
        preprocess: overrides of the preprocessing that a tag brings along.
    """

    def __init__(
        self, weights: Path | None, settings: Any, preprocess: dict[str, Any] | None = None
    ) -> None:
        self.weights, self.settings, self.preprocess = weights, settings, preprocess or {}


def find_weights(model: str, pretrained: str) -> Source:
    """Find the weights of a model, download them when they are on the hub.

    Raises:
        ConfigError: no such model, tag or file; or the hub cannot be reached.
    """
    if model.startswith(LOCAL_DIR):
        return _local_dir(Path(model.removeprefix(LOCAL_DIR)))
    from open_clip import get_model_config, list_models
    from open_clip.pretrained import get_pretrained_cfg, list_pretrained_tags_by_model

    name = model.replace("/", "-")
    settings = get_model_config(name)
    if settings is None:
        raise ConfigError(
            f"open_clip knows no model {model!r}. It knows {len(list_models())}, such as ViT-B-32, "
            "ViT-L-14, RN50; for your own use model: local-dir:/path."
        )
    if pretrained == RANDOM:
        return Source(None, settings)
    tag = get_pretrained_cfg(name, pretrained)
    if tag:
        extra = {key: value for key, value in tag.items() if key not in ("url", "hf_hub")}
        return Source(_download(model, pretrained, tag), [settings, extra], extra)
    if Path(pretrained).is_file():
        return Source(Path(pretrained), settings)
    tags = ", ".join(list_pretrained_tags_by_model(name)) or "none"
    raise ConfigError(
        f"pretrained: {pretrained!r} is neither a file nor a tag of {model}. Its tags: {tags}."
    )


def _local_dir(folder: Path) -> Source:
    config = folder / CONFIG
    if not config.is_file():
        raise ConfigError(
            f"{LOCAL_DIR}{folder}: there is no {CONFIG}. The folder must hold it "
            "({'model_cfg': ..., 'preprocess_cfg': ...}) and the weights (.safetensors)."
        )
    found = [path for suffix in _SUFFIXES for path in sorted(folder.glob(f"*{suffix}"))]
    if not found:
        # open_clip writes epoch_N.pt itself but does not look for them in a local-dir.
        others = ", ".join(path.name for path in sorted(folder.glob("*.pt"))) or "nothing like it"
        raise ConfigError(
            f"{LOCAL_DIR}{folder}: no weights; {' '.join(_SUFFIXES)} are looked for, {others} is "
            "there. Rename a .pt checkpoint to .pth, or give it as pretrained: /path/epoch_N.pt."
        )
    try:
        settings = json.loads(config.read_text())
    except ValueError as error:
        raise ConfigError(f"{config} is not JSON: {error}.") from error
    if "model_cfg" not in settings:
        raise ConfigError(f"{config} has no 'model_cfg'; it has {', '.join(settings)}.")
    # Importing open_clip takes seconds and half a gigabyte; a lone file needs no choice.
    return Source(found[0] if len(found) == 1 else _chosen_by_open_clip(folder), settings)


def _chosen_by_open_clip(folder: Path) -> Path:
    from open_clip.factory import _find_checkpoint_in_dir

    found = _find_checkpoint_in_dir(folder)
    if not found:
        raise ConfigError(f"{LOCAL_DIR}{folder}: open_clip finds no weights in it.")
    return Path(found)


def _download(model: str, tag: str, settings: dict[str, Any]) -> Path:
    """Return the file of a tag, from the cache if it is there, from the hub if that answers."""
    from open_clip.pretrained import download_pretrained

    cached = _cached(settings.get("hf_hub", ""))
    if cached is not None:
        return cached
    host = os.environ.get("HF_ENDPOINT", "https://huggingface.co")
    problem = "HF_HUB_OFFLINE is set" if os.environ.get("HF_HUB_OFFLINE") == "1" else ""
    problem = problem or _unreachable(host)
    if not problem:
        try:
            return Path(download_pretrained(settings))
        except (OSError, RuntimeError) as error:
            problem = str(error)
    raise ConfigError(
        f"{model} {tag}: the weights are not in the cache, and {host} cannot give them "
        f"({problem}). Do one of these: download them where there is a network and copy the "
        f"cache (~/.cache/huggingface); put config and weights into a folder and set model: "
        f"{LOCAL_DIR}/path; or try things out with --encoder builtin."
    )


def _cached(location: str) -> Path | None:
    from huggingface_hub import try_to_load_from_cache
    from open_clip.constants import HF_WEIGHTS_NAME
    from open_clip.pretrained import _get_safe_alternatives

    if not location:
        return None
    repository, _, name = location.rpartition("/")
    name = name or HF_WEIGHTS_NAME
    for candidate in (*_get_safe_alternatives(name), name):
        found = try_to_load_from_cache(repository, candidate)
        if isinstance(found, str):
            return Path(found)
    return None


def _unreachable(host: str) -> str:
    """Return why a host gives no answer within five seconds, or "" when it does."""
    try:
        request = urllib.request.Request(host, method="HEAD")
        urllib.request.urlopen(request, timeout=_REACH_S).close()
    except urllib.error.HTTPError:
        return ""
    except (OSError, ValueError) as error:
        return str(error)
    return ""


def _digest(path: Path) -> str:
    status = path.stat()
    return _digest_of(path, status.st_size, status.st_mtime_ns)


@functools.lru_cache(maxsize=32)
def _digest_of(path: Path, size: int, changed_ns: int) -> str:
    del size, changed_ns
    return file_digest(path)


class _Loaded:
    """The model on its device."""

    def __init__(self, encoder: OpenClip, source: Source, device: str) -> None:
        import open_clip
        import torch
        from open_clip.transform import PreprocessCfg, image_transform_v2

        random = source.weights is None
        local = encoder.model.startswith(LOCAL_DIR)
        try:
            model: Any = open_clip.create_model(
                encoder.model,
                pretrained=None if random or local else str(source.weights),
                precision=encoder.precision,
                device=device,
                require_pretrained=not random,
                output_dict=False,
                force_quick_gelu=bool(source.preprocess.get("quick_gelu")),
                force_preprocess_cfg=_preprocess(source.preprocess),
            )
        except (RuntimeError, ValueError, KeyError, OSError) as error:
            raise ConfigError(
                f"{encoder.model}: the weights {source.weights} do not load: {error}"
            ) from error
        self._torch, self._device = torch, device
        self._model: Any = model.eval().requires_grad_(False)
        self._kind = open_clip.get_input_dtype(encoder.precision)
        config = PreprocessCfg(**model.visual.preprocess_cfg)
        self._transform: Any = image_transform_v2(config, is_train=False)
        self._tokenizer = open_clip.get_tokenizer(encoder.model)
        self.dim = _width(model, self._tokenizer, torch, device)

    def prepare_image(self, image: Image.Image) -> Any:
        """Apply open_clip's own transform: the pixels that users of the model get."""
        return self._transform(image)

    def encode_images(self, prepared: Sequence[Any]) -> np.ndarray:
        """Return float32 [n, dim], not normalised."""
        batch = self._torch.stack(list(prepared)).to(self._device, self._kind)
        with self._torch.inference_mode():
            return self._model.encode_image(batch).float().cpu().numpy()

    def encode_texts(self, texts: Sequence[str]) -> np.ndarray:
        """Return float32 [n, dim], not normalised; long texts are cut as open_clip does."""
        tokens = self._tokenizer(list(texts)).to(self._device)
        with self._torch.inference_mode():
            return self._model.encode_text(tokens).float().cpu().numpy()


def _preprocess(tag: dict[str, Any]) -> dict[str, Any]:
    names = ("mean", "std", "interpolation", "resize_mode")
    return {name: tag[name] for name in names if name in tag}


def _width(model: Any, tokenizer: Any, torch: Any, device: str) -> int:
    with torch.inference_mode():
        return int(model.encode_text(tokenizer(["a"]).to(device)).shape[-1])
