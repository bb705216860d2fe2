"""The tables of pairset/1: columns, types, and the codes that stand in them.

Only types that every reader knows (pyarrow, DuckDB, Polars, pandas, Hugging Face datasets) are
used: int64, int8, int32, float32, float64, bool, string, timestamp, and lists of those. A list of
ids has one length in a whole table; empty places hold -1.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from .schema_assets import ASSETS
from .selection import SELECTION
from .words import Action as Action
from .words import Reason, Role
from .words import RejectCode as RejectCode

FORMAT = "pairset/1"
NO_ID = -1
"""What an empty place in a list of ids holds."""
ATTRIBUTE_PREFIX = "attr_"
"""Attribute `camera` of the corpus is column `attr_camera` of `samples`."""
NEIGHBORS_PREFIX = "neighbors/"
"""The graph "image>image" is table "neighbors/image>image" of the manifest."""
CLUSTERS_PREFIX = "clusters/"
"""The set of clusters "terrain" is table "clusters/terrain" of the manifest."""
ORDER = "feistel4-v1"
"""The algorithm that orders an epoch; another one gets another name."""


REASONS: tuple[Reason, ...] = tuple(Reason)
"""Position = the uint8 code that miners use; code 0 is TAKEN."""
REASON_CODE: dict[Reason, int] = {reason: code for code, reason in enumerate(REASONS)}

PADDING_KIND = -1
"""Kind of an empty place in `positive_ids` or `negative_ids`; real kinds are numbered from 0 in
the order of `kinds` in manifest.json (ids of the miners of the run)."""


def _required(*fields: tuple[str, pa.DataType]) -> list[pa.Field]:
    return [pa.field(name, kind, nullable=False) for name, kind in fields]


IDS = pa.list_(pa.field("element", pa.int64(), nullable=False))
FLOATS = pa.list_(pa.field("element", pa.float32(), nullable=False))
CODES = pa.list_(pa.field("element", pa.int8(), nullable=False))
TEXTS = pa.list_(pa.field("element", pa.string(), nullable=False))
MIXES = pa.list_(
    pa.field(
        "element",
        pa.struct(
            _required(
                ("method", pa.string()),
                ("type", pa.int8()),
                ("a_id", pa.int64()),
                ("b_id", pa.int64()),
                ("coef", pa.float32()),
                ("seed", pa.int64()),
            )
        ),
        nullable=False,
    )
)
"""Recipes of synthetic negatives: which samples are mixed and how; never vectors."""

SAMPLES = pa.schema(
    [
        *_required(
            ("sample_id", pa.int64()),
            ("key", pa.string()),
            ("shard", pa.string()),
            ("offset", pa.int64()),
            ("size", pa.int64()),
        ),
        pa.field("sha256", pa.string()),
        *_required(("ext", pa.string())),
        pa.field("width", pa.int32()),
        pa.field("height", pa.int32()),
        pa.field("caption", pa.string()),
        *_required(("captions", TEXTS)),
        pa.field("label", pa.string()),
        *_required(("labels", TEXTS), ("group_id", pa.int64())),
        pa.field("cluster_id", pa.int64()),
        pa.field("uid", pa.string()),
        *_required(("split", pa.string())),
    ]
)
"""`samples`, before the attribute columns (see `samples_schema`).

