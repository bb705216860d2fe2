"""Encoders of images by name: our small one, torchvision's, timm's, open_clip's towers."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Any

from torch import nn

from ..errors import UsageError
from .open_clip import OPEN_CLIP, Adapted, image_tower, width_of

TIMM = "timm:"
_RESNETS = "resnet18, resnet34, resnet50, resnet101, resnet152"
_VITS = "vit_b_16, vit_b_32, vit_l_16, vit_l_32, vit_h_14"
ENCODERS = ("conv", *_RESNETS.split(", "), *_VITS.split(", "))
"""Names that need no prefix."""
KNOWN = (
    f"conv; of torchvision {_RESNETS}, {_VITS}; timm:NAME[@pretrained or FILE]; "
    "open_clip:MODEL[@TAG or FILE]"
)
"""What a person may ask for."""


def build_encoder(name: str, image_px: int, pretrained: bool = True) -> tuple[nn.Module, int]:
    """Make an encoder of images from float [n, 3, image_px, image_px] to [n, width].

    Args:
        name: "conv" (1.2 M weights, quick on a CPU); a torchvision ResNet or ViT; "timm:NAME", any
            model of timm; "open_clip:MODEL", the tower of images of a CLIP. After an @ stand
            learnt weights: a file, for timm also "pretrained", for open_clip also a tag.
        image_px: side of the images.
        pretrained: False leaves learnt weights out.

    Returns:
        the encoder and its width.

    Raises:
        UsageError: no such encoder, it cannot take such images, or weights that are not there.
    """
    if name.startswith(OPEN_CLIP):
        return image_tower(name, image_px, pretrained)
    if name.startswith(TIMM):
        return _timm(name.removeprefix(TIMM), image_px, pretrained)
    if name not in ENCODERS:
        close = difflib.get_close_matches(name, ENCODERS, 1)
        meant = f" Did you mean {close[0]!r}?" if close else ""
        raise UsageError(f"encoder={name!r} is not known.{meant} Allowed: {KNOWN}.")
    if name == "conv":
        return _conv()
    return _resnet(name) if name.startswith("resnet") else _vit(name, image_px)


def _conv(width: int = 32) -> tuple[nn.Module, int]:
    # A stem of 4 x 4 patches: at full resolution a CPU spends its time moving activations.
    layers: list[nn.Module] = [*_block(3, width, stride=4, size=4), *_block(width, width)]
    channels = width
    for stage in range(1, 4):
        out = width << stage
        layers += _block(channels, out, stride=2) + _block(out, out)
        channels = out
    layers += [nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    return nn.Sequential(*layers), channels


def _block(channels: int, out: int, stride: int = 1, size: int = 3) -> list[nn.Module]:
    # Groups, not batches, are normalised: features of an image are the same in any company.
    convolution = nn.Conv2d(channels, out, size, stride, padding=size % 2, bias=False)
    return [convolution, nn.GroupNorm(8, out), nn.ReLU(inplace=True)]


def _resnet(name: str) -> tuple[nn.Module, int]:
    import torchvision

    net: Any = torchvision.models.get_model(name, weights=None)
    width = int(net.fc.in_features)
    net.fc = nn.Identity()
    return net, width


def _vit(name: str, image_px: int) -> tuple[nn.Module, int]:
    import torchvision

    patch = int(name.rpartition("_")[2])
    if image_px % patch:
        raise UsageError(
            f"image_px={image_px}, but {name} cuts images into patches of {patch} px: "
            f"a multiple is needed, such as {patch * max(image_px // patch, 1)}."
        )
    net: Any = torchvision.models.get_model(name, weights=None, image_size=image_px)
    net.heads = nn.Identity()
    return net, int(net.hidden_dim)


def _timm(name: str, image_px: int, pretrained: bool) -> tuple[nn.Module, int]:
    import timm

    name, _, weights = name.partition("@")
    if not timm.is_model(name):
        close = ", ".join(timm.list_models(f"*{name.partition('_')[0]}*")[:5])
        raise UsageError(f"timm has no model {name!r}.{f' It has: {close}, ...' if close else ''}")
    file = weights not in ("", "pretrained")
    if pretrained and file and not Path(weights).is_file():
        raise UsageError(f"encoder=timm:{name}@{weights}: neither 'pretrained' nor a file.")
    settings = timm.get_pretrained_cfg(name, allow_unregistered=True)
    more: dict[str, Any] = {}
    if settings is not None and settings.fixed_input_size:
        more["img_size"] = image_px
    if pretrained and weights == "pretrained":
        more["pretrained"] = True
    elif pretrained and file:
        more["checkpoint_path"] = weights
    try:
        net: Any = timm.create_model(name, num_classes=0, **more)
    except (AssertionError, ValueError, RuntimeError, OSError) as error:
        raise UsageError(f"encoder=timm:{name} at {image_px} px: {error}") from error
    if weights:
        net = Adapted(net, net.default_cfg["mean"], net.default_cfg["std"])
    return net, width_of(net, image_px, TIMM + name)
