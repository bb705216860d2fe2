"""Small corpora as committed artifacts, and a selector run on them as the runner would."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from vector_corpus import run_stage

from curate.manifests.artifact import Draft, Output
from curate.manifests.schema import TEXTS
from curate.manifests.selection import DROPS
from curate.stages.selection.stage import Decide, Measure, Selected


def unit(rows):
    norm = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.where(norm > 0, rows / np.maximum(norm, 1e-30), 0).astype(np.float16)


@dataclass
class World:
    root: Path
    captions: list[list[str]]
    vectors: dict[str, np.ndarray] = field(default_factory=dict)
    sizes: list[tuple[int | None, int | None]] | None = None
    clusters: dict[str, np.ndarray] = field(default_factory=dict)
    part_rows: int = 37
    made: int = 0

    def __len__(self):
        return len(self.captions)

    def _write(self, name, outputs):
        self.made += 1
        draft = Draft(self.root / f"{self.made:03d}-{name}")
        receipts = [draft.write(f"part-{i:05d}", item) for i, item in enumerate(outputs)]
        return draft.commit(f"{name}-{self.made}", receipts, {})

    def _pieces(self):
        return [slice(i, i + self.part_rows) for i in range(0, len(self), self.part_rows)]

    def inputs(self):
        sizes = self.sizes or [(640, 480)] * len(self)
        table = pa.table(
            {
                "sample_id": np.arange(len(self)),
                "width": pa.array([w for w, _ in sizes], pa.int32()),
                "height": pa.array([h for _, h in sizes], pa.int32()),
                "caption": pa.array([c[0] if c else None for c in self.captions], pa.string()),
                "captions": pa.array(self.captions, TEXTS),
            }
        )
        pieces = self._pieces()
        found = {
            "samples": self._write(
                "samples",
                [Output.of(table.slice(at.start, self.part_rows)) for at in pieces],
            )
        }
        for name, rows in self.vectors.items():
            found[f"vectors:{name}"] = self._write(
                name, [Output(len(rows[at]), {"npy": rows[at]}, {}) for at in pieces]
            )
        for name, ids in self.clusters.items():
            levels = [int(ids[:, i].max(initial=0)) + 2 for i in range(ids.shape[1])]
            outputs = [
                Output(len(ids[at]), {"ids.npy": ids[at].astype(np.int32)}, {"levels": levels})
                for at in pieces
            ]
            found[f"clusters:{name}"] = self._write(f"clusters-{name}", outputs)
        return found

    def select(self, selector, name="it", seed=0, **earlier):
        """Return the artifact of `Decide`."""
        inputs = {**self.inputs(), **{f"select:{k}": v for k, v in earlier.items()}}
        settings = {"selector": selector, "id": name, "seed": seed}
        self.made += 1
        folder = self.root / f"run-{self.made}"
        inputs["measured"] = run_stage(Measure(**settings), inputs, folder / "measure")
        return run_stage(Decide(**settings), inputs, folder / "decide")

    def selected(self, **verdicts):
        self.made += 1
        inputs = {f"select:{name}": item for name, item in verdicts.items()}
        done = run_stage(Selected(), inputs, self.root / f"selected-{self.made}")
        return np.asarray(done.array(done.parts[0]))


def drops(verdict):
    """Return the reasons, one text a sample; "" is kept."""
    return [str(DROPS[code]) for code in verdict.array(verdict.parts[0], "drops.npy")]


def kept(verdict):
    return np.flatnonzero(np.asarray(verdict.array(verdict.parts[0], "drops.npy")) == 0).tolist()


def scores(verdict):
    return np.asarray(verdict.array(verdict.parts[0], "scores.npy"))


@pytest.fixture
def make_world(tmp_path):
    count = 0

    def make(n=100, dim=8, seed=0, **changes):
        nonlocal count
        count += 1
        rng = np.random.default_rng(seed)
        base = rng.normal(size=(n, dim))
        image, caption = unit(base), unit(base + rng.normal(size=(n, dim)))
        image[5:6], caption[11:12] = 0, 0
        settings = {
            "captions": [[f"a thing number {i}"] for i in range(n)],
            "vectors": {"image": image, "caption": caption},
            **changes,
        }
        return World(tmp_path / f"w{count}", **settings)

    return make


@pytest.fixture
def read():
    """The verdict as lists: drops, kept ids, scores."""
    return drops, kept, scores
