"""Runs one selector: measures in parts, decides once; and joins the verdicts of all selectors."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

import numpy as np
from pydantic import Field

from ...manifests.artifact import Artifact, Output
from ...manifests.errors import CurateError
from ...manifests.schema import NO_ID
from ...manifests.selection import DROP_CODE, DROPS, Drop
from ...manifests.vectors import Rows, VectorStore
from ..base import Inputs, Resources, Stage, Task, Worker
from ._cluster_set import ClusterSet
from .base import KEPT, Corpus, Selector, Verdict

_BASE_BYTES = 700 << 20


class _Selecting(Stage):
    """What both stages of a selector know.

    Inputs:
        samples, vectors:<space>, clusters:<name>: what the selector names.
        select:<id>: verdicts of the earlier selectors, where it judges only what they kept.
    """

    selector: Selector
    id: str = Field(min_length=1)
    """Name of the selector in this run."""
    seed: int = Field(default=0, ge=0)

    def corpus(self, inputs: Inputs) -> Corpus:
        """Open what the selector may look at."""
        names = self.selector.space_names
        stores = {name: VectorStore(name, Rows.of(inputs[f"vectors:{name}"])) for name in names}
        sets = self.selector.cluster_names
        clusters = {name: ClusterSet.of(inputs[f"clusters:{name}"]) for name in sets}
        earlier = [item for name, item in inputs.items() if name.startswith("select:")]
        pool = kept_by(earlier) if self.selector.among == "kept" and earlier else None
        return Corpus(inputs["samples"], stores, pool, self._seed(), clusters)

    def _seed(self) -> int:
        # Two selectors of one kind in a run must not draw the same numbers.
        digest = hashlib.sha256(f"{self.seed}/select/{self.id}".encode()).digest()
        return int.from_bytes(digest[:8], "little")


class Measure(_Selecting):
    """The first look of a selector: its own tasks, its own files."""

    def plan(self, inputs: Inputs) -> list[Task]:
        """The tasks of the selector."""
        return self.selector.tasks(self.corpus(inputs))

    def resources(self, inputs: Inputs) -> Resources:
        """One core, one part, and what the selector announces."""
        corpus = self.corpus(inputs)
        return Resources(
            memory_bytes=_BASE_BYTES + corpus.count + self.selector.measure_bytes(corpus)
        )

    def open(self, inputs: Inputs) -> Worker:
        """Open samples and vectors; both stay on the disk."""
        corpus = self.corpus(inputs)
        return lambda task: self.selector.measure(corpus, task)


class Decide(_Selecting):
    """The verdict of a selector about every sample; further input: measured.

    One part: "drops.npy" uint8 [N], and where the selector has them "scores.npy" float32 [N] and
    "witnesses.npy" int64 [N]. Facts: kept, dropped, reasons {drop: n}, and what it reports.
    """

    def plan(self, inputs: Inputs) -> list[Task]:
        """One task: a cut is a global fact."""
        del inputs
        return [Task("part-00000")]

    def resources(self, inputs: Inputs) -> Resources:
        """One core; some bytes a sample, and what the selector announces."""
        corpus = self.corpus(inputs)
        held = self.selector.bytes_a_sample * corpus.count + self.selector.decide_bytes(corpus)
        return Resources(memory_bytes=_BASE_BYTES + held)

    def open(self, inputs: Inputs) -> Worker:
        """Open what was measured."""
        corpus = self.corpus(inputs)

        def decide(task: Task) -> Output:
            del task
            verdict = _checked(self.selector, corpus, inputs["measured"])
            counts = np.bincount(verdict.drops, minlength=len(DROPS))
            facts = {
                "kept": int(counts[0]),
                "dropped": int(counts[1:].sum()),
                "reasons": {str(d): int(n) for d, n in zip(DROPS, counts, strict=True) if d and n},
                **verdict.facts,
            }
            return Output(corpus.count, _files(verdict), facts)

        return decide


def _checked(selector: Selector, corpus: Corpus, measured: Artifact) -> Verdict:
    verdict = selector.decide(corpus, measured)
    for name in ("drops", "scores", "witnesses"):
        array = getattr(verdict, name)
        if array is not None and array.shape != (corpus.count,):
            raise CurateError(
                f"{type(selector).__name__}.decide returned {name} of shape {array.shape} for "
                f"{corpus.count} samples; one value a sample is expected."
            )
    if corpus.pool is None:
        return verdict
    beyond = ~corpus.pool
    drops, scores, witnesses = verdict.drops.copy(), verdict.scores, verdict.witnesses
    drops[beyond] = DROP_CODE[Drop.EARLIER]
    if scores is not None:
        scores = scores.copy()
        scores[beyond] = np.nan
    if witnesses is not None:
        witnesses = witnesses.copy()
        witnesses[beyond] = NO_ID
    return Verdict(drops, scores, witnesses, verdict.facts)


def _files(verdict: Verdict) -> Mapping[str, np.ndarray]:
    files: dict[str, np.ndarray] = {"drops.npy": verdict.drops.astype(np.uint8)}
    if verdict.scores is not None:
        files["scores.npy"] = verdict.scores.astype(np.float32)
    if verdict.witnesses is not None:
        files["witnesses.npy"] = verdict.witnesses.astype(np.int64)
    return files


class Selected(Stage):
    """Which samples all selectors keep. Inputs: select:<id> of every selector.

    One part: "npy" bool [N]. Facts: kept, dropped.
    """

    def plan(self, inputs: Inputs) -> list[Task]:
        """One task."""
        del inputs
        return [Task("part-00000")]

    def resources(self, inputs: Inputs) -> Resources:
        """Two bytes a sample."""
        return Resources(memory_bytes=_BASE_BYTES + 2 * next(iter(inputs.values())).rows)

    def open(self, inputs: Inputs) -> Worker:
        """Nothing is loaded."""

        def join(task: Task) -> Output:
            del task
            kept = kept_by(list(inputs.values()))
            count = int(kept.sum())
            return Output(len(kept), {"npy": kept}, {"kept": count, "dropped": len(kept) - count})

        return join


def kept_by(verdicts: Sequence[Artifact]) -> np.ndarray:
    """Return bool [N]: the samples that each of some selectors keeps."""
    kept = np.ones(verdicts[0].rows, bool)
    for verdict in verdicts:
        kept &= verdict.array(verdict.parts[0], "drops.npy") == KEPT
    return kept
