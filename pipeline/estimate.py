"""What a run will need, before it starts: rows, parts, memory, disk and time.

Sizes follow from the formats; times from rates measured on one core of an ordinary server, so
they are rough and say so. Rows are exact where the corpus can be counted without reading it.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..manifests.human import human_bytes, human_seconds
from ..stages.batches.stage import BASE_BYTES, Plan
from ..stages.clusters.settings import ClusterSettings
from ..stages.clusters.train import Train
from ..stages.embed.stage import Embed
from ..stages.ingest.base import Estimate, Reader
from ..stages.ingest.census import part_rows
from ..stages.mining.clusters import CLUSTER_BYTES
from ..stages.mining.stage import Mine
from ..stages.neighbors.hubs import REFERENCE
from ..stages.neighbors.index import EXACT_BELOW
from ..stages.selection.stage import Decide
from .config import Config, Space, graph_spaces
from .plan import ARRAY, array_source
from .runner import Node

INGEST_RATE = 800.0
"""Images a second a core that are read, hashed and checked."""
MULTIPLY_RATE = 60e9
"""Float operations a second a core of an exact neighbour join."""
PLAN_RATE = 3_000.0
"""Pairs a second of a planner, which has one core for a block."""
MINE_RATE = 50_000.0
"""Anchors a second a core a miner."""
MEASURE_RATE = 2e6
"""Pairs of vectors a second a core that are fetched and multiplied."""
EMBED_RATES = {
    "builtin": 150.0,
    "open_clip": 15.0,
    "onnx": 30.0,
    "checkpoint": 150.0,
    ARRAY: 50_000.0,
}
"""Samples a second a core by encoder (open_clip: ViT-B-32, bf16; a GPU is 100 times faster)."""
PROCESS_BYTES = 600 << 20
"""What a worker holds whatever the corpus: libraries, one part, one block of vectors."""
ROW_MEMORY = {
    "census": 120,
    "groups": 60,
    "join": 60,
    "graph": 60,
    "recall": 60,
    "generate": 28,
    "measured": 60,
    "mine": 64,
    "centroids": 16,
    "ranks": 28,
    "mix": 64,
    "measure": 1,
    "selected": 2,
}
"""Bytes a sample that a worker of a stage holds besides; documented in the stages."""
MODEL_BYTES = 1 << 30
"""torch and a small model on top of it."""
DIMS = {"builtin": 128, "onnx": 1280}
DEFAULT_DIM = 512
EDGE_BYTES = 16
ROW_BYTES = 120
ASSET_BYTES = 8000
"""Of a picture of 64 pixels; a diffusion pipeline's are ten times that."""
ASSET_RATE = 100.0
"""Pictures a second a core of the small generators; of a diffusion pipeline on a CPU, 0.01."""


@dataclass(frozen=True)
class Line:
    """One line of a plan."""

    node: str
    parts: int
    memory_bytes: int
    disk_bytes: int
    core_seconds: float


@dataclass(frozen=True)
class Needs:
    """A whole plan.

    Attributes:
        corpus: rows and bytes of the corpus; `exact` says whether rows were counted.
        lines: one a node.
        workers: workers that the time is for.
    """

    corpus: Estimate
    lines: tuple[Line, ...]
    workers: int

    @property
    def disk_bytes(self) -> int:
        """Bytes that the store and the pairset take together (published files are links)."""
        return sum(line.disk_bytes for line in self.lines)

    @property
    def memory_bytes(self) -> int:
        """Bytes of the largest single worker."""
        return max(line.memory_bytes for line in self.lines)

    @property
    def seconds(self) -> float:
        """Rough time with `workers` cores and no GPU."""
        return sum(line.core_seconds for line in self.lines) / self.workers

    def to_json(self) -> dict[str, Any]:
        """Return the plan as facts."""
        return {
            "rows": self.corpus.rows,
            "rows_exact": self.corpus.exact,
            "corpus_bytes": self.corpus.bytes,
            "disk_bytes": self.disk_bytes,
            "memory_bytes": self.memory_bytes,
            "seconds": round(self.seconds),
            "workers": self.workers,
            "nodes": [line.__dict__ for line in self.lines],
        }

    @property
    def text(self) -> str:
        """The plan as a table for people."""
        about = "" if self.corpus.exact else "about "
        head = (
            f"{about}{self.corpus.rows:,} inputs, {human_bytes(self.corpus.bytes)}; disk "
            f"{human_bytes(self.disk_bytes)}; roughly {human_seconds(self.seconds)} on "
            f"{self.workers} cores without a GPU. Nothing was started."
        )
        rows = [f"{'stage':32s}{'parts':>8s}{'a worker':>12s}{'disk':>12s}{'core time':>16s}"]
        rows += [
            f"{line.node:32s}{line.parts:8,}{human_bytes(line.memory_bytes):>12s}"
            f"{human_bytes(line.disk_bytes):>12s}{human_seconds(line.core_seconds):>16s}"
            for line in self.lines
        ]
        return "\n".join([head, *rows])


def estimate(config: Config, reader: Reader, nodes: Sequence[Node], workers: int | None) -> Needs:
    """Say what a run of these nodes will need."""
    corpus = reader.estimate()
    rows = max(1, corpus.rows)
    dims = {name: dim_of(space) for name, space in config.spaces.items()}
    parts = math.ceil(rows / part_rows(rows))
    copied = 0 if reader.in_tars or not reader.has_images else corpus.bytes
    slices = len(reader.slices())
    lines = []
    for node in nodes:
        kind = node.name.split(":")[0]
        count = slices if kind == "scan" else 1 if kind in _SINGLE else parts
        if isinstance(node.stage, Plan):
            count = math.ceil(rows / (node.stage.planner.block or rows))
        disk, seconds = _costs(node, config, rows, copied, dims)
        lines.append(Line(node.name, count, _memory(node, rows, dims), disk, seconds))
    if "webdataset" in config.output.formats:
        packed = corpus.bytes * (2 + config.output.negatives)
        lines.append(Line("packed", 1, PROCESS_BYTES, packed, rows / INGEST_RATE))
    return Needs(corpus, tuple(lines), workers or os.cpu_count() or 1)


