"""`samples` and `rejects`: dense ids, unique keys, groups, known codes.

A reject may bear the key of a sample: `a.jpg` is damaged, `a.png` is not.
"""

from __future__ import annotations

from collections import Counter

import numpy as np
import pyarrow as pa

from ..fingerprint import key_hashes
from ..schema import RejectCode
from .context import Context

_COLUMNS = ["sample_id", "key", "caption", "captions", "label", "labels", "size", "shard"]


def check_samples(context: Context) -> None:
    """Check ids, keys, first captions and labels; holds 16 bytes a key."""
    blocks = [np.zeros((0, 2), np.uint64)]
    for first, block in context.blocks("samples", _COLUMNS):
        ids = block["sample_id"].to_numpy()
        expected = np.arange(first, first + len(ids))
        context.notes.rows(
            "dense-ids",
            "samples",
            ids != expected,
            first,
            lambda row, ids=ids, first=first: f"sample_id {ids[row]}, expected {first + row}",
        )
        _check_firsts(context, first, block)
        blocks.append(key_hashes(block["key"].to_pylist()))
    hashes = np.concatenate(blocks)
    _check_unique(context, hashes)
    if "rejects" not in context.broken:
        _check_rejects(context)


def _check_firsts(context: Context, first: int, block: pa.Table) -> None:
    for one, many in (("caption", "captions"), ("label", "labels")):
        heads = [values[0] if values else None for values in block[many].to_pylist()]
        single = block[one].to_pylist()
        wrong = np.array([a != b for a, b in zip(single, heads, strict=True)], bool)
        context.notes.rows(
            f"first-{one}",
            "samples",
            wrong,
            first,
            lambda row, one=one, many=many, single=single, heads=heads: (
                f"{one} is {single[row]!r}, the first of {many} is {heads[row]!r}"
            ),
        )


def _check_unique(context: Context, hashes: np.ndarray) -> None:
    order = np.lexsort((hashes[:, 1], hashes[:, 0]))
    ranked = hashes[order]
    same = (ranked[1:] == ranked[:-1]).all(axis=1)
    wrong = np.zeros(len(hashes), bool)
    # lexsort is stable, so of equal keys the first row stays and the later ones are marked.
    wrong[order[1:][same]] = True
    before = dict(zip(order[1:][same].tolist(), order[:-1][same].tolist(), strict=True))
    context.notes.rows(
        "unique-keys",
        "samples",
        wrong,
        0,
        lambda row: f"has the key of row {before[row]}: {key_of(context, row)!r}",
    )


def key_of(context: Context, row: int) -> str:
    """Return the key of a sample (reads one row group)."""
    for first, block in context.blocks("samples", ["key"]):
        if row < first + block.num_rows:
            return str(block["key"][row - first].as_py())
    return "?"


def _check_rejects(context: Context) -> None:
    known = {str(code) for code in RejectCode}
    counted: Counter[str] = Counter()
    for first, block in context.blocks("rejects", ["code"]):
        codes = block["code"].to_pylist()
        counted.update(codes)
        unknown = np.array([code not in known for code in codes], bool)
        context.notes.rows(
            "reject-code",
            "rejects",
            unknown,
            first,
            lambda row, codes=codes: f"{codes[row]!r} is no code of pairset/1",
        )
    _check_reject_counts(context, counted)


def _check_reject_counts(context: Context, counted: Counter[str]) -> None:
    said = context.pairset.manifest["quality"].get("rejects_by_code")
    if said is not None and {code: n for code, n in said.items() if n} != dict(counted):
        message = f"the manifest counts {dict(said)}, the table holds {dict(counted)}"
        context.notes.add("reject-count", "rejects", None, message)


def check_groups(context: Context) -> None:
    """Check that each group bears the smallest id of its members, and that all exist."""
    group = context.group_id
    rows = np.arange(len(group))
    valid = (group >= 0) & (group <= rows)
    root = np.where(valid, group, 0)
    wrong = ~valid | (group[root] != root)
    context.notes.rows(
        "group-id",
        "samples",
        wrong,
        0,
        lambda row: f"group_id {group[row]} is not the smallest sample_id of its group",
    )
    if wrong.any():
        return
    sizes = np.bincount(group, minlength=len(group))
    found = {"groups": int((sizes > 1).sum()), "grouped_samples": int(sizes[sizes > 1].sum())}
    said = context.pairset.manifest["groups"]
    for name, count in found.items():
        if name in said and said[name] != count:
            message = f"the manifest says {said[name]} {name}, the column has {count}"
            context.notes.add("group-count", "samples", None, message)
