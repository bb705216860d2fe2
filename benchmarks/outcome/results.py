"""Results, one JSON line each, so that a stopped script goes on where it stood; and their table."""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from arms import Arm
from scipy import stats

from curate.manifests.fingerprint import digest

Line = Mapping[str, Any]


class Results:
    """The lines of a file; a line is known by its `key`, which holds all that decides it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        text = path.read_text() if path.exists() else ""
        # A script that was killed may leave half a line, which ends in no line break.
        whole, _, half = text.rpartition("\n")
        self.lines: list[Line] = [json.loads(line) for line in whole.splitlines()]
        if half:
            os.truncate(path, len(text.encode()) - len(half.encode()))

    def find(self, key: Mapping[str, Any]) -> Line | None:
        """Return the line of a key, None where it has not been measured."""
        return next((line for line in self.lines if line["key"] == dict(key)), None)

    def add(self, key: Mapping[str, Any], **found: Any) -> Line:
        """Append a line and put it on the disk."""
        line = {"key": dict(key), **found}
        self.lines.append(line)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a") as file:
            file.write(json.dumps(line) + "\n")
        return line


def key_of(shared: Mapping[str, Any], name: str, arm: Arm, seed: int) -> dict[str, Any]:
    """Return all that decides a result: what all arms share, the arm and the seed."""
    spoken = ("group", "says", "control")
    body = {field: value for field, value in asdict(arm).items() if field not in spoken}
    how = digest(json.dumps(body, sort_keys=True))[:12]
    return {**shared, "arm": name, "seed": seed, "how": how}


def measure(
    results: Results,
    keys: Mapping[str, Sequence[Mapping[str, Any]]],
    mine: Callable[[str], Mapping[str, Any]],
    train: Callable[[str, int], Mapping[str, Any]],
) -> None:
    """Do what has not been done: mine an arm once, train it for each seed that is missing.

    Args:
        results: what is there; grows.
        keys: of each arm, one a seed.
        mine: makes an arm's pairs and returns facts about them.
        train: trains on them with a seed and returns what was measured.
    """
    for name, wanted in keys.items():
        missing = [key for key in wanted if results.find(key) is None]
        facts = mine(name) if missing else {}
        for key in missing:
            begun = time.perf_counter()
            found = train(name, key["seed"])
            seconds = round(time.perf_counter() - begun, 1)
            results.add(key, **found, seconds=seconds, pairs=facts)
            print(f"{name:24s}{key['seed']}  {found}  {seconds} s", flush=True)


@contextmanager
def one_thread() -> Iterator[None]:
    """Compute on one thread, where results repeat bit for bit."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def interval(values: Sequence[float]) -> tuple[float, float]:
    """Return mean and half width of Student's 95 % interval; the width is nan for one value."""
    mean = float(np.mean(values))
    if len(values) < 2:
        return mean, math.nan
    spread = float(np.std(values, ddof=1)) / math.sqrt(len(values))
    return mean, float(stats.t.ppf(0.975, len(values) - 1)) * spread


def difference(mine: Mapping[int, float], other: Mapping[int, float]) -> tuple[float, float]:
    """Return mean and half width of the differences seed by seed, of the seeds that both have."""
    shared = sorted(set(mine) & set(other))
    if not shared:
        return math.nan, math.nan
    return interval([mine[seed] - other[seed] for seed in shared])


def by_seed(lines: Iterable[Line], arm: str, measure: str) -> dict[int, float]:
    """Return a measure of an arm by seed, in per cent."""
    return {line["key"]["seed"]: 100 * line[measure] for line in lines if line["key"]["arm"] == arm}


def table(lines: Sequence[Line], arms: Mapping[str, Arm], measures: Sequence[str]) -> str:
    """Return a Markdown table: each measure with its interval, and what it gains on the control.

    A gain is bold where its interval leaves out 0.
    """
    titles = [f"{name} | gain" for name in measures]
    head = f"| arm | {' | '.join(titles)} | same label: positives, negatives, masked |"
    rows, group = [head, "|---" * (2 + 2 * len(measures)) + "|"], ""
    for name, arm in arms.items():
        own = [line for line in lines if line["key"]["arm"] == name]
        if not own:
            continue
        if arm.group != group:
            rows.append(f"| **{arm.group}** {'| ' * (1 + 2 * len(measures))}|")
            group = arm.group
        cells = [text for measure in measures for text in _cells(lines, name, arm, measure)]
        rows.append(f"| {arm.says} | {' | '.join(cells)} | {_pairs(own)} |")
    return "\n".join(rows)


def _cells(lines: Sequence[Line], name: str, arm: Arm, measure: str) -> tuple[str, str]:
    mine = by_seed(lines, name, measure)
    mean, half = interval(list(mine.values()))
    if not arm.control:
        return f"{mean:.1f} ± {half:.1f}", "control"
    gain, around = difference(mine, by_seed(lines, arm.control, measure))
    if math.isnan(gain):
        return f"{mean:.1f} ± {half:.1f}", "no control yet"
    text = f"{gain:+.1f} ± {around:.1f}"
    return f"{mean:.1f} ± {half:.1f}", f"**{text}**" if abs(gain) > around else text


def _pairs(lines: Sequence[Line]) -> str:
    """Return shares of pairs whose labels agree; of a second mining, their mean over the seeds."""
    facts = lines[0].get("pairs") or {}
    shares = [facts.get(role) for role in ("positives", "negatives", "masked")]
    cells = ["-" if share is None else f"{100 * share:.0f} %" for share in shares]
    second = [line["again"]["positives"] for line in lines if "again" in line]
    if second:
        cells[0] += f" then {100 * np.mean(second):.0f} %"
    return ", ".join(cells)
