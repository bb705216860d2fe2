"""How long the stages of a run took, from `run.jsonl`; nothing of it is in the manifest."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

LOG = "run.jsonl"


@dataclass(frozen=True)
class StageTiming:
    """One node of the run.

    Attributes:
        rows_per_second: None where no time was measured.
        kept: the latest run took the node as it was; the time is of the run that made it.
    """

    node: str
    seconds: float
    rows: int
    parts: int
    kept_parts: int
    peak_bytes: int | None
    kept: bool
    workers: int | None = None

    @property
    def rows_per_second(self) -> float | None:
        """Throughput of the stage with all its workers."""
        return self.rows / self.seconds if self.seconds > 0 else None


@dataclass(frozen=True)
class Timing:
    """All stages of the latest run in order; wall time and peak memory of its driver."""

    stages: list[StageTiming]
    seconds: float | None = None
    driver_bytes: int | None = None

    @property
    def longest(self) -> float:
        """Seconds of the slowest stage, for bars."""
        return max((stage.seconds for stage in self.stages), default=0.0)


def read_timing(root: Path, given: Mapping[str, Mapping[str, Any]] | None = None) -> Timing:
    """Return the timing of a pairset: of `given`, else of `run.jsonl`, else an empty one.

    Args:
        root: the pairset's folder.
        given: node -> facts as in the events `node_done`: seconds, rows, parts, kept,
            peak_worker_bytes. Replaces the log.
    """
    if given is not None:
        return Timing([_stage(node, facts, False) for node, facts in given.items()])
    made: dict[str, StageTiming] = {}
    latest: dict[str, StageTiming] = {}
    workers: dict[str, int] = {}
    timing = Timing([])
    for event in _events(root / LOG):
        kind, node = event.get("event"), str(event.get("node", ""))
        if kind == "run_started":
            latest, timing = {}, Timing([])
        elif kind == "node_started" and isinstance(event.get("workers"), int):
            workers[node] = event["workers"]
        elif kind == "node_done":
            made[node] = latest[node] = _stage(node, event, False, workers.get(node))
        elif kind == "node_kept":
            known = made.get(node)
            latest[node] = replace(known, kept=True) if known else _stage(node, event, True)
        elif kind == "run_done":
            timing = Timing([], _number(event, "seconds"), _whole(event, "peak_driver_bytes"))
    return Timing(list(latest.values()), timing.seconds, timing.driver_bytes)


def _stage(
    node: str, facts: Mapping[str, Any], kept: bool, workers: int | None = None
) -> StageTiming:
    return StageTiming(
        node,
        _number(facts, "seconds") or 0.0,
        _whole(facts, "rows") or 0,
        _whole(facts, "parts") or 0,
        _whole(facts, "kept") or 0,
        _whole(facts, "peak_worker_bytes"),
        kept,
        workers,
    )


def _number(facts: Mapping[str, Any], name: str) -> float | None:
    value = facts.get(name)
    return float(value) if isinstance(value, int | float) else None


def _whole(facts: Mapping[str, Any], name: str) -> int | None:
    value = _number(facts, name)
    return None if value is None else int(value)


def _events(path: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    if not path.exists():
        return found
    with path.open(encoding="utf-8", errors="replace") as file:
        for line in file:
            try:
                event = json.loads(line)
            except ValueError:
                continue
            if isinstance(event, dict):
                found.append(event)
    return found
