"""Hard pairs: near the anchor's pair in picture and in text at once, out of a random pool."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from pydantic import Field

from ....manifests.fingerprint import draw_uniform
from ....manifests.schema import NO_ID, Role
from ..base import TAKEN, Block, Decisions, Miner, Pool, contains
from ..base_lists import ranks_of, similarities_to

_ANCHORS = 256
"""Anchors whose pools are held at a time."""


class Helip(Miner):
    """The pairs of a random pool that agree most with the anchor's pair in both modalities.

    Wang et al., Getting More Juice Out of Your Data: Hard Pair Refinement Enhances Visual-Language
    Models Without Extra Data (HELIP), 2025 (arXiv 2305.05208), §3.2: a pair of picture and caption
    is one point of a joint space, and the pairs nearest to it are its hard pairs; fast mining looks
    at a random pool of p pairs only. Agreement of pairs i and j:

        a_ij = max(s_image_ij, 0) * max(s_text_ij, 0)

    `pool` samples of the anchor's split are drawn evenly, with replacement; positives, false
    negatives and near-duplicates of the anchor are passed over. The `count` of LARGEST agreement
    are taken, largest first, ties by id; what agrees in nothing is no hard pair. The agreement is
    column `corrected_similarity`; `similarity` is that of the pictures.

    Fidelity: exact, as the paper mines with frozen encoders too. How it joins the two similarities
    was not in the text that this was written from; the product follows the paper's kernel form.

    Traps: a public port sorts agreement upwards and so mines the easiest. A product of two
    negative cosines is positive, hence the cut at 0. Samples of one caption are hard pairs by this
    rule; they are false negatives, for a miner of those to find first.
    Every pair of a pool is measured: with 1024 a core does about a thousand anchors a second.
    """

    role = Role.NEGATIVE
    fidelity = "exact"
    paper = (
        "Wang et al., Getting More Juice Out of Your Data: Hard Pair Refinement Enhances "
        "Visual-Language Models Without Extra Data (HELIP), 2025"
    )

    image: str = Field(default="image", pattern=r"^[^>]+$")
    """Space of the pictures."""
    caption: str = Field(default="caption", pattern=r"^[^>]+$")
    """Space of the texts."""
    pool: int = Field(default=1024, ge=1, le=65536)
    """p: samples that are drawn for each anchor."""
    count: int = Field(default=3, ge=1, le=1024)
    """Hard pairs of an anchor."""

    @property
    def columns(self) -> Sequence[str]:
        """What keeps splits and duplicates apart."""
        return ("split", "group_id")

    @property
    def space_names(self) -> Sequence[str]:
        """The two spaces."""
        return tuple(dict.fromkeys((self.image, self.caption)))

    @property
    def edge_space(self) -> str:
        """Pictures against pictures."""
        return f"{self.image}>{self.image}"

    @property
    def measured_pairs(self) -> int:
        """The pool in both spaces."""
        return 2 * self.pool

    @property
    def capacity(self) -> int:
        """As many as are taken."""
        return self.count

    def mine(self, block: Block) -> Decisions:
        """Draw a pool for each anchor, measure it, take the best."""
        index = block.samples.rows_with("split", "group_id")
        whole = Pool.around(index, block.anchors[:, None], depth=1)
        shape = (len(block.anchors), self.count)
        ids = np.full(shape, NO_ID, np.int64)
        similarities, agreement = np.full((2, *shape), np.nan, np.float32)
        for start in range(0, shape[0], _ANCHORS):
            step = slice(start, start + _ANCHORS)
            found = self._best(block, whole, np.arange(shape[0])[step])
            ids[step], similarities[step], agreement[step] = found
        reasons = np.full(shape, TAKEN)
        return Decisions(ids, reasons, similarities, ranks_of(ids), corrected=agreement)

    def _best(self, block: Block, whole: Pool, rows: np.ndarray) -> tuple[np.ndarray, ...]:
        """Return ids, similarities of pictures and agreement, each [rows, count]; -1 and NaN."""
        anchors, pool = block.anchors[rows], whole.of(rows)
        uniform = draw_uniform(block.seed, anchors, "helip", self.pool)
        sizes = pool.sizes[:, None]
        drawn = pool.ids(np.where(sizes > 0, (uniform * sizes).astype(np.int64), NO_ID))
        known = (block.positives.ids[rows], block.false_negatives.ids[rows])
        drawn = np.where(contains(np.concatenate(known, axis=1), drawn), NO_ID, drawn)
        image, text = (
            similarities_to(block.vectors[name], block.vectors[name], anchors, drawn)
            for name in (self.image, self.caption)
        )
        agreement = np.where(drawn == NO_ID, 0, np.maximum(image, 0) * np.maximum(text, 0))
        agreement = np.nan_to_num(agreement, nan=0)
        order = np.lexsort((drawn, -agreement))
        ids, image, agreement = (
            np.take_along_axis(part, order, axis=1) for part in (drawn, image, agreement)
        )
        # A sample that was drawn twice stands beside itself.
        gone = agreement <= 0
        gone[:, 1:] |= ids[:, 1:] == ids[:, :-1]
        first = np.argsort(gone, axis=1, kind="stable")[:, : self.count]
        taken = ~np.take_along_axis(gone, first, axis=1)
        out = np.full((3, len(rows), self.count), np.nan)
        for place, part in enumerate((ids, image, agreement)):
            values = np.take_along_axis(part, first, axis=1)
            out[place, :, : first.shape[1]] = np.where(taken, values, np.nan)
        return np.nan_to_num(out[0], nan=NO_ID).astype(np.int64), out[1], out[2]
