"""An artifact: one immutable folder that one stage wrote.

    <store>/<node>/<fingerprint>/part-00000.parquet   a file of a part, whole or not there
    <store>/<node>/<fingerprint>/part-00000.json      its receipt: rows, facts, bytes and sha256
    <store>/<node>/<fingerprint>/artifact.json        the commit record, written last

A part may have several files, told apart by what follows its name (`part-00000.ids.npy`).
A folder without `artifact.json` is unfinished; the parts whose receipts match their bytes are
kept by the next run. Nothing that varies between two equal runs (times, hosts) is stored here.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from . import storage, tables
from .errors import ArtifactIncomplete, ArtifactTorn
from .fingerprint import file_digest

COMMIT = "artifact.json"

Payload = pa.Table | np.ndarray | Path | Callable[[Path], None]
"""One file of a part: a table (Parquet), an array (.npy), a finished file that `Output.fill` left
in its scratch folder, or a function that writes it."""


@dataclass(frozen=True)
class Output:
    """What a worker makes of one task.

    Attributes:
        rows: rows of the part, as its readers count them.
        files: by suffix ("parquet", "npy", "ids.npy", "tar"), what is to be written.
        facts: small JSON facts about the part; equal runs give equal facts.
        log: small JSON facts of this run only (seconds, warnings); never stored in the artifact.
        fill: for parts whose files grow together while the input streams by. It is called once
            with an empty scratch folder on the store's disk and returns the true output; all the
            rest of this one but `log` is then ignored.
    """

    rows: int
    files: Mapping[str, Payload]
    facts: Mapping[str, Any] = field(default_factory=dict)
    log: Mapping[str, Any] = field(default_factory=dict)
    fill: Callable[[Path], Output] | None = None

    @classmethod
    def of(cls, table: pa.Table, **facts: Any) -> Output:
        """Return the output of a worker that makes one table."""
        return cls(table.num_rows, {"parquet": table}, facts)


@dataclass(frozen=True)
class Receipt:
    """Proof of one part: its rows, its facts, and name, bytes and sha256 of each file."""

    part: str
    rows: int
    files: tuple[Mapping[str, Any], ...]
    facts: Mapping[str, Any]

    def to_json(self) -> dict[str, Any]:
        """Return the receipt as it stands in the file."""
        return {
            "part": self.part,
            "rows": self.rows,
            "files": [dict(file) for file in self.files],
            "facts": dict(self.facts),
        }

    @classmethod
    def from_json(cls, body: Mapping[str, Any]) -> Receipt:
        """Read a receipt back."""
        return cls(body["part"], body["rows"], tuple(body["files"]), body["facts"])


@dataclass(frozen=True)
class Artifact:
    """A committed artifact: paths, receipts and facts, never rows.

    Travels to a worker as its path alone.
    """

    path: Path
    fingerprint: str
    receipts: tuple[Receipt, ...]
    facts: Mapping[str, Any]

    @classmethod
    def open(cls, path: Path) -> Artifact:
        """Open a committed artifact.

        Raises:
            ArtifactIncomplete: the folder has no commit record.
        """
        record = path / COMMIT
        if not record.exists():
            raise ArtifactIncomplete(f"{path} has no {COMMIT}: run the stage again to finish it.")
        body = json.loads(record.read_text())
        receipts = tuple(Receipt.from_json(item) for item in body["parts"])
        return cls(path, body["fingerprint"], receipts, body["facts"])

    def __reduce__(self) -> tuple[Callable[[Path], Artifact], tuple[Path]]:
        return (Artifact.open, (self.path,))

    @property
    def parts(self) -> tuple[str, ...]:
        """Names of the parts, in order."""
        return tuple(receipt.part for receipt in self.receipts)

    @property
    def rows(self) -> int:
        """Rows of all parts."""
        return sum(receipt.rows for receipt in self.receipts)

    def starts(self) -> np.ndarray:
        """Return int64 [parts + 1]: the row at which each part starts, and the total."""
        return np.cumsum([0, *(receipt.rows for receipt in self.receipts)], dtype=np.int64)

    def receipt(self, part: str) -> Receipt:
        """Return the receipt of a part."""
        return self.receipts[self.parts.index(part)]

    def file(self, part: str, suffix: str = "parquet") -> Path:
        """Return the path of one file of a part."""
        return self.path / f"{part}.{suffix}"

    def table(
        self, part: str, columns: Sequence[str] | None = None, suffix: str = "parquet"
    ) -> pa.Table:
        """Read one part's table, or some of its columns."""
        return tables.read_parquet(self.file(part, suffix), columns)

    def tables(self, columns: Sequence[str] | None = None) -> Iterator[pa.Table]:
        """Read the parts' tables one after the other."""
        for part in self.parts:
            yield self.table(part, columns)

    def column(self, name: str) -> np.ndarray:
        """Return one numeric or boolean column of all parts: N values, for columns that fit."""
        chunks = [table[name].to_numpy() for table in self.tables([name])]
        return np.concatenate(chunks) if chunks else np.zeros(0)

    def array(self, part: str, suffix: str = "npy") -> np.ndarray:
        """Memory-map one part's array, read-only."""
        return np.load(self.file(part, suffix), mmap_mode="r")


