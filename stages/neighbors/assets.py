"""How near a generated picture is to its anchor, and to what else it is near."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from pydantic import Field

from ...manifests.agreement import random_similarities
from ...manifests.artifact import Output
from ...manifests.schema import NO_ID
from ...manifests.vectors import Rows, VectorStore, pair_similarity, widen
from ..base import Inputs, Resources, Runtime, Stage, Task, Worker, task_per_part
from .exact import Device
from .folds import fold, split_codes
from .graph import group_ids
from .index import equal_rows
from .join import exact_search, file_search, search_resources

_NOBODY = -2
QUANTILES = 1000
"""The random pairs' similarities are told at so many equal steps."""


class AssetNeighbors(Stage):
    """Measures every asset: its cosine to its anchor, and the nearest sample of another group.

    The nearest is looked for in the anchor's split among the asset's `k` nearest samples; if all
    of those are near-duplicates of the anchor, there is none.

    Inputs: `assets` (key, anchor_id), `query` (vectors of the assets), `bank` (of the samples),
    `index` (of the bank's space), `samples`, `groups`.
    Files of a part: "sims.npy" float32 [rows] (NaN where one of the two has no vector),
    "nearest.npy" int64 [rows] (-1 for none), "nearest_sims.npy" float32 [rows].
    Facts: random, the similarities of random pairs of samples at 0, 1/1000, ..., 1 of their order
    (1001 numbers; none in a corpus of one), so that a gate can say "nearer than random ones".

    Attributes:
        space: name of the space.
        k: samples that are looked at.
        device: "auto" takes a GPU when FAISS sees one; only for exact search.
    """

    space: str
    k: int = Field(default=32, ge=1)
    device: Annotated[Device, Runtime()] = "auto"

    def plan(self, inputs: Inputs) -> list[Task]:
        """Plan one task for each part of the assets."""
        return task_per_part(inputs["query"])

    def resources(self, inputs: Inputs) -> Resources:
        """What a worker of the join occupies."""
        return search_resources(inputs, self.k, self.device)

    def open(self, inputs: Inputs) -> Worker:
        """Open the bank, and measure random pairs."""
        index, bank = inputs["index"], Rows.of(inputs["bank"])
        splits = split_codes(inputs["samples"])
        groups = group_ids(inputs["groups"])
        folds = fold(bank, equal_rows(index), splits)
        known = index.receipts[0].facts
        if known["exact"]:
            search = exact_search(folds, self.device)
        else:
            search = file_search(index, folds, known["nprobe"])
        store = VectorStore(self.space, bank)
        facts = {"random": _quantiles(random_similarities(store))}

        def run(task: Task) -> Output:
            vectors = widen(inputs["query"].array(task.part))
            anchors = inputs["assets"].table(task.part, ["anchor_id"])["anchor_id"].to_numpy()
            own = store.rows(anchors)
            there = vectors.any(axis=1) & own.any(axis=1)
            sims = np.where(there, pair_similarity(vectors, own), np.nan).astype(np.float32)
            asked = np.flatnonzero(vectors.any(axis=1))
            ids = np.full((len(vectors), self.k), NO_ID, np.int64)
            found = np.zeros((len(vectors), self.k), np.float32)
            if len(asked):
                lists = search(vectors[asked], splits[anchors[asked]], self.k + 1)
                nobody = np.full(len(asked), _NOBODY)
                ids[asked], found[asked] = folds.unfold(*lists, nobody, self.k)
            other = (ids != NO_ID) & (groups[ids] != groups[anchors][:, None])
            at = other.argmax(axis=1)[:, None]
            any_other = other.any(axis=1)
            nearest = np.where(any_other, np.take_along_axis(ids, at, 1)[:, 0], NO_ID)
            value = np.where(any_other, np.take_along_axis(found, at, 1)[:, 0], np.float32(0))
            files = {"sims.npy": sims, "nearest.npy": nearest, "nearest_sims.npy": value}
            return Output(len(sims), files, facts)

        return run


def _quantiles(ascending: np.ndarray) -> list[float]:
    if not len(ascending):
        return []
    places = np.linspace(0, len(ascending) - 1, QUANTILES + 1).round().astype(np.int64)
    return [float(value) for value in ascending[places]]
