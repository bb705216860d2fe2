"""Generated pictures: their bytes, their measures, and the rows of `pairs` that name them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ..assets import TABLE, assets_between, has_assets, section_of
from ..errors import CurateError
from ..images import ImageError, inspect_image
from ..schema import NO_ID, Role
from ..shards import ShardReader
from ..vectors import Rows, VectorStore, pair_similarity, starts_of
from .context import TOLERANCE, Context, drawn, matrix
from .edges import floats
from .files import is_inside
from .join import Edges, Names
from .pairs import PairBlock

_QUICK = 256
_PLACE = ["key", "shard", "offset", "size", "sha256", "width", "height"]


def check_assets(context: Context) -> None:
    """Check the table `assets`: ids, counts, bytes, and cosines against the stored vectors."""
    if not has_assets(context.pairset):
        return
    last: dict[str, int] = {}
    for first, table in context.blocks(TABLE, table_columns()):
        sections = np.array([section_of(key) for key in table["key"].to_pylist()], object)
        _check_rows(context, first, table, sections)
        _check_counts(context, first, table, sections, last)
        _check_measures(context, first, table, sections)
    _check_bytes(context)


def table_columns() -> list[str]:
    """Return the columns that are held against each other."""
    numbers = ["similarity", "hardness", "nearest_id", "nearest_similarity"]
    return ["asset_id", "anchor_id", *_PLACE, *numbers]


def _check_rows(context: Context, first: int, table: pa.Table, sections: np.ndarray) -> None:
    notes, known = context.notes, context.pairset.manifest["assets"]
    wrong = table["asset_id"].to_numpy() != np.arange(first, first + table.num_rows)
    notes.rows("dense-ids", TABLE, wrong, first, lambda row: f"expected {first + row}")
    anchors = table["anchor_id"].to_numpy()
    wrong = ~context.in_range(anchors)
    notes.rows("id-range", TABLE, wrong, first, lambda row: f"anchor {anchors[row]}: no sample")
    wrong = ~np.isin(sections.astype(str), list(known))
    notes.rows("section", TABLE, wrong, first, lambda row: f"{sections[row]!r} is no section")
    listed = {entry["path"] for item in known.values() for entry in item["shards"]}
    shards = table["shard"].to_pylist()
    wrong = np.array([not (name in listed and is_inside(name)) for name in shards], bool)
    notes.rows("shard", TABLE, wrong, first, lambda row: f"{shards[row]!r} is not in the manifest")


def _check_counts(
    context: Context, first: int, table: pa.Table, sections: np.ndarray, last: dict[str, int]
) -> None:
    """No anchor has more assets than its section makes; assets of a section rise by anchor."""
    anchors = table["anchor_id"].to_numpy()
    for name, item in context.pairset.manifest["assets"].items():
        rows = np.flatnonzero(sections == name)
        own = anchors[rows]
        before = np.concatenate([[last.get(name, -1)], own[:-1]]) if len(own) else own
        falling = np.zeros(table.num_rows, bool)
        falling[rows] = own < before
        text = "assets stand by anchor"
        context.notes.rows("anchor-order", TABLE, falling, first, lambda row, t=text: t)
        if len(own):
            last[name] = int(own[-1])
        many = np.flatnonzero(np.bincount(own, minlength=1) > item["count"]) if len(own) else own
        wrong = np.zeros(table.num_rows, bool)
        wrong[rows] = np.isin(own, many)
        context.notes.rows(
            "asset-count",
            TABLE,
            wrong,
            first,
            lambda row, most=item["count"]: f"anchor {anchors[row]} has more than {most} assets",
        )


def _check_measures(context: Context, first: int, table: pa.Table, sections: np.ndarray) -> None:
    """Cosines as the stored vectors give them; the nearest stands in split, outside the group."""
    similarity, nearest = floats(table["similarity"]), floats(table["nearest_similarity"])
    hardness = floats(table["hardness"])
    wrong = ~np.isclose(hardness, 1 - similarity, atol=1e-6, equal_nan=True)
    context.notes.rows("hardness", TABLE, wrong, first, lambda row: "hardness is 1 - similarity")
    anchors = np.clip(table["anchor_id"].to_numpy(), 0, context.samples - 1)
    other = pc.fill_null(table["nearest_id"], NO_ID).to_numpy()
    there = context.in_range(other)
    safe = np.where(there, other, 0)
    _, split = context.splits
    alien = there & (split[safe] != split[anchors])
    context.notes.rows("split-mixed", TABLE, alien, first, lambda row: "nearest of another split")
    near = there & (context.group_id[safe] == context.group_id[anchors])
    context.notes.rows("group", TABLE, near, first, lambda row: "nearest of the anchor's group")
    before = 0
    for name, item in context.pairset.manifest["assets"].items():
        rows = np.flatnonzero(sections == name)
        store = context.vectors(item["space"])
        if len(rows) and store is not None:
            vectors = _vectors(context, item).rows(first + rows - before)
            for ids, said, what in ((anchors, similarity, "anchor"), (safe, nearest, "nearest")):
                used = ~np.isnan(said[rows]) & (there[rows] | (what == "anchor"))
                exact = pair_similarity(vectors, store.rows(ids[rows]))
                wrong = np.zeros(table.num_rows, bool)
                wrong[rows] = used & ~(np.abs(exact - said[rows]) <= TOLERANCE)
                text = f"stored cosine to the {what} is not that of the stored vectors"
                context.notes.rows("similarity", TABLE, wrong, first, lambda row, t=text: t)
            context.notes.looked_at("asset similarities", len(rows))
        before += item["assets"]


def _vectors(context: Context, item: Mapping[str, Any]) -> VectorStore:
    files = tuple(context.pairset.root / entry["path"] for entry in item["vectors"])
    starts = starts_of([entry["rows"] for entry in item["vectors"]])
    return VectorStore(TABLE, Rows(files, starts))


def _check_bytes(context: Context) -> None:
    """Each asset (or 256 drawn ones) is a picture with its hash and size."""
    reader, total = ShardReader(), int(context.pairset.counts[TABLE])
    chosen = np.arange(total) if context.deep else drawn(total, _QUICK, TABLE)
    for first, table in context.blocks(TABLE, _PLACE):
        low, high = np.searchsorted(chosen, [first, first + table.num_rows])
        picked = chosen[low:high]
        for row, record in zip(
            picked.tolist(), table.take(pa.array(picked - first)).to_pylist(), strict=True
        ):
            context.notes.looked_at("assets", 1)
            problem = _problem(context, reader, record)
            if problem:
                context.notes.add("asset-bytes", TABLE, row, f"{record['key']}: {problem}")


def _problem(context: Context, reader: ShardReader, record: Mapping[str, Any]) -> str | None:
    if not is_inside(record["shard"]):
        return None
    url = str(context.pairset.root / record["shard"])
    try:
        data = reader.read(url, record["offset"], record["size"])
        if hashlib.sha256(data).hexdigest() != record["sha256"]:
            return "its bytes have another sha256"
        width, height, _ = inspect_image(data)
    except (OSError, EOFError, ImageError, CurateError) as error:
        return str(error)
    wrong = (width, height) != (record["width"], record["height"])
    return f"{width} x {height} pixels, stored otherwise" if wrong else None


def check_asset_places(context: Context, block: PairBlock, names: Names, edges: Edges) -> None:
    """Assets in `pairs` are the anchor's own, taken, each once; none is anything but a positive."""
    made = edges.where(edges.asset != "")
    wrong = ~(made.is_role(Role.POSITIVE) | made.is_role(Role.REFUSED))
    context.notes.rows(
        "asset-role",
        "edges",
        wrong,
        made.row,
        lambda at: f"anchor {made.anchor[at]}, {made.asset[at]}: an asset is a positive or refused",
    )
    width = int(context.pairset.counts["A"])
    ids = matrix(block.table, "positive_asset_ids", width)
    said = matrix(block.table, "positive_asset_valid_from", width)
    empty = ids == NO_ID
    block.note(context, "padding", empty[:, :-1] & ~empty[:, 1:], None, "an empty asset, then one")
    block.note(context, "valid-from", empty & (said != 0), ids, "an empty place holds from 0")
    low, high = int(block.anchor.min(initial=0)), int(block.anchor.max(initial=-1))
    table = assets_between(context.pairset, low, high, ["asset_id", "key", "anchor_id"])
    keys = dict(zip(table["asset_id"].to_pylist(), table["key"].to_pylist(), strict=True))
    owner = dict(zip(keys, table["anchor_id"].to_pylist(), strict=True))
    taken = made.where(made.is_role(Role.POSITIVE))
    valid = dict(zip(taken.asset.tolist(), taken.valid_from.tolist(), strict=True))
    bad = np.zeros(ids.shape, bool)
    for row, place in zip(*np.nonzero(~empty), strict=True):
        number = int(ids[row, place])
        holds = valid.get(keys.get(number, ""))
        twice = number in ids[row, :place]
        bad[row, place] = (
            twice
            or owner.get(number) != block.anchor[row]
            or (holds is None or abs(holds - said[row, place]) > 1e-6)
        )
    block.note(context, "unexplained", bad, ids, "an asset without its edge, or of another anchor")
    listed = {keys.get(int(number)) for number in ids[~empty]}
    full = ~empty.all(axis=1) & ~empty.any(axis=1)
    room = ~full[names.row(taken.anchor)]
    missing = np.array([key not in listed for key in taken.asset.tolist()], bool) & room
    context.notes.rows(
        "left-out", "edges", missing, taken.row, lambda at: f"{taken.asset[at]} is in no row"
    )
