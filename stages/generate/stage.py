"""Runs one generator over all samples with a picture: tars of assets, and a table of them."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from PIL import Image
from pydantic import Field

from ...manifests.artifact import Artifact, Output
from ...manifests.codes import encode
from ...manifests.device import torch_device
from ...manifests.fingerprint import draw_uint64, draw_uniform
from ...manifests.pairset import own_shard
from ...manifests.pictures import Pictures
from ..base import Inputs, Resources, Stage, Task, Worker, task_per_part
from .base import Generator, LoadedGenerator, Prompt, Variation

EXT = "jpg"
_QUALITY = 95
_MAX_NAMED = 20
_PLACES = ["shard", "offset", "size"]
MADE = pa.schema(
    [
        pa.field("key", pa.string(), nullable=False),
        pa.field("anchor_id", pa.int64(), nullable=False),
        pa.field("shard", pa.string(), nullable=False),
        pa.field("offset", pa.int64(), nullable=False),
        pa.field("size", pa.int64(), nullable=False),
        pa.field("sha256", pa.string(), nullable=False),
        pa.field("width", pa.int32(), nullable=False),
        pa.field("height", pa.int32(), nullable=False),
        pa.field("recipe", pa.string(), nullable=False),
    ]
)
"""The table of a part: one row an asset, by anchor, then by number. `shard` is the part's own."""


class Generate(Stage):
    """Makes `count` candidates of every sample that has a picture.

    Each candidate has a random sample of the anchor's split beside it, and a seed; both are drawn
    by (seed, name, anchor, number), and a generator sees one anchor at a time, so the bytes do not
    depend on parts or workers. They are the same on one kind of device; a GPU's pictures may
    differ from a CPU's by a shade.

    Candidates are stored as JPEG (quality 95, no subsampling of colour) in a plain tar without
    times or owners; gates come later (miner `synthetic`). A sample whose picture cannot be read
    has no candidates: it is named in the log and never stops a run.

    Inputs: samples, scan. Files of a part: "tar", "parquet" (`MADE`). Facts: anchors, failed.
    Memory: a generator, `count` pictures, and 28 bytes a sample of the corpus.

    Attributes:
        name: of these assets in the run; keys begin with it.
        generator: what makes them.
        count: candidates of an anchor.
        seed: seed of the run.
    """

    name: str
    generator: Generator
    count: int = Field(default=8, ge=1, le=64)
    seed: int = Field(default=0, ge=0)

    def plan(self, inputs: Inputs) -> list[Task]:
        """Plan one task for each part of the samples."""
        return task_per_part(inputs["samples"])

    def resources(self, inputs: Inputs) -> Resources:
        """One device if there is any; torch, a model, and where all pictures stand."""
        rows = int(inputs["samples"].starts()[-1])
        return Resources(wants_gpu=True, memory_bytes=(2 << 30) + 28 * rows)

    def open(self, inputs: Inputs) -> Worker:
        """Load the generator on this worker's device, and where all pictures stand."""
        loaded = self.generator.load(torch_device())
        samples = inputs["samples"]
        places = _Places.of(samples, Pictures(inputs["scan"]))
        starts = dict(zip(samples.parts, samples.starts(), strict=False))
        first = samples.parts[0] if samples.parts else ""

        def run(task: Task) -> Output:
            anchors = int(starts[task.part]) + np.arange(samples.receipt(task.part).rows)
            note = self.generator.note if task.part == first else ""
            log: dict[str, Any] = {"notes": [note]} if note else {}

            def fill(folder: Path) -> Output:
                with _Assets(folder / "assets.tar", own_shard(task.part), self.name) as made:
                    failed = self._make(anchors, places, loaded, made)
                log.update(_warnings(failed))
                facts = {"anchors": made.anchors, "failed": len(failed)}
                return Output(made.count, {"tar": made.path, "parquet": made.table()}, facts)

            return Output(0, {}, log=log, fill=fill)

        return run

    def _make(
        self, anchors: np.ndarray, places: _Places, loaded: LoadedGenerator, made: _Assets
    ) -> dict[str, str]:
        """Make the candidates of some anchors; return why some have none, by sample."""
        others = places.others(anchors, self.seed, f"generate/{self.name}/other", self.count)
        seeds = draw_uint64(self.seed, anchors, f"generate/{self.name}/seed", self.count)
        steps = np.linspace(0, 1, self.count) if self.count > 1 else np.zeros(1)
        failed: dict[str, str] = {}
        for at, anchor in enumerate(anchors.tolist()):
            picture = places.read(anchor)
            if picture is None:
                continue
            if isinstance(picture, str):
                failed[f"sample {anchor}"] = picture
                continue
            drawn = [places.read(other) for other in others[at].tolist()]
            beside = [item if isinstance(item, Image.Image) else picture for item in drawn]
            prompts = [
                Prompt(other, int(seed >> np.uint64(1)), float(step))
                for other, seed, step in zip(beside, seeds[at], steps, strict=True)
            ]
            for other, item in zip(others[at].tolist(), loaded.make(picture, prompts), strict=True):
                made.add(anchor, other, item)
        return failed


