"""A published pairset: `manifest.json` and the files that it lists. Readers never list folders."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from . import schema, storage, tables
from .errors import PairsetError
from .vectors import Rows, VectorStore, starts_of

MANIFEST = "manifest.json"
IMAGES = "images"
"""Folder of the tars that a pairset holds itself, because its corpus was in none."""
ASSETS = "assets"
"""Folder of generated pictures: their table, their tars, and their embeddings."""
PLANS = "plans"
"""Folder of the plans of batches."""
PEOPLE = "people"
"""Folder of what people and oracles said, as the miners read it."""
QUESTIONS = "questions.jsonl"
"""File of questions to oracles and their answers: it grows beside the pairset, no run touches it
and the manifest does not list it."""
FOLDERS = (
    *("samples", "rejects", "selection", "edges", "pairs", "neighbors", "clusters", "embeddings"),
    *("index", PLANS),
    IMAGES,
    ASSETS,
    PEOPLE,
)
"""Folders that hold only what the manifest lists."""


def own_shard(part: str) -> str:
    """Return the name in `samples` of a tar that the pairset holds itself."""
    return f"{IMAGES}/{part}.tar"


@dataclass(frozen=True)
class Pairset:
    """An opened pairset; holds the manifest's JSON, never rows.

    Attributes:
        root: the folder of the pairset.
        manifest: the parsed `manifest.json`.
    """

    root: Path
    manifest: Mapping[str, Any]

    @classmethod
    def open(cls, root: str | Path) -> Pairset:
        """Open the pairset in a folder.

        Raises:
            PairsetError: no manifest (an unfinished run), or one of another format.
        """
        folder = storage.local_path(str(root))
        path = folder / MANIFEST
        if not path.exists():
            unfinished = (folder / ".store").exists()
            hint = (
                "The run there did not finish: run the same `curate run` command again."
                if unfinished
                else "Make one with: curate run CORPUS -o OUT"
            )
            raise PairsetError(f"{folder} holds no {MANIFEST}, so it is not a pairset. {hint}")
        try:
            manifest = json.loads(path.read_text())
        except ValueError as error:
            raise PairsetError(f"{path} is not JSON: {error}.") from error
        found = manifest.get("format") if isinstance(manifest, dict) else None
        if found != schema.FORMAT:
            raise PairsetError(f"{path}: format {found!r}; this version reads {schema.FORMAT!r}.")
        return cls(folder.absolute(), manifest)

    @property
    def manifest_id(self) -> str:
        """The name of these pairs: "sha256:" over the manifest's canonical body."""
        return str(self.manifest["manifest_id"])

    @property
    def counts(self) -> Mapping[str, int]:
        """samples, rejects, edges, pairs, and the list lengths P, K, F."""
        return self.manifest["counts"]

    def files(self, table: str) -> list[Path]:
        """Return the Parquet files of a table in order.

        Args:
            table: "samples", "rejects", "edges", "pairs", "selection", "neighbors/<graph>" or
                "clusters/<name>".
        """
        listed = self.manifest["tables"].get(table)
        if listed is None:
            known = ", ".join(sorted(self.manifest["tables"]))
            raise PairsetError(f"{self.root} has no table {table!r}; it has: {known}.")
        return [self.root / entry["path"] for entry in listed]

    def tables(self, table: str, columns: Sequence[str] | None = None) -> Iterator[pa.Table]:
        """Read a table row group by row group (8192 rows at a time)."""
        for path in self.files(table):
            with tables.open_parquet(path) as file:
                for group in range(file.num_row_groups):
                    yield file.read_row_group(group, columns=list(columns) if columns else None)

    def table(self, table: str, columns: Sequence[str] | None = None) -> pa.Table:
        """Read a whole table, or some of its columns: for columns that fit in memory."""
        return pa.concat_tables([tables.read_parquet(path, columns) for path in self.files(table)])

    def vectors(self, space: str) -> VectorStore:
        """Open the embeddings of a space, memory-mapped."""
        entry = self.manifest["embeddings"].get(space)
        if entry is None:
            known = ", ".join(sorted(self.manifest["embeddings"])) or "none"
            raise PairsetError(f"{self.root} has no space {space!r}; it has: {known}.")
        files = tuple(self.root / item["path"] for item in entry["files"])
        return VectorStore(space, Rows(files, starts_of([f["rows"] for f in entry["files"]])))

    def plan_entry(self, name: str) -> Mapping[str, Any]:
        """Return what the manifest says of a plan of batches.

        Raises:
            PairsetError: there is no such plan.
        """
        plans = {entry["name"]: entry for entry in self.manifest.get("plans", ())}
        if name not in plans:
            known = ", ".join(sorted(plans)) or "none"
            raise PairsetError(f"{self.root} has no plan {name!r}; it has: {known}.")
        return plans[name]

    def plan(self, name: str) -> np.ndarray:
        """Map the batches of a plan, read-only int64 [batches, size] of pair_id.

        Raises:
            PairsetError: there is no such plan.
        """
        return np.load(self.root / self.plan_entry(name)["path"], mmap_mode="r", allow_pickle=False)

    def plan_negatives(self, name: str) -> np.ndarray | None:
        """Map the negatives that a plan drew, read-only int64 [batches, size, h] of sample_id.

        They belong to the pairs at the same places of the plan; -1 is padding. None without any.

        Raises:
            PairsetError: there is no such plan.
        """
        entry = self.plan_entry(name).get("negatives")
        if entry is None:
            return None
        return np.load(self.root / entry["path"], mmap_mode="r", allow_pickle=False)

    def shard_url(self, shard: str) -> str:
        """Return where a shard named in `samples` stands: below the root, or the corpus's own."""
        if storage.is_remote(shard) or Path(shard).is_absolute():
            return shard
        return str(self.root / shard)
