"""First captions by sample id, out of a scratch file: any order, never all in memory."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa

from ..pairset import Pairset


class FirstCaptions:
    """The first caption of each sample; holds 8 bytes a sample, the texts are memory-mapped.

    Args:
        pairset: whose captions.
        file: scratch file that takes the texts; the caller removes it.
    """

    def __init__(self, pairset: Pairset, file: Path) -> None:
        ends = [np.zeros(1, np.int64)]
        with file.open("wb") as out:
            for table in pairset.tables("samples", ["caption"]):
                texts = table["caption"].combine_chunks()
                texts = texts.fill_null("").cast(pa.large_string())
                _, offsets, data = texts.buffers()
                bounds = np.frombuffer(offsets, np.int64)[texts.offset :][: len(texts) + 1]
                if data is not None:
                    out.write(memoryview(data)[int(bounds[0]) : int(bounds[-1])])
                ends.append(bounds[1:] - bounds[0] + ends[-1][-1])
        self._ends = np.concatenate(ends)
        empty = self._ends[-1] == 0
        self._data = np.zeros(0, np.uint8) if empty else np.memmap(file, np.uint8, "r")

    def text(self, sample_id: int) -> str:
        """Return the first caption of a sample, "" where it has none."""
        first, behind = self._ends[sample_id], self._ends[sample_id + 1]
        return self._data[first:behind].tobytes().decode()
