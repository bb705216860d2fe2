"""Captions of anchors and of their near-duplicates, for miners that read texts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from ...manifests.artifact import Artifact
from ..base import Inputs


@dataclass(frozen=True)
class Captions:
    """Captions by part, and those of samples that have near-duplicates.

    Held: 8 bytes a sample that has near-duplicates, and the captions of those; all others are read
    part by part.

    Attributes:
        samples: one table a part.
        groups: int64 [N], memory-mapped.
        twins: by group with more than one sample: (sample_id, captions) of each.
    """

    samples: Artifact
    groups: np.ndarray
    twins: dict[int, list[tuple[int, Sequence[str]]]]

    @classmethod
    def of(cls, inputs: Inputs) -> Captions:
        """Open the captions of artifacts `samples` and `groups`."""
        samples, artifact = inputs["samples"], inputs["groups"]
        groups = artifact.array(artifact.parts[0])
        # A group is named after its smallest sample, so whoever else is in it has another id.
        member = np.flatnonzero(groups != np.arange(len(groups)))
        known = np.union1d(member, groups[member])
        twins: dict[int, list[tuple[int, Sequence[str]]]] = {}
        starts = samples.starts()
        for part, low, high in zip(samples.parts, starts, starts[1:], strict=False):
            inside = known[(known >= low) & (known < high)]
            if len(inside):
                texts = samples.table(part, ["captions"])["captions"].take(inside - low).to_pylist()
                for sample, captions in zip(inside.tolist(), texts, strict=True):
                    twins.setdefault(int(groups[sample]), []).append((sample, captions))
        return cls(samples, groups, twins)

    def own(self, part: str, rows: np.ndarray) -> list[list[str]]:
        """Return all captions of some rows of a part."""
        return self.samples.table(part, ["captions"])["captions"].take(pa.array(rows)).to_pylist()

    def of_twins(self, anchors: np.ndarray) -> list[list[str]]:
        """Return all captions of the near-duplicates of each anchor."""
        groups = np.asarray(self.groups[anchors]).tolist()
        return [
            [
                text
                for other, texts in self.twins.get(group, ())
                if other != anchor
                for text in texts
            ]
            for anchor, group in zip(anchors.tolist(), groups, strict=True)
        ]
