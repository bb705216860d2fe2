"""Tiny corpora, and what the three stages of ingest made of them."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from curate.manifests.artifact import Artifact, Draft
from curate.manifests.fingerprint import fingerprint
from curate.stages.base import Stage


def picture(number: int = 0, form: str = "JPEG", size: tuple[int, int] = (24, 16)) -> bytes:
    """Return a small picture whose bytes differ for each number."""
    rng = np.random.default_rng(number)
    pixels = rng.integers(0, 256, (size[1], size[0], 3), np.uint8)
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, form)
    return stream.getvalue()


def write_tar(path: Path, members: Iterable[tuple[str, bytes]]) -> Path:
    with tarfile.open(path, "w") as tar:
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return path


def write_lines(path: Path, rows: Iterable[Mapping[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@dataclass
class Ingested:
    scan: Artifact
    census: Artifact
    samples: Artifact

    @property
    def facts(self) -> Mapping[str, Any]:
        return self.census.receipts[0].facts

    @property
    def rows(self) -> list[dict[str, Any]]:
        return [row for table in self.samples.tables() for row in table.to_pylist()]

    @property
    def rejects(self) -> list[dict[str, Any]]:
        return self.census.table("part-00000", suffix="rejects.parquet").to_pylist()

    @property
    def codes(self) -> dict[str, str]:
        return {row["key"] or row["where"]: row["code"] for row in self.rejects}

    def by_key(self) -> dict[str, dict[str, Any]]:
        return {row["key"]: row for row in self.rows}

    def bytes_of(self, row: Mapping[str, Any]) -> bytes:
        """Return the image of a sample from where `shard` says it stands."""
        shard = str(row["shard"])
        if shard.startswith("images/"):
            part = shard.removeprefix("images/").removesuffix(".tar")
            path = self.scan.file(part, "tar")
        else:
            path = Path(shard)
        with path.open("rb") as file:
            file.seek(row["offset"])
            return file.read(row["size"])


def run_stage(stage: Stage, inputs: Mapping[str, Artifact], folder: Path) -> Artifact:
    folder.mkdir(parents=True)
    work, draft = stage.open(inputs), Draft(folder)
    receipts = [draft.write(task.part, work(task)) for task in stage.plan(inputs)]
    artifact = draft.commit(fingerprint(stage.identity()), receipts, {})
    stage.check(artifact)
    return artifact
