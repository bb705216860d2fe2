"""Large batches on small cards: an encoder takes a batch a chunk at a time."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from ..errors import UsageError
from .distributed import has_batch_norm


def in_chunks(encoder: nn.Module, rows: Tensor, chunk: int) -> Tensor:
    """Encode rows a chunk at a time, with the memory of one chunk's activations.

    This is cached contrastive training (GradCache, Gao et al. 2021, §3.2): a chunk goes forward
    and only its features are kept; the loss over all of them gives each feature's gradient; on the
    way back each chunk goes forward anew, with the same draws of dropout, and backward at once.
    Gradients are those of the whole batch at about 4/3 of the time. (Adding up gradients of small
    batches is another loss: a small batch has fewer negatives.)

    Args:
        encoder: from [n, ...] to [n, d], each row by itself.
        rows: [n, ...].
        chunk: rows at a time; 0 for all at once.
    """
    if not chunk or len(rows) <= chunk:
        return encoder(rows)
    if not torch.is_grad_enabled():
        return torch.cat([encoder(part) for part in rows.split(chunk)])
    return torch.cat([_replayed(encoder, part) for part in rows.split(chunk)])


def _replayed(encoder: nn.Module, rows: Tensor) -> Tensor:
    features: Any = checkpoint(encoder, rows, use_reentrant=False)
    return features


def check_chunks(encoder: nn.Module, name: str, chunk: int) -> None:
    """Refuse chunks where rows of a batch change each other.

    Raises:
        UsageError: the encoder has batch norms.
    """
    if chunk and has_batch_norm(encoder):
        raise UsageError(
            f"chunk={chunk}, but encoder {name!r} has batch norms: a chunk would be normalised by "
            "itself, which is another model. Take one without (conv, a ViT, timm:resnet50_gn, "
            "timm:convnext_tiny), or chunk=0."
        )
