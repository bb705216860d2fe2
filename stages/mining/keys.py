"""Which sample has which key: for files of people and oracles, which name samples by key."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ...manifests.artifact import Artifact
from ...manifests.fingerprint import key_hashes
from ...manifests.schema import NO_ID


@dataclass(frozen=True)
class KeyIds:
    """Ids of the keys that were asked for: 24 bytes a key; the corpus's keys are never held.

    Attributes:
        names: two uint64 a key as one sortable item [keys], ascending.
        found: int64 [keys], the sample of each; -1 where none has the key.
    """

    names: np.ndarray
    found: np.ndarray

    @classmethod
    def none(cls) -> KeyIds:
        """Return ids of no keys."""
        return cls(_names([]), np.zeros(0, np.int64))

    @classmethod
    def of(cls, samples: Artifact, keys: Sequence[str]) -> KeyIds:
        """Look for keys in `samples`, one part at a time."""
        names = np.unique(_names(keys))
        found = np.full(len(names), NO_ID, np.int64)
        first = 0
        for part in samples.parts if len(names) else ():
            here = _names(samples.table(part, ["key"])["key"].to_pylist())
            at = np.minimum(np.searchsorted(names, here), len(names) - 1)
            hit = np.flatnonzero(names[at] == here)
            found[at[hit]] = first + hit
            first += len(here)
        return cls(names, found)

    def ids(self, keys: Sequence[str]) -> np.ndarray:
        """Return the sample of each key, int64 [n]; -1 for a key that no sample has."""
        if not len(self.names):
            return np.full(len(keys), NO_ID, np.int64)
        wanted = _names(keys)
        at = np.minimum(np.searchsorted(self.names, wanted), len(self.names) - 1)
        return np.where(self.names[at] == wanted, self.found[at], NO_ID)


def _names(keys: Sequence[str]) -> np.ndarray:
    """Return the 128-bit names of keys as records that can be sorted."""
    return np.ascontiguousarray(key_hashes(keys)).view([("high", "<u8"), ("low", "<u8")])[:, 0]
