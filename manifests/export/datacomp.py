"""`--to datacomp`: which samples of a DataComp pool are kept, as its resharder reads it.

    subset.npy    dtype "u8,u8": the uid of each kept sample as two halves, sorted, each once

Kept are the samples that every selector keeps (all, where a config selects none). The resharder
searches this file by bisection, and copies a sample as often as its uid stands there. A uid is the
corpus's own (column `uid`), or the key where that is 32 hex digits.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ..errors import DataError
from ..pairset import Pairset
from ..verdicts import kept_samples
from ._rows import split_mask
from .base import NOTES, Exported, Progress, Target, write_file

UID = np.dtype("u8,u8")
_HEX = "^[0-9a-fA-F]{32}$"


@dataclass(frozen=True)
class DataComp(Target):
    """A subset file of DataComp.

    Attributes:
        split: only samples of this split.
    """

    name: ClassVar[str] = "datacomp"

    def check(self, pairset: Pairset) -> None:
        """Refuse a corpus without uids."""
        if not any(len(halves) for halves, _ in self._uids(pairset)):
            raise DataError(
                f"no kept sample of {pairset.root} has a uid: neither column `uid` of samples nor "
                "the key holds 32 hex digits. A corpus from DataComp's tars has them in its json; "
                "name the field with --set corpus.fields.uid=json.uid and run again."
            )

    def fill(self, pairset: Pairset, out: Path, progress: Progress) -> Exported:
        """Write the subset; holds 16 bytes a kept sample."""
        file = out / "subset.npy"
        note, written = write_file(
            file, out / NOTES / "subset.npy.json", lambda path: self._put(pairset, path)
        )
        if written:
            progress(f"subset.npy: {note['rows']} uids")
        why = "no uid of 32 hex digits, or one that another sample has"
        return Exported(self.name, str(out), note["rows"], note["skipped"], 1, note["bytes"], why)

    def _put(self, pairset: Pairset, path: Path) -> dict[str, int]:
        parts, samples = [np.zeros((0, 2), np.uint64)], 0
        for halves, kept in self._uids(pairset):
            parts.append(halves)
            samples += kept
        uids = np.unique(np.concatenate(parts).view(UID).reshape(-1))
        with path.open("wb") as file:
            np.save(file, uids)
        return {"rows": len(uids), "skipped": samples - len(uids)}

    def _uids(self, pairset: Pairset) -> Iterator[tuple[np.ndarray, int]]:
        """Yield the uids of a row group, uint64 [n, 2], and how many samples it keeps."""
        kept = kept_samples(pairset) & split_mask(pairset, self.split)
        first = 0
        for table in pairset.tables("samples", ["key", "uid"]):
            mine = pa.array(kept[first : first + table.num_rows])
            first += table.num_rows
            chosen = table.filter(mine)
            texts = pc.call_function("coalesce", [chosen["uid"], chosen["key"]])
            options = pc.MatchSubstringOptions(_HEX)
            good = pc.call_function("match_substring_regex", [texts], options)
            digits = "".join(texts.filter(good).to_pylist())
            halves = np.frombuffer(bytes.fromhex(digits), ">u8").astype(np.uint64)
            yield halves.reshape(-1, 2), chosen.num_rows
