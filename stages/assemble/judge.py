"""How many negatives are of the anchor's own kind, as far as labels or captions can tell."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...manifests.agreement import Agreement, similarities
from ...manifests.artifact import Artifact
from ...manifests.codes import encode
from ...manifests.schema import NO_ID
from ...manifests.vectors import VectorStore
from .rows import Chosen

CAPTIONED = 512
"""Rows of a part whose negatives are judged by captions: each costs two vectors."""


@dataclass(frozen=True)
class Judge:
    """What a corpus offers to judge a pair.

    Attributes:
        labels: int32 [N] codes of first labels, -1 where missing.
        captions: caption space and cut; None where there is none.
    """

    labels: np.ndarray
    captions: tuple[VectorStore, Agreement] | None

    @classmethod
    def of(cls, samples: Artifact, captions: tuple[VectorStore, Agreement] | None) -> Judge:
        """Read the labels of all samples: 4 bytes each."""
        known: dict[str, int] = {}

        def code(label: str | None) -> int:
            return NO_ID if label is None else known.setdefault(label, len(known))

        parts = []
        for table in samples.tables(["label"]):
            parts.append(encode(table["label"], code).astype(np.int32))
        labels = np.concatenate(parts) if parts else np.zeros(0, np.int32)
        # One label for everything tells nothing apart.
        return cls(labels if len(known) > 1 else np.full_like(labels, NO_ID), captions)

    def facts(self, anchors: np.ndarray, negatives: Chosen, fillers: np.ndarray) -> dict[str, int]:
        """Count judged and false negatives, of all miners and of those that do not fill.

        Args:
            anchors: int64 [A].
            negatives: their lists.
            fillers: codes of the miners that fill.
        """
        row, place = np.nonzero(negatives.ids != NO_ID)
        others, hard = negatives.ids[row, place], ~np.isin(negatives.kinds[row, place], fillers)
        a, b = self.labels[anchors[row]], self.labels[others]
        judged = (a != NO_ID) & (b != NO_ID)
        facts = _counts("label", judged, judged & (a == b), hard)
        cut = self.captions[1].cut if self.captions else None
        few = row < CAPTIONED
        row, others, hard = row[few], others[few], hard[few]
        cosines = np.full(len(row), np.nan, np.float32)
        if self.captions and cut is not None:
            cosines = similarities(self.captions[0], anchors[row], others)
        same = cosines >= (cut if cut is not None else np.inf)
        return facts | _counts("caption", ~np.isnan(cosines), same, hard)


def _counts(source: str, judged: np.ndarray, false: np.ndarray, hard: np.ndarray) -> dict[str, int]:
    return {
        f"negatives_judged_by_{source}": int(judged.sum()),
        f"negatives_false_by_{source}": int(false.sum()),
        f"hard_judged_by_{source}": int((judged & hard).sum()),
        f"hard_false_by_{source}": int((false & hard).sum()),
    }