@dataclass(frozen=True)
class Draft:
    """An artifact that is being written; safe to open again after a crash."""

    path: Path

    def write(self, part: str, output: Output) -> Receipt:
        """Write one part's files whole or not at all, then its receipt; return the receipt."""
        if output.fill is not None:
            with storage.scratch_folder(self.path / part) as folder:
                return self.write(part, output.fill(folder))
        files = []
        for suffix, payload in sorted(output.files.items()):
            target = self.path / f"{part}.{suffix}"
            storage.write_atomically(target, lambda path, what=payload: _write(what, path))
            digest = file_digest(target)
            files.append({"name": target.name, "bytes": target.stat().st_size, "sha256": digest})
        receipt = Receipt(part, output.rows, tuple(files), dict(output.facts))
        storage.write_json(self.path / f"{part}.json", receipt.to_json())
        return receipt

    def receipt(self, part: str) -> Receipt | None:
        """Return the receipt of a part whose bytes still match it, else None."""
        note = self.path / f"{part}.json"
        try:
            receipt = Receipt.from_json(json.loads(note.read_text()))
        except (OSError, ValueError, KeyError):
            return None
        for file in receipt.files:
            path = self.path / file["name"]
            if not path.exists() or path.stat().st_size != file["bytes"]:
                return None
            if file_digest(path) != file["sha256"]:
                return None
        return receipt

    def commit(
        self, fingerprint: str, receipts: Sequence[Receipt | None], facts: Mapping[str, Any]
    ) -> Artifact:
        """Write the commit record; from here on the folder never changes.

        Raises:
            ArtifactTorn: a receipt is missing.
        """
        missing = sum(receipt is None for receipt in receipts)
        if missing:
            raise ArtifactTorn(
                f"{self.path}: {missing} of {len(receipts)} parts are missing or altered. "
                "Run the same command again; only these are made anew."
            )
        body = {
            "fingerprint": fingerprint,
            "parts": [receipt.to_json() for receipt in receipts if receipt],
            "facts": dict(facts),
        }
        storage.sweep_scratch(self.path)
        storage.write_json(self.path / COMMIT, body)
        return Artifact.open(self.path)


def _write(payload: Payload, path: Path) -> None:
    if isinstance(payload, pa.Table):
        tables.write_parquet(payload, path)
    elif isinstance(payload, np.ndarray):
        with path.open("wb") as file:
            np.save(file, payload, allow_pickle=False)
    elif isinstance(payload, Path):
        os.replace(payload, path)
    else:
        payload(path)
