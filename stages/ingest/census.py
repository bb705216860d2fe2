"""Census: one look at all rows of `scan` together: which inputs are samples, and in which order.

What no slice can know alone is settled here: that keys are unique (the first good input of a key
wins), that precomputed vectors fit the corpus, the types of attributes, and the sample ids (dense,
in corpus order). Held are numbers only: about 60 bytes an input.

    part-00000.parquet          one row a sample: scan_part, scan_row, position, caption_position
    part-00000.rejects.parquet  schema REJECTS: one row a refused input
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pyarrow as pa
from pydantic import Field

from ...manifests.arrays import ArraySource, corpus_counts
from ...manifests.artifact import Artifact, Output
from ...manifests.errors import DataError, TooManyRejects
from ...manifests.fingerprint import key_hashes
from ...manifests.schema import ATTRIBUTE_PREFIX, REJECTS, TEXTS, RejectCode, samples_schema
from ...manifests.tables import write_parquet_stream
from ...manifests.vectors import starts_of
from ..base import Inputs, Resources, Runtime, Stage, Task, Worker
from ..registry import suggestion
from .attributes import merge_kinds, type_of
from .vectorcheck import check_vectors

PART = "part-00000"
REJECTS_FILE = "rejects.parquet"

_CODES: tuple[str, ...] = ("", *RejectCode)
_MOST_NAMES = 100
_SHOWN = 10
_PARTS = 64
_PART_ROWS = (256, 8192)


class Census(Stage):
    """Settles what is a sample.

    Attributes:
        arrays: precomputed vectors by space; a sample without a usable vector is refused.
        max_reject_fraction: more refused inputs than this stop the run, once all are written down.
        mask_groups: columns of samples that this run will mask pairs by; they must be there.
        asked: columns that its miners ask for, with the types that will do; they must be there.
    """

    version = 1

    arrays: dict[str, ArraySource] = Field(default_factory=dict)
    max_reject_fraction: Annotated[float, Runtime()] = 0.05
    mask_groups: Annotated[tuple[str, ...], Runtime()] = ()
    asked: Annotated[dict[str, tuple[str, ...]], Runtime()] = Field(default_factory=dict)

    def plan(self, inputs: Inputs) -> list[Task]:
        """Plan the one task."""
        del inputs
        return [Task(PART)]

    def open(self, inputs: Inputs) -> Worker:
        """Return the function that looks at the whole corpus."""
        scan = inputs["scan"]
        return lambda task: self._work(scan, task)

    def resources(self, inputs: Inputs) -> Resources:
        """Hold about 60 bytes an input, and a block of vectors."""
        return Resources(memory_bytes=(400 << 20) + 100 * inputs["scan"].rows)

    def check(self, artifact: Artifact) -> None:
        """Stop a run that lost too many inputs, or asks for columns that samples will not have.

        Raises:
            TooManyRejects: counts by code, the first rejects, and where all of them stand.
            DataError: not one input is a sample, or a column of `mask_groups` is missing.
        """
        facts = artifact.receipts[0].facts
        inputs, rejects = int(facts["inputs"]), int(facts["rejects"])
        if not inputs:
            raise DataError("the corpus holds no input at all: its files are there, but empty.")
        self._check_columns(facts["attributes"])
        if facts["samples"] and rejects <= self.max_reject_fraction * inputs:
            return
        path = artifact.file(PART, REJECTS_FILE)
        by_code = ", ".join(f"{code} {n}" for code, n in facts["rejects_by_code"].items())
        first = "\n".join(f"  {line}" for line in facts["first_rejects"])
        text = (
            f"{rejects} of {inputs} inputs were refused ({by_code}). The first ones:\n{first}\n"
            f"All of them, with reasons: {path} (columns key, where, code, message). "
        )
        if not facts["samples"]:
            raise DataError(f"no input is a usable sample: {text}")
        raise TooManyRejects(
            f"{text}Mend the corpus or corpus.fields, or allow more with "
            f"corpus.max_reject_fraction (now {self.max_reject_fraction})."
        )

    def _check_columns(self, attributes: Mapping[str, str]) -> None:
        columns = samples_schema(dict(attributes)).names
        for name in self.mask_groups:
            if name not in columns:
                raise DataError(
                    f"mask_groups: samples have no column {name!r}.{suggestion(name, columns)} "
                    f"Columns: {', '.join(columns)}."
                )
        for name, types in self.asked.items():
            attribute = name.removeprefix(ATTRIBUTE_PREFIX)
            if name not in columns:
                raise DataError(
                    f"a miner asks for attribute {attribute!r}, which samples do not have."
                    f"{suggestion(attribute, list(attributes))} Known: "
                    f"{', '.join(attributes) or 'none'}. Name its field in "
                    f"corpus.fields.attributes: {{{attribute}: FIELD}}, or another attribute in "
                    "the miner's settings."
                )
            if attribute in attributes and types and attributes[attribute] not in types:
                raise DataError(
                    f"attribute {attribute!r} holds {attributes[attribute]}s, but a miner "
                    f"measures distances in it and needs {' or '.join(types)}."
                )

    def _work(self, scan: Artifact, task: Task) -> Output:
        del task
        _check_fields(scan)
        rows = _Inputs.of(scan)
        refused_by = np.full(len(rows.codes), -1, np.int16)
        rows.refuse_duplicates()
        for number, source in enumerate(self.arrays.values()):
            before = rows.codes.copy()
            check_vectors(scan, source, rows.codes, rows.captions)
            refused_by[rows.codes != before] = number
        table = rows.table()
        facts = self._facts(scan, rows, refused_by)

        def write_rejects(path: Path) -> None:
            tables = (
                _rejects(scan, number, rows, refused_by, list(self.arrays))
                for number in range(len(scan.parts))
            )
            write_parquet_stream(tables, REJECTS, path)

        return Output(table.num_rows, {"parquet": table, REJECTS_FILE: write_rejects}, facts)

    def _facts(self, scan: Artifact, rows: _Inputs, refused_by: np.ndarray) -> dict[str, Any]:
        kept = rows.codes == 0
        codes = np.bincount(rows.codes, minlength=len(_CODES))
        inputs, captions = corpus_counts(scan)
        kinds = _merged_kinds(scan)
        samples = int(kept.sum())
        return {
            "samples": samples,
            "inputs": inputs,
            "rejects": inputs - samples,
            "rejects_by_code": {_CODES[code]: int(n) for code, n in enumerate(codes) if code and n},
            "first_rejects": _first_rejects(scan, rows, refused_by, list(self.arrays)),
            "attributes": {name: type_of(kind) for name, kind in kinds.items()},
            "attribute_kinds": kinds,
            "part_rows": part_rows(samples),
            "captions": int(rows.captions[kept].sum()),
            "input_captions": captions,
            "captioned": int((rows.captions[kept] > 0).sum()),
            "has_images": any(receipt.facts["has_images"] for receipt in scan.receipts),
            "image_bytes": sum(receipt.facts["image_bytes"] for receipt in scan.receipts),
            "case_clashes": rows.case_clashes(),
            **_names(scan, rows),
        }


def part_rows(samples: int) -> int:
    """Return the rows of a part of `samples`: about N/64, a function of N only."""
    low, high = _PART_ROWS
    return min(max(-(-samples // _PARTS), low), high)


class _Inputs:
    """One number of each kind for every input, in corpus order.

    Attributes:
        codes: uint8 [inputs], position in `_CODES`; 0 is a sample.
        captions: int32 [inputs], captions of each.
        hashes, folded: uint64 [inputs, 2], names of the keys, and of the keys in lower case.
        starts: int64 [parts + 1], the input at which each part of `scan` starts.
    """

    def __init__(self, starts: np.ndarray) -> None:
        count = int(starts[-1])
        self.starts = starts
        self.codes = np.zeros(count, np.uint8)
        self.captions = np.zeros(count, np.int32)
        self.hashes = np.zeros((count, 2), np.uint64)
        self.folded = np.zeros((count, 2), np.uint64)

    @classmethod
    def of(cls, scan: Artifact) -> _Inputs:
        """Read the numbers of all parts."""
        rows = cls(starts_of([receipt.rows for receipt in scan.receipts]))
        position = {code: number for number, code in enumerate(_CODES)}
        for number, part in enumerate(scan.parts):
            table = scan.table(part, ["key", "code", "num_captions"])
            here = slice(rows.starts[number], rows.starts[number + 1])
            keys = table["key"].to_pylist()
            rows.codes[here] = [position[code] for code in table["code"].to_pylist()]
            rows.captions[here] = table["num_captions"].to_numpy()
            rows.hashes[here] = key_hashes(keys)
            rows.folded[here] = key_hashes(key.casefold() for key in keys)
        return rows

    def refuse_duplicates(self) -> None:
        """Refuse each good input whose key an earlier good input has."""
        again = _repeated(self.hashes, self.codes == 0)
        self.codes[again] = _CODES.index(RejectCode.DUPLICATE_KEY)

    def case_clashes(self) -> int:
        """Count samples whose key is that of an earlier sample but for upper and lower case."""
        return len(_repeated(self.folded, self.codes == 0))

    def table(self) -> pa.Table:
        """Return the table of samples, in order of sample_id."""
        position = np.flatnonzero(self.codes == 0)
        part = np.searchsorted(self.starts, position, side="right") - 1
        before = np.concatenate([np.zeros(1, np.int64), np.cumsum(self.captions, dtype=np.int64)])
        columns = {
            "scan_part": part.astype(np.int32),
            "scan_row": (position - self.starts[part]).astype(np.int32),
            "position": position,
            "caption_position": before[position],
        }
        fields = [
            pa.field(name, pa.from_numpy_dtype(v.dtype), False) for name, v in columns.items()
        ]
        return pa.table(columns, pa.schema(fields))


def _repeated(hashes: np.ndarray, among: np.ndarray) -> np.ndarray:
    rows = np.flatnonzero(among)
    order = np.lexsort((hashes[rows, 1], hashes[rows, 0]))
    names = hashes[rows[order]]
    again = np.zeros(len(rows), bool)
    again[1:] = (names[1:] == names[:-1]).all(axis=1)
    return np.sort(rows[order[again]])


def _merged_kinds(scan: Artifact) -> dict[str, str]:
    seen: dict[str, set[str]] = {}
    for receipt in scan.receipts:
        for name in receipt.facts["fields_asked"]:
            if name.startswith("attributes."):
                seen.setdefault(name.removeprefix("attributes."), set())
        for name, kind in receipt.facts["attributes"].items():
            seen.setdefault(name, set()).add(kind)
    return {name: merge_kinds(kinds or {"string"}) for name, kinds in sorted(seen.items())}


def _check_fields(scan: Artifact) -> None:
    asked: dict[str, int] = {}
    good = 0
    for receipt in scan.receipts:
        good += receipt.rows - sum(receipt.facts["rejects_by_code"].values())
        for name in receipt.facts["fields_asked"]:
            asked[name] = asked.get(name, 0) + receipt.facts["fields_found"].get(name, 0)
    nowhere = [name for name, found in asked.items() if not found]
    if good and nowhere:
        raise DataError(
            f"corpus.fields.{nowhere[0]}: none of {good} samples has a value there. Correct the "
            "path, or leave it out."
        )


def _names(scan: Artifact, rows: _Inputs) -> dict[str, Any]:
    splits: Counter[str] = Counter()
    labels: Counter[str] = Counter()
    labelled = 0
    for number, part in enumerate(scan.parts):
        kept = pa.array(rows.codes[rows.starts[number] : rows.starts[number + 1]] == 0)
        table = scan.table(part, ["split", "labels"]).filter(kept)
        for item in table["split"].value_counts().to_pylist():
            splits[item["values"]] += item["counts"]
        lists = pa.concat_arrays(table["labels"].chunks or [pa.array([], TEXTS)])
        labelled += int(np.count_nonzero(lists.value_lengths()))
        for item in lists.flatten().value_counts().to_pylist():
            labels[item["values"]] += item["counts"]
    return {
        "splits": _top(splits),
        "labels": {"labelled": labelled, "distinct": len(labels), "counts": _top(labels)},
    }


def _top(counts: Counter[str]) -> dict[str, int]:
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:_MOST_NAMES])


def _rejects(
    scan: Artifact, number: int, rows: _Inputs, refused_by: np.ndarray, spaces: list[str]
) -> pa.Table:
    start, stop = rows.starts[number], rows.starts[number + 1]
    codes = rows.codes[start:stop]
    refused = np.flatnonzero(codes)
    if not len(refused):
        return REJECTS.empty_table()
    columns = ["key", "where", "code", "message"]
    table = scan.table(scan.parts[number], columns).take(pa.array(refused))
    body: dict[str, list[Any]] = {name: table[name].to_pylist() for name in columns}
    for at, row in enumerate(refused):
        if not body["code"][at]:
            code = RejectCode(_CODES[codes[row]])
            body["code"][at] = code
            body["message"][at] = _message(code, int(refused_by[start + row]), spaces)
    return pa.table(body, REJECTS)


_MESSAGES: Mapping[RejectCode, str] = {
    RejectCode.DUPLICATE_KEY: "an earlier input has this key",
    RejectCode.NAN_VECTOR: "NaN or infinity in the vector of space {}",
    RejectCode.ZERO_VECTOR: "the vector of space {} is all zero",
    RejectCode.MISSING_VECTOR: "no vector in space {} has this key",
}


def _message(code: RejectCode, space: int, spaces: list[str]) -> str:
    return _MESSAGES[code].format(spaces[space] if space >= 0 else "")


def _first_rejects(
    scan: Artifact, rows: _Inputs, refused_by: np.ndarray, spaces: list[str]
) -> list[str]:
    lines: list[str] = []
    for number in range(len(scan.parts)):
        if len(lines) >= _SHOWN:
            break
        if not rows.codes[rows.starts[number] : rows.starts[number + 1]].any():
            continue
        for item in _rejects(scan, number, rows, refused_by, spaces).slice(0, _SHOWN).to_pylist():
            lines.append(f"{item['where'] or item['key']}: {item['code']}: {item['message']}")
    return lines[:_SHOWN]
