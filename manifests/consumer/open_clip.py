"""Both towers of an open_clip model, as encoders that the reference trainer trains.

    open_clip:ViT-B-32                          weights drawn from the seed
    open_clip:ViT-B-32@laion2b_s34b_b79k        a tag of the hub, or a file: /path/epoch_9.pt
    open_clip:local-dir:/path                   open_clip_config.json, and weights where it has some

Each side makes the model and keeps its own half, so that a loss of pictures alone holds no text
weights.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ..errors import UsageError
from .chunks import in_chunks
from .distributed import encoded
from .shown import Told
from .step import IMAGE_MEAN, IMAGE_STD

OPEN_CLIP = "open_clip:"


def image_tower(name: str, image_px: int, pretrained: bool) -> tuple[nn.Module, int]:
    """Return the tower of pictures, from float [n, 3, px, px] to [n, width], and its width.

    Args:
        name: "open_clip:MODEL", "open_clip:MODEL@TAG" or "open_clip:MODEL@FILE".
        image_px: side of the images.
        pretrained: False leaves learnt weights out.

    Raises:
        UsageError: no such model or weights, or it cannot take such images.
    """
    visual: Any = _model(name, image_px, pretrained).visual
    cfg = visual.preprocess_cfg
    tower = Adapted(visual, cfg["mean"], cfg["std"])
    return tower, width_of(tower, image_px, name)


def width_of(encoder: nn.Module, image_px: int, name: str) -> int:
    """Return the width of what an encoder makes of images.

    Raises:
        UsageError: it cannot take images of this size.
    """
    encoder.eval()
    try:
        with torch.no_grad():
            made = encoder(torch.zeros(1, 3, image_px, image_px))
    except (AssertionError, RuntimeError, ValueError) as error:
        raise UsageError(
            f"encoder={name!r} cannot take images of {image_px} px: {error}"
        ) from error
    encoder.train()
    return int(made.shape[1])


class Adapted(nn.Module):
    """An encoder that was learnt on pixels of another mean and deviation than the trainer's.

    Args:
        encoder: the encoder.
        mean: of each channel, as the encoder expects it.
        std: of each channel, as the encoder expects it.
    """

    scale: Tensor
    shift: Tensor

    def __init__(self, encoder: nn.Module, mean: tuple[float, ...], std: tuple[float, ...]) -> None:
        super().__init__()
        self.encoder = encoder
        own = [torch.tensor(values)[:, None, None] for values in (IMAGE_MEAN, IMAGE_STD)]
        theirs = [torch.tensor(list(values))[:, None, None] for values in (mean, std)]
        self.register_buffer("scale", own[1] / theirs[1], persistent=False)
        self.register_buffer("shift", (own[0] - theirs[0]) / theirs[1], persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        """Return [n, width]."""
        return self.encoder(images * self.scale + self.shift)


class OpenClipText(nn.Module):
    """The tower of captions with its tokenizer; long captions are cut as open_clip does.

    Args:
        name: as for `image_tower`.
        image_px: side of the images; of the model, not of this tower.
        pretrained: False leaves learnt weights out.

    Attributes:
        bf16: whether it computes in bfloat16; the results are float32 all the same.
        chunk: captions at a time, see `in_chunks`; 0 for all.

    Raises:
        UsageError: no such model, weights or tokenizer.
    """

    bf16 = False
    chunk = 0

    def __init__(self, name: str, image_px: int, pretrained: bool = True) -> None:
        import open_clip

        super().__init__()
        self.encoder: nn.Module = _model(name, image_px, pretrained).text
        try:
            self.tokenizer: Any = open_clip.get_tokenizer(_split(name)[0])
        except (OSError, RuntimeError, ValueError, ImportError) as error:
            raise UsageError(f"encoder={name!r}: its tokenizer: {error}") from error

    def forward(self, told: Told) -> Tensor:
        """Return float32 [n, width], unit rows."""
        rows = encoded(told.holders, lambda: self._encode(told.texts))
        return nn.functional.normalize(rows.float(), dim=1)

    def _encode(self, texts: list[str]) -> Tensor:
        device = next(self.parameters()).device
        # The tokenizers refuse an empty list; a process may hold no text.
        tokens = self.tokenizer(texts or [""])[: len(texts)].to(device, non_blocking=True)
        with torch.autocast(device.type, torch.bfloat16, enabled=self.bf16):
            return in_chunks(self.encoder, tokens, self.chunk)


def _split(name: str) -> tuple[str, str]:
    model, _, weights = name.removeprefix(OPEN_CLIP).partition("@")
    return model, weights


def _model(name: str, image_px: int, pretrained: bool) -> Any:
    import open_clip

    model, weights = _split(name)
    tag: Any = {}
    if weights and not Path(weights).is_file():
        tag = open_clip.pretrained.get_pretrained_cfg(model, weights)
        if pretrained and not tag:
            tags = ", ".join(open_clip.list_pretrained_tags_by_model(model)) or "none"
            raise UsageError(
                f"encoder={name!r}: {weights!r} is neither a file nor a tag of {model}; its tags: "
                f"{tags}."
            )
    quiet = logging.getLogger()
    level = quiet.level
    # open_clip warns of drawn weights through the root logger; they are what was asked for.
    quiet.setLevel(logging.ERROR)
    try:
        return open_clip.create_model(
            model,
            pretrained=weights if weights and pretrained else None,
            load_weights=pretrained,
            force_custom_text=True,
            force_image_size=image_px,
            force_quick_gelu=bool(tag and tag.get("quick_gelu")),
            output_dict=False,
            pretrained_text=pretrained,
            require_pretrained=bool(weights) and pretrained,
        )
    except (AssertionError, OSError, RuntimeError, ValueError) as error:
        raise UsageError(f"encoder={name!r} at {image_px} px: {error}") from error
    finally:
        quiet.setLevel(level)
