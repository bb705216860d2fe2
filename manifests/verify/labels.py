"""Labels of all samples as numbers, for the rules that compare them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..pairset import Pairset


@dataclass(frozen=True)
class Labels:
    """Codes of labels: those of sample i are codes[starts[i] : starts[i + 1]], in order."""

    starts: np.ndarray
    codes: np.ndarray

    @classmethod
    def of(cls, pairset: Pairset) -> Labels:
        """Read column `labels`: 8 bytes a sample and 4 bytes a label."""
        known: dict[str, int] = {}
        starts, codes = [np.zeros(1, np.int64)], [np.zeros(0, np.int32)]
        for table in pairset.tables("samples", ["labels"]):
            lists = table["labels"].combine_chunks()
            lengths = np.diff(lists.offsets.to_numpy())
            starts.append(starts[-1][-1] + np.cumsum(lengths))
            names = lists.flatten().dictionary_encode()
            number = [known.setdefault(name, len(known)) for name in names.dictionary.to_pylist()]
            codes.append(np.array(number, np.int32)[names.indices.to_numpy()])
        return cls(np.concatenate(starts), np.concatenate(codes))

    def shares(self, left: np.ndarray, right: np.ndarray, *, first_only: bool) -> np.ndarray:
        """Say for each pair of samples whether they share a label, bool [n].

        With `first_only`, whether their first labels are the same.
        """
        found = np.zeros(len(left), bool)
        sizes = [np.diff(self.starts)[ids] for ids in (left, right)]
        for one in range(1 if first_only else int(sizes[0].max(initial=0))):
            for two in range(1 if first_only else int(sizes[1].max(initial=0))):
                there = np.flatnonzero((sizes[0] > one) & (sizes[1] > two) & ~found)
                first = self.codes[self.starts[left[there]] + one]
                found[there] = first == self.codes[self.starts[right[there]] + two]
        return found
