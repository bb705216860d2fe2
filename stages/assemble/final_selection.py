"""The published table `selection`: the verdict of every selector about every sample."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pyarrow as pa

from ...manifests.artifact import Artifact
from ...manifests.schema import NO_ID
from ...manifests.selection import DROP_CODE, DROPS, SELECTION, Drop
from ..base import Inputs
from .final import Final


class FinalSelection(Final):
    """`selection`. Inputs: samples (for its parts), select:<id> of every selector."""

    selectors: tuple[str, ...]
    """Ids of the selectors, in the order of the config."""

    @property
    def name(self) -> str:
        """Name of the table."""
        return "selection"

    def source(self, inputs: Inputs) -> Artifact:
        """The samples."""
        return inputs["samples"]

    def rows(self, source: Artifact) -> list[int]:
        """One row a sample and selector."""
        return [receipt.rows * len(self.selectors) for receipt in source.receipts]

    def layout(self, inputs: Inputs) -> pa.Schema:
        """SELECTION."""
        del inputs
        return SELECTION

    def table(self, inputs: Inputs, part: str, first: int) -> pa.Table:
        """The verdicts about the samples of a part."""
        many = len(self.selectors)
        ids = first // many + np.arange(inputs["samples"].receipt(part).rows)
        found = [_verdicts(inputs[f"select:{name}"], ids) for name in self.selectors]
        drops, scores, witnesses = (
            np.stack([one[what] for one in found], axis=1).reshape(-1)
            for what in ("drops", "scores", "witnesses")
        )
        names = np.tile(np.arange(many, dtype=np.int32), len(ids))
        columns = {
            "sample_id": pa.array(np.repeat(ids, many)),
            "selector": pa.array(self.selectors, pa.string()).take(pa.array(names)),
            "score": pa.array(scores, from_pandas=True),
            "kept": pa.array(drops == DROP_CODE[Drop.KEPT]),
            "reason": pa.array([str(drop) for drop in DROPS]).take(pa.array(drops)),
            "witness": pa.array(witnesses, mask=witnesses == NO_ID),
        }
        return pa.table([columns[name] for name in SELECTION.names], schema=SELECTION)


def _verdicts(verdict: Artifact, ids: np.ndarray) -> Mapping[str, np.ndarray]:
    """Return drops uint8, scores float32 (NaN for none) and witnesses int64 (-1) of samples."""
    part = verdict.parts[0]
    found = {
        "scores": np.full(len(ids), np.nan, np.float32),
        "witnesses": np.full(len(ids), NO_ID, np.int64),
    }
    for name in ("drops", "scores", "witnesses"):
        if verdict.file(part, f"{name}.npy").exists():
            found[name] = np.asarray(verdict.array(part, f"{name}.npy")[ids])
    return found
