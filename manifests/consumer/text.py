"""A small tower for captions: hashed words and pairs of words, their mean, a projection head.

A reference that any caption in any language can be put through without a tokeniser; a trainer that
means it takes a transformer in its place.
"""

from __future__ import annotations

import itertools
import re

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from ..fingerprint import key_hashes
from .shown import Told

BUCKETS = 1 << 14
"""Rows of the table of words."""
_WIDTH = 256


class TextTower(nn.Module):
    """From captions to unit rows.

    Args:
        projection: width of what the loss compares.
    """

    def __init__(self, projection: int) -> None:
        super().__init__()
        self.words = nn.EmbeddingBag(BUCKETS, _WIDTH, mode="mean")
        self.head = nn.Sequential(
            nn.Linear(_WIDTH, _WIDTH),
            nn.BatchNorm1d(_WIDTH),
            nn.ReLU(inplace=True),
            nn.Linear(_WIDTH, projection),
        )

    def forward(self, told: Told) -> Tensor:
        """Return float32 [n, projection], unit rows."""
        bags = [word_ids(caption) for caption in told.texts]
        starts = np.cumsum([0, *map(len, bags)])[: len(bags)]
        device = self.words.weight.device
        ids = torch.from_numpy(np.concatenate([*bags, np.zeros(0, np.int64)])).to(device)
        means = self.words(ids, torch.from_numpy(starts).to(device))
        if told.holders is not None:
            means = told.holders.gather(means)
        return functional.normalize(self.head(means), dim=1)


def word_ids(caption: str) -> np.ndarray:
    """Return int64 ids of a caption's words and pairs of neighbouring words, in [0, BUCKETS)."""
    words = re.findall(r"\w+", caption.lower())
    pairs = [f"{left} {right}" for left, right in itertools.pairwise(words)]
    return (key_hashes([*words, *pairs])[:, 0] % np.uint64(BUCKETS)).astype(np.int64)
