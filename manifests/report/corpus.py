"""One pass over `samples` and one over `rejects`: what the corpus carries and what was refused."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ..pairset import Pairset
from ..schema import ATTRIBUTE_PREFIX
from .graph import doubling_bins
from .rows import LowestDraws

EXAMPLES = 3
"""Examples of each reject code."""
_MAX_LABELS = 50_000
_MAX_TEXTS = 1000
_LARGEST_GROUPS = 3
_DRAWN_GROUPS = 5
_MEMBERS = 6


@dataclass(frozen=True)
class Coverage:
    """How many samples have a value.

    Attributes:
        what: "image", "caption", "label" or "attribute camera".
        samples: samples that have it.
        detail: values or range, for people.
    """

    what: str
    samples: int
    detail: str = ""


@dataclass(frozen=True)
class GroupFacts:
    """Groups of near-duplicates.

    Attributes:
        sizes: (label, groups) by size, singletons left out.
        groups: groups of at least two samples.
        grouped: samples in them.
        examples: members of some groups, ascending ids: (size, first members).
    """

    sizes: list[tuple[str, int]]
    groups: int
    grouped: int
    examples: list[tuple[int, list[int]]]


@dataclass(frozen=True)
class SampleFacts:
    """What `samples` holds: coverage of each column, label counts, groups, captions."""

    rows: int
    coverage: list[Coverage]
    labels: list[tuple[str, int]]
    distinct_labels: int
    labels_cut: bool
    captions: int
    groups: GroupFacts


@dataclass(frozen=True)
class RejectFacts:
    """Refused inputs: rows by code, most frequent first, and examples (key, where, message)."""

    rows: int
    codes: list[tuple[str, int]]
    examples: dict[str, list[tuple[str, str, str]]]


def scan_samples(pairset: Pairset, seed: int, top_labels: int = 12) -> SampleFacts:
    """Read `samples` once. Holds 4 bytes a sample, and at most 50,000 labels."""
    counter = _Columns(pairset.manifest["attributes"])
    sizes = np.zeros(int(pairset.counts["samples"]), np.int32)
    drawn = LowestDraws(_DRAWN_GROUPS, seed, "report groups")
    attributes = [ATTRIBUTE_PREFIX + name for name in pairset.manifest["attributes"]]
    columns = ["sample_id", "shard", "captions", "label", "labels", "group_id", *attributes]
    for table in pairset.tables("samples", columns):
        if table.num_rows:
            counter.add(table)
            groups = table["group_id"].to_numpy()
            np.add.at(sizes, groups, 1)
            drawn.add(groups[groups != table["sample_id"].to_numpy()])
    labels = sorted(counter.labels.items(), key=lambda item: (-item[1], item[0]))
    return SampleFacts(
        counter.rows,
        counter.coverage(),
        labels[:top_labels],
        len(labels),
        counter.labels_cut,
        counter.captions,
        _groups(pairset, sizes, drawn.ids),
    )


class _Columns:
    def __init__(self, attributes: dict[str, str]) -> None:
        self.rows = self.captions = 0
        self.labels: Counter[str] = Counter()
        self.labels_cut = False
        self._attributes = attributes
        self._have: Counter[str] = Counter()
        self._range: dict[str, list[Any]] = {}
        self._texts: dict[str, set[str]] = {}

    def add(self, table: pa.Table) -> None:
        self.rows += table.num_rows
        lengths = pc.call_function("list_value_length", [table["captions"]]).to_numpy()
        self.captions += int(lengths.sum())
        self._have["caption"] += int((lengths > 0).sum())
        imageless = pc.call_function("equal", [table["shard"], pa.scalar("")])
        self._have["image"] += table.num_rows - int(imageless.to_numpy().sum())
        self._have["label"] += table.num_rows - table["label"].null_count
        self._count_labels(table["labels"].combine_chunks().flatten())
        for name in self._attributes:
            column = table[ATTRIBUTE_PREFIX + name]
            self._have[name] += table.num_rows - column.null_count
            if pa.types.is_string(column.type):
                seen = self._texts.setdefault(name, set())
                if len(seen) < _MAX_TEXTS:
                    seen.update(column.unique().drop_null().to_pylist())
            else:
                self._widen(name, pc.call_function("min_max", [column]).as_py())

    def _widen(self, name: str, low_high: dict[str, Any]) -> None:
        known = [low_high["min"], low_high["max"], *self._range.get(name, [])]
        values = [value for value in known if value is not None]
        if values:
            self._range[name] = [min(values), max(values)]

    def _count_labels(self, flat: pa.Array) -> None:
        for entry in flat.value_counts().to_pylist():
            label = entry["values"]
            if label in self.labels or len(self.labels) < _MAX_LABELS:
                self.labels[label] += entry["counts"]
            else:
                self.labels_cut = True

    def coverage(self) -> list[Coverage]:
        captions = f"{self.captions:,} captions" if self.captions else ""
        more = "more than " if self.labels_cut else ""
        labels = f"{more}{len(self.labels):,} distinct" if self.labels else ""
        found = [
            Coverage("image", self._have["image"]),
            Coverage("caption", self._have["caption"], captions),
            Coverage("label", self._have["label"], labels),
        ]
        for name, kind in sorted(self._attributes.items()):
            detail = " to ".join(_short(value) for value in self._range.get(name, []))
            if name in self._texts:
                more = "more than " if len(self._texts[name]) >= _MAX_TEXTS else ""
                detail = f"{more}{len(self._texts[name]):,} distinct"
            found.append(Coverage(f"attribute {name} ({kind})", self._have[name], detail))
        return found


def _short(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M}"
    return str(value)


def _groups(pairset: Pairset, sizes: np.ndarray, drawn: list[int]) -> GroupFacts:
    several = sizes >= 2
    largest = [
        int(row) for row in np.argsort(-sizes, kind="stable")[:_LARGEST_GROUPS] if sizes[row] >= 2
    ]
    chosen = list(dict.fromkeys([*largest, *drawn]))
    members = {group: list[int]() for group in chosen}
    for sample, group in _members(pairset, chosen):
        if len(members[group]) < _MEMBERS:
            members[group].append(sample)
    return GroupFacts(
        doubling_bins(sizes, first=2),
        int(several.sum()),
        int(sizes[several].sum()),
        [(int(sizes[group]), members[group]) for group in chosen],
    )


def _members(pairset: Pairset, groups: list[int]) -> Iterator[tuple[int, int]]:
    if not groups:
        return
    for table in pairset.tables("samples", ["sample_id", "group_id"]):
        found = table.filter(pa.array(np.isin(table["group_id"].to_numpy(), groups)))
        yield from zip(found["sample_id"].to_pylist(), found["group_id"].to_pylist(), strict=True)


def scan_rejects(pairset: Pairset) -> RejectFacts:
    """Read `rejects` once; the first three rows of each code are the examples."""
    counts: Counter[str] = Counter()
    examples: dict[str, list[tuple[str, str, str]]] = {}
    for table in pairset.tables("rejects", ["key", "where", "code", "message"]):
        for row in table.to_pylist():
            counts[row["code"]] += 1
            held = examples.setdefault(row["code"], [])
            if len(held) < EXAMPLES:
                held.append((row["key"], row["where"], row["message"]))
    codes = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return RejectFacts(sum(counts.values()), codes, examples)