`shard` is a path relative to the pairset (images it holds), an absolute path or URL (the corpus's
own tar), or "" where there is no image; `offset`/`size` are the payload's first byte and length.
`caption` is the first of `captions`; `label` the first of `labels`. `group_id` is the smallest
sample_id of the near-duplicate group.
"""

REJECTS = pa.schema(
    _required(
        ("key", pa.string()),
        ("where", pa.string()),
        ("code", pa.string()),
        ("message", pa.string()),
    )
)
"""`rejects`: one row a refused input. `where` is the file (and member or row), `code` is one of
`manifests.schema.RejectCode`."""


NEIGHBORS = pa.schema(
    [
        *_required(("sample_id", pa.int64()), ("neighbor_ids", IDS), ("similarities", FLOATS)),
        pa.field("query_mean", pa.float32()),
        pa.field("bank_mean", pa.float32()),
    ]
)
"""`neighbors/<space pair>`: k ids by falling similarity, ties by sample_id; -1 / 0.0 fill. A graph
that is corrected for hubs is ordered by similarity - weight * bank_mean[neighbor], the weight in
`neighbors.<space pair>.correction` of manifest.json; both means are null elsewhere."""

EDGES = pa.schema(
    [
        *_required(("anchor_id", pa.int64())),
        pa.field("other_id", pa.int64()),
        pa.field("text", pa.string()),
        pa.field("asset", pa.string()),
        *_required(("role", pa.string()), ("miner", pa.string()), ("space", pa.string())),
        *_required(("rank", pa.int32())),
        pa.field("similarity", pa.float32()),
        pa.field("corrected_similarity", pa.float32()),
        pa.field("positive_similarity", pa.float32()),
        *_required(("weight", pa.float32())),
        pa.field("action", pa.string()),
        *_required(("valid_from", pa.float32()), ("reason", pa.string()), ("round", pa.int32())),
    ]
)
"""`edges`: every decision of every miner. `miner` is the miner's id in the run (its name, with a
number where a config has it twice); `space` the graph ("image>image") or "" ; `reason` is "" on
taken edges. Sorted by anchor_id, then by the order of miners in the config, then by rank."""

PAIRS = pa.schema(
    _required(
        ("pair_id", pa.int64()),
        ("anchor_id", pa.int64()),
        ("positive_ids", IDS),
        ("positive_scores", FLOATS),
        ("positive_weights", FLOATS),
        ("positive_kinds", CODES),
        ("negative_ids", IDS),
        ("negative_scores", FLOATS),
        ("negative_weights", FLOATS),
        ("negative_kinds", CODES),
        ("false_negative_ids", IDS),
        ("weight", pa.float32()),
        ("group_id", pa.int64()),
        ("cluster_id", pa.int64()),
        ("rule", pa.string()),
        ("split", pa.string()),
    )
)
"""`pairs`: one row an anchor. `pair_id` is dense, 0.., in anchor order. Scores are similarities in
the space of the miner (0 where it has none). `false_negative_ids` (ascending, -1 padding last) are
never to be contrasted with the anchor, wherever they appear in a batch. `cluster_id` is -1 where
nothing clustered the corpus. `rule` names the miners that filled the row, those of generated
pictures and of hard captions included: "knn+label|hard|topk". More columns may follow, see
`PAIR_EXTRAS`."""


@dataclass(frozen=True)
class Extra:
    """A list column of `pairs` that is there only when something in the run mines it.

    Attributes:
        name: of the column.
        kind: its type.
        present: the entry of the manifest's `counts` without which the column is not there.
        length: the entry of `counts` that holds the length of the list.
    """

    name: str
    kind: pa.DataType
    present: str
    length: str


PAIR_EXTRAS = (
    Extra("positive_valid_from", FLOATS, "V", "P"),
    Extra("negative_valid_from", FLOATS, "V", "K"),
    Extra("false_negative_valid_from", FLOATS, "V", "F"),
    Extra("soft_ids", IDS, "S", "S"),
    Extra("soft_targets", FLOATS, "S", "S"),
    Extra("negative_texts", TEXTS, "T", "T"),
    Extra("synthetic", MIXES, "Y", "Y"),
    Extra("positive_asset_ids", IDS, "A", "A"),
    Extra("positive_asset_valid_from", FLOATS, "A", "A"),
)
"""Columns behind those of `PAIRS`, in this order.

