"""The anchor is its own positive: two views of one picture, made by the trainer."""

from __future__ import annotations

import numpy as np

from ....manifests.schema import NO_ID, Role
from ..base import TAKEN, Block, Decisions, Miner


class SelfAug(Miner):
    """Instance discrimination: the positive of an anchor is another view of itself.

    Chen et al., A Simple Framework for Contrastive Learning of Visual Representations (SimCLR),
    2020, eq. 1: the positive pair (i, j) are two augmentations of one image. The manifest names
    the anchor twice; which augmentations make the views is the trainer's.

    Trap: a row whose positive is the anchor is no pair of two pictures; a trainer that loads it
    twice without random views learns nothing from it.
    """

    role = Role.POSITIVE
    fidelity = "exact"
    paper = (
        "Chen et al., A Simple Framework for Contrastive Learning of Visual Representations, 2020"
    )
    allows_self = True

    only_missing: bool = False
    """Fill: only anchors that no earlier miner gave a positive."""

    @property
    def capacity(self) -> int:
        """One place, or none when it only fills a place that is empty."""
        return 0 if self.only_missing else 1

    def mine(self, block: Block) -> Decisions:
        """Take the anchor itself, in a list of one."""
        ids = block.anchors[:, None].copy()
        if self.only_missing:
            ids[(block.positives.ids != NO_ID).any(axis=1)] = NO_ID
        return Decisions(
            ids=ids,
            reasons=np.full(ids.shape, TAKEN),
            similarities=np.full(ids.shape, np.nan, np.float32),
            ranks=np.zeros(ids.shape, np.int32),
        )