def _warnings(failed: Mapping[str, str]) -> dict[str, list[str]]:
    named = [f"{name}: {why}" for name, why in list(failed.items())[:_MAX_NAMED]]
    more = len(failed) - len(named)
    return {"warnings": [*named, *([f"and {more} more without assets"] if more else [])]}


@dataclass(frozen=True)
class _Places:
    """Where the picture of each sample stands, and the samples with a picture by split.

    Attributes:
        pictures: reads them.
        names: of the shards; "" for no picture.
        shard: int32 [N], code of the shard.
        offset: int64 [N].
        size: int64 [N].
        split: int32 [N], code of the split.
        pools: by split code, int64 ids of its samples with a picture, ascending.
    """

    pictures: Pictures
    names: Sequence[str]
    shard: np.ndarray
    offset: np.ndarray
    size: np.ndarray
    split: np.ndarray
    pools: Mapping[int, np.ndarray]

    @classmethod
    def of(cls, samples: Artifact, pictures: Pictures) -> _Places:
        """Read three numbers a sample, and its split."""
        known: dict[str, dict[str | None, int]] = {"shard": {}, "split": {}}
        columns: dict[str, list[np.ndarray]] = {name: [] for name in (*_PLACES, "split")}
        for table in samples.tables([*_PLACES, "split"]):
            for name, codes in known.items():
                code = encode(table[name], lambda text, c=codes: c.setdefault(text, len(c)))
                columns[name].append(code.astype(np.int32))
            for name in ("offset", "size"):
                columns[name].append(table[name].to_numpy())
        held = {name: np.concatenate([np.zeros(0, np.int64), *c]) for name, c in columns.items()}
        there = held["shard"] != known["shard"].get("", -1)
        pools = {
            code: np.flatnonzero(there & (held["split"] == code))
            for code in np.unique(held["split"][there]).tolist()
        }
        names = tuple(str(name) for name in known["shard"])
        return cls(pictures=pictures, names=names, pools=pools, **held)

    def read(self, sample: int) -> Image.Image | str | None:
        """Return the picture of a sample, why it cannot be had, or None where it has none."""
        name = self.names[int(self.shard[sample])]
        if not name:
            return None
        return self.pictures.read(name, int(self.offset[sample]), int(self.size[sample]))

    def others(self, anchors: np.ndarray, seed: int, purpose: str, count: int) -> np.ndarray:
        """Draw samples with a picture of each anchor's split, never the anchor: int64 [A, count].

        Where there is no other, the anchor itself.
        """
        uniform = draw_uniform(seed, anchors, purpose, count)
        out = np.repeat(anchors[:, None], count, axis=1)
        for code, pool in self.pools.items():
            rows = np.flatnonzero(self.split[anchors] == code)
            own = np.searchsorted(pool, anchors[rows])
            inside = (own < len(pool)) & (pool[np.minimum(own, len(pool) - 1)] == anchors[rows])
            free = len(pool) - inside
            drawn = np.minimum((uniform[rows] * free[:, None]).astype(np.int64), free[:, None] - 1)
            drawn += inside[:, None] & (drawn >= own[:, None])
            found = pool[np.clip(drawn, 0, len(pool) - 1)]
            out[rows] = np.where(free[:, None] > 0, found, out[rows])
        return out


@dataclass
class _Assets:
    """The tar of a part while it grows, and the rows of its table."""

    path: Path
    shard: str
    name: str
    rows: list[dict[str, Any]] = field(default_factory=list)
    anchors: int = 0

    def __enter__(self) -> _Assets:
        self._tar = tarfile.open(self.path, "w", format=tarfile.USTAR_FORMAT)
        return self

    def __exit__(self, *error: object) -> None:
        self._tar.close()

    @property
    def count(self) -> int:
        """Assets so far."""
        return len(self.rows)

    def add(self, anchor: int, other: int, made: Variation) -> None:
        """Store one candidate; those of an anchor come one after the other."""
        new = not self.rows or self.rows[-1]["anchor_id"] != anchor
        self.anchors += new
        self._number = 0 if new else self._number + 1
        stem = f"{anchor:010d}-{self._number:02d}"
        held = io.BytesIO()
        made.image.convert("RGB").save(held, "JPEG", quality=_QUALITY, subsampling=0)
        data = held.getvalue()
        member = tarfile.TarInfo(f"{stem}.{EXT}")
        member.size = len(data)
        offset = self._tar.offset + tarfile.BLOCKSIZE
        self._tar.addfile(member, io.BytesIO(data))
        recipe = json.dumps({**made.recipe, "other_id": other}, sort_keys=True, allow_nan=False)
        self.rows.append(
            {
                "key": f"{self.name}/{stem}",
                "anchor_id": anchor,
                "shard": self.shard,
                "offset": offset,
                "size": len(data),
                "sha256": hashlib.sha256(data).hexdigest(),
                "width": made.image.width,
                "height": made.image.height,
                "recipe": recipe,
            }
        )

    def table(self) -> pa.Table:
        """Return the table of the part."""
        return pa.Table.from_pylist(self.rows, schema=MADE)