`*_valid_from` (a schedule, V = 1): training progress 0..1 from which the entry of the list beside
it holds. `soft_ids`, `soft_targets`: samples and the share of each in the anchor's soft target;
what is missing to 1 was cut off with the tail. `negative_texts`: captions that are wrong for the
anchor's image, "" padding. `synthetic`: recipes of synthetic negatives, a_id -1 padding; b_id -1
where the second parent is the anchor's own embedding or none. `positive_asset_ids`: generated
pictures that are positives of the anchor (ids of `assets`, no sample ids), -1 padding, most similar
first; `positive_asset_valid_from` as above."""


CLUSTERS = pa.schema(
    _required(
        ("sample_id", pa.int64()),
        ("cluster_ids", IDS),
        ("confidences", FLOATS),
        ("accept_ranks", IDS),
    )
)
"""`clusters/<name>`: one row a sample, one place a level, the finest first; -1 / 0.0 / -1 where a
sample is in no cluster. Accept ranks number those that are, by falling confidence."""

ACCEPT_RANK = "accept_rank"
"""Column of `samples`, int64, that is there only where the manifest has `mask_schedules`: of two
samples with one `cluster_id`, neither contrasts the other once the ranks of both are below
floor(r(p) * ranked) at training progress p."""


def pairs_schema(counts: Mapping[str, int]) -> pa.Schema:
    """Return the schema of `pairs` of a pairset with these `counts`."""
    extras = [
        pa.field(extra.name, extra.kind, nullable=False)
        for extra in PAIR_EXTRAS
        if counts.get(extra.present)
    ]
    return pa.schema([*PAIRS, *extras])


def samples_schema(attributes: dict[str, str], accept_rank: bool = False) -> pa.Schema:
    """Return the schema of `samples` with the corpus's attribute columns.

    Args:
        attributes: name of each attribute and its type: "string", "float" or "time".
        accept_rank: whether there is a column ACCEPT_RANK, before the attributes.
    """
    kinds: dict[str, Any] = {
        "string": pa.string(),
        "float": pa.float64(),
        "time": pa.timestamp("us", tz="UTC"),
    }
    extra = [
        pa.field(ATTRIBUTE_PREFIX + name, kinds[kind]) for name, kind in sorted(attributes.items())
    ]
    ranks = [pa.field(ACCEPT_RANK, pa.int64(), nullable=False)] if accept_rank else []
    return pa.schema([*SAMPLES, *ranks, *extra])


def table_schema(table: str, manifest: Mapping[str, Any]) -> pa.Schema | None:
    """Return the schema of a table as the manifest names it, or None where there is no such table.

    Args:
        table: "samples", "rejects", "edges", "pairs", "selection", "neighbors/<graph>" or
            "clusters/<name>".
        manifest: of the pairset; its `attributes` and `counts` decide columns.
    """
    if table == "samples":
        return samples_schema(dict(manifest["attributes"]), bool(manifest.get("mask_schedules")))
    if table == "pairs":
        return pairs_schema(manifest["counts"])
    if table.startswith(NEIGHBORS_PREFIX):
        return NEIGHBORS
    if table.startswith(CLUSTERS_PREFIX):
        return CLUSTERS
    others = {"rejects": REJECTS, "edges": EDGES, "assets": ASSETS, "selection": SELECTION}
    return others.get(table)


def list_lengths(table: str, manifest: Mapping[str, Any]) -> dict[str, int]:
    """Return the length that each list column of a table has in all rows.

    Lists of other columns (captions, labels) have a length of their own in each row.
    """
    if table.startswith(NEIGHBORS_PREFIX):
        k = int(manifest["neighbors"][table.removeprefix(NEIGHBORS_PREFIX)]["k"])
        return {"neighbor_ids": k, "similarities": k}
    if table.startswith(CLUSTERS_PREFIX):
        levels = len(manifest["clusters"][table.removeprefix(CLUSTERS_PREFIX)]["levels"])
        return {column: levels for column in CLUSTERS.names if column != "sample_id"}
    if table != "pairs":
        return {}
    counts = manifest["counts"]
    lengths = {"false_negative_ids": int(counts["F"])}
    for role, length in ((Role.POSITIVE, counts["P"]), (Role.NEGATIVE, counts["K"])):
        for what in ("ids", "scores", "weights", "kinds"):
            lengths[f"{role}_{what}"] = int(length)
    present = (extra for extra in PAIR_EXTRAS if counts.get(extra.present))
    return lengths | {extra.name: int(counts[extra.length]) for extra in present}


def padded_list(values: np.ndarray, kind: pa.DataType) -> pa.ListArray:
    """Turn a [rows, n] numpy array into a list column of constant length n, without copies."""
    rows, length = values.shape
    offsets = pa.array(np.arange(rows + 1, dtype=np.int32) * np.int32(length))
    flat = pa.array(np.ascontiguousarray(values).reshape(-1), kind.value_type)
    return pa.ListArray.from_arrays(offsets, flat, type=kind)


def list_matrix(column: pa.ChunkedArray | pa.Array, length: int | None = None) -> np.ndarray:
    """Return a list column of constant length as a [rows, length] numpy array.

    Raises:
        ValueError: the lists differ in length.
    """
    array = column
    if isinstance(column, pa.ChunkedArray):
        array = pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], column.type)
    flat = array.flatten().to_numpy(zero_copy_only=False)
    rows = len(array)
    if length is None:
        length = len(flat) // rows if rows else 0
    if len(flat) != rows * length or (np.diff(array.offsets.to_numpy()) != length).any():
        raise ValueError(f"lists of one length {length} were expected in {rows} rows")
    return flat.reshape(rows, length)
