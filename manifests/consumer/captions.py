"""Pairs of an anchor's picture and its positive's caption: what the cross-modal losses train on.

A pair is a picture with a caption of its own sample (positives of `self_aug`) or of another one
(positives mined across modalities). Pairs without a caption are left out.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from .model import ContrastiveModel
from .shown import Told
from .step import Step


@dataclass(frozen=True)
class Captioned:
    """n pairs of a picture and a caption.

    Attributes:
        images: float32 [n, d], unit rows.
        texts: float32 [n, d], unit rows.
        allowed: bool [n, n]: whether picture i may be contrasted with caption j; the diagonal, a
            picture's own caption, is False.
        weight: float32 [n], sums to 1.
        rows: int64 [n], the row of the step that each pair comes from.
        image_ids: int64 [n], sample ids of the pictures.
        text_ids: int64 [n], sample ids of the captions.
    """

    images: Tensor
    texts: Tensor
    allowed: Tensor
    weight: Tensor
    rows: Tensor
    image_ids: Tensor
    text_ids: Tensor


def captioned(net: ContrastiveModel, tower: nn.Module, step: Step) -> Captioned | None:
    """Encode both sides; None where fewer than two pairs have captions."""
    batch = step.batch
    captions, (row, column) = batch.captions or [], step.positive_at
    places = batch.positive[step.rows][row, column]
    listed = places.tolist()
    kept = torch.tensor([bool(captions[place].strip()) for place in listed], device=row.device)
    row, places, share = row[kept], places[kept], step.positive_share[kept]
    if len(row) < 2:
        return None
    used = torch.unique(row)
    images = net(step.anchors()[used])[torch.searchsorted(used, row)]
    texts = tower(told(step, [captions[place] for place in places.tolist()], row))
    allowed = step.allowed(batch.sample_id[places], batch.groups[places])[row]
    image_ids = batch.sample_id[batch.anchor[step.rows][row]]
    return Captioned(
        images, texts, allowed, share / share.sum(), row, image_ids, batch.sample_id[places]
    )


def told(step: Step, texts: list[str], rows: Tensor) -> Told:
    """Return texts of rows (int64 [n], of `step.rows`) for a text tower."""
    if step.company is None:
        return Told(texts)
    held = step.company.of_rows(step.rows[rows])
    own = held.own.tolist()
    return Told([text for text, one in zip(texts, own, strict=True) if one], held)