_SINGLE = frozenset(
    {
        *("census", "groups", "recall", "calibrate", "index", "select", "selected"),
        *("centroids", "ranks", "final_samples", "final_clusters", "final_plan"),
    }
)


def dim_of(space: Space) -> int:
    """Return the width of a space: of its array, or what its encoder most likely has."""
    if space.encoder == ARRAY:
        return array_source("", space).open().dim
    return DIMS.get(space.encoder, DEFAULT_DIM)


def _memory(node: Node, rows: int, dims: Mapping[str, int]) -> int:
    kind, _, name = node.name.partition(":")
    held = PROCESS_BYTES + ROW_MEMORY.get(kind, 0) * rows
    if kind in ("generate", "asset_vectors"):
        return held + 2 * MODEL_BYTES
    if kind == "measured":
        return held + 2 * max(dims.values()) * rows
    if kind == "vectors":
        return held + (MODEL_BYTES if isinstance(node.stage, Embed) else 0)
    if kind == "index":
        # The index, and beside it the sample that an inverted file is trained on.
        return held + 4 * dims[name] * rows
    if isinstance(node.stage, Decide):
        return held + node.stage.selector.bytes_a_sample * rows
    if isinstance(node.stage, Mine):
        return held + CLUSTER_BYTES * len(node.stage.miner.cluster_names) * rows
    if kind == "centroids" and isinstance(node.stage, Train):
        asked = node.stage.settings
        drawn = min(rows, asked.points * asked.sizes[0])
        points = 24 * drawn * (dims[asked.space] if asked.space else 3)
        return held + points + (MODEL_BYTES if asked.whiten else 0)
    if isinstance(node.stage, Plan):
        planner = node.stage.planner
        return BASE_BYTES + planner.row_bytes * min(rows, planner.block or rows)
    if kind in ("join", "corrected", "hubs", "recall"):
        # Pages of the mapped index, which the system drops when it needs them.
        return held + 2 * dims[graph_spaces(name)[1]] * rows
    return held


def _costs(
    node: Node, config: Config, rows: int, copied: int, dims: Mapping[str, int]
) -> tuple[int, float]:
    kind, _, name = node.name.partition(":")
    if kind == "scan":
        return copied + rows * ROW_BYTES, rows / INGEST_RATE
    if kind == "vectors":
        rate = EMBED_RATES.get(config.spaces[name].encoder, EMBED_RATES["open_clip"])
        return rows * dims[name] * 2, rows / rate
    if kind in ("generate", "asset_vectors", "measured", "final_assets"):
        return _asset_costs(kind, rows * config.generate[name].count, max(dims.values()))
    if kind == "index":
        return rows * dims[name] * 2, rows / 20_000
    if kind == "hubs":
        known = min(rows, config.neighbors[name].correct_reference or REFERENCE)
        return rows * 8, 2 * rows * known * dims[graph_spaces(name)[1]] / MULTIPLY_RATE
    if kind in ("join", "corrected"):
        # An inverted file looks at about a sixteenth of a bank that is too large for all pairs.
        share = 1.0 if rows <= EXACT_BELOW else 1 / 16
        seconds = 2 * rows**2 * dims[graph_spaces(name)[1]] * share / MULTIPLY_RATE
        return rows * (config.neighbors[name].k + 16) * 12, seconds
    if kind in ("centroids", "clusters", "ranks", "final_clusters"):
        return _cluster_costs(kind, config.clusters[name], rows, _cluster_dim(config, name, dims))
    if kind in ("graph", "final_neighbors"):
        return rows * config.neighbors[name].k * 12, rows / MINE_RATE
    if kind in ("plan", "final_plan"):
        return rows * 8, rows / (PLAN_RATE if kind == "plan" else 1e8)
    if kind in ("mine", "mix", "assemble", "final_edges"):
        measured = node.stage.miner.measured_pairs if isinstance(node.stage, Mine) else 0
        seconds = rows / MINE_RATE + rows * measured / MEASURE_RATE
        return rows * EDGE_BYTES * 10, seconds
    return rows * ROW_BYTES, rows / 200_000


def _asset_costs(kind: str, assets: int, dim: int) -> tuple[int, float]:
    """Return bytes and core seconds of one stage of generated pictures."""
    if kind == "generate":
        return assets * (ASSET_BYTES + ROW_BYTES), assets / ASSET_RATE
    if kind == "asset_vectors":
        return assets * dim * 2, assets / EMBED_RATES["builtin"]
    return assets * ROW_BYTES, assets / 5_000


def _cluster_dim(config: Config, name: str, dims: Mapping[str, int]) -> int:
    asked = config.clusters[name]
    whole = 3 if asked.space is None else dims[asked.space]
    return min(asked.whiten, whole) if asked.whiten else whole


def _cluster_costs(kind: str, asked: ClusterSettings, rows: int, dim: int) -> tuple[int, float]:
    """Return bytes on disk and core seconds; exact products run at half the rate of float32."""
    one_row = 2 * asked.sizes[0] * dim / (MULTIPLY_RATE / 2)
    if kind == "centroids":
        drawn = min(rows, asked.points * asked.sizes[0])
        return 4 * asked.sizes[0] * dim, drawn * one_row * asked.iterations + rows / 200_000
    disk = 8 * len(asked.sizes) * rows
    return disk, rows * (one_row if kind == "clusters" else 1 / 200_000)
