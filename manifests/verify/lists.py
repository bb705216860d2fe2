"""Neighbour lists by sample_id, a few row groups held at a time."""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path

import numpy as np

from ..pairset import Pairset
from ..schema import NEIGHBORS_PREFIX, list_matrix
from ..tables import open_parquet

_HELD = 8


class NeighborLists:
    """The lists of one published graph; cheapest for ids that stand near each other."""

    def __init__(self, pairset: Pairset, graph: str) -> None:
        self.width = int(pairset.manifest["neighbors"][graph]["k"])
        self._groups: list[tuple[Path, int]] = []
        starts = [0]
        for path in pairset.files(NEIGHBORS_PREFIX + graph):
            with open_parquet(path) as file:
                footer = file.metadata
            for number in range(footer.num_row_groups):
                self._groups.append((path, number))
                starts.append(starts[-1] + footer.row_group(number).num_rows)
        self._starts = np.array(starts)
        self._held: OrderedDict[int, tuple[np.ndarray, np.ndarray]] = OrderedDict()

    def rows(self, ids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return neighbour ids int64 [n, k] and similarities float32 [n, k] of samples [n]."""
        out = np.empty((len(ids), self.width), np.int64)
        similarities = np.empty((len(ids), self.width), np.float32)
        group = np.searchsorted(self._starts, ids, side="right") - 1
        for number in np.unique(group).tolist():
            listed, found = self._group(number)
            at = np.flatnonzero(group == number)
            inside = ids[at] - self._starts[number]
            out[at], similarities[at] = listed[inside], found[inside]
        return out, similarities

    def _group(self, number: int) -> tuple[np.ndarray, np.ndarray]:
        if number not in self._held:
            path, place = self._groups[number]
            with open_parquet(path) as file:
                table = file.read_row_group(place, columns=["neighbor_ids", "similarities"])
            self._held[number] = (
                list_matrix(table["neighbor_ids"], self.width),
                list_matrix(table["similarities"], self.width),
            )
            if len(self._held) > _HELD:
                self._held.popitem(last=False)
        self._held.move_to_end(number)
        return self._held[number]
