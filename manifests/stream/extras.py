"""Columns of `pairs` that not every pairset has, as arrays; and what a training progress allows."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from ..fingerprint import draw_uniform
from ..pairset import Pairset
from ..schema import NO_ID, PAIR_EXTRAS, list_matrix
from .picks import pick_places
from .rows import Allocate

Blocks = Callable[[list[str]], Iterator[tuple[int, pa.Table]]]
"""Reads columns of `pairs`: (first row, table) block by block."""

_MIX = {"type": np.int8, "a_id": np.int64, "b_id": np.int64, "coef": np.float32, "seed": np.int64}


def present(pairset: Pairset) -> list[str]:
    """Return the names of the extra columns that a pairset has."""
    return [extra.name for extra in PAIR_EXTRAS if pairset.counts.get(extra.present)]


def extra_bytes(pairset: Pairset, captions: bool) -> int:
    """Return about how many bytes the extra columns take (a negative caption: 60)."""
    counts, total = pairset.counts, 0
    a_place = {"soft_ids": 8, "soft_targets": 4, "synthetic": 30, "positive_asset_ids": 8}
    for extra in PAIR_EXTRAS:
        if counts.get(extra.present) and (captions or extra.name != "negative_texts"):
            each = 68 if extra.name == "negative_texts" else a_place.get(extra.name, 4)
            total += counts["pairs"] * counts[extra.length] * each
    return total


def read_extras(
    pairset: Pairset, blocks: Blocks, allocate: Allocate, captions: bool
) -> tuple[str, ...]:
    """Read the extra columns into arrays.

    `soft_ids`, `soft_targets`, `positive_asset_ids` and `*_valid_from` [M, length] under their own
    names; `mix_method` (code), `mix_type`, `mix_a_id`, `mix_b_id`, `mix_coef`, `mix_seed` [M, Y];
    `text_starts` [M T + 1] and `text_bytes`, only with captions.

    Returns:
        The methods of synthetic negatives, by code.
    """
    counts, names = pairset.counts, present(pairset)
    rows, methods = counts["pairs"], dict[str, int]()
    plain = [name for name in names if name not in ("synthetic", "negative_texts")]
    lengths = {extra.name: counts[extra.length] for extra in PAIR_EXTRAS if extra.name in names}
    arrays = {
        name: allocate(
            name, (rows, lengths[name]), np.int64 if name.endswith("_ids") else np.float32
        )
        for name in plain
    }
    for start, table in blocks(plain) if plain else ():
        for name, array in arrays.items():
            array[start : start + table.num_rows] = list_matrix(table[name], array.shape[1])
    if "synthetic" in names:
        _read_mixes(lengths["synthetic"], rows, blocks, allocate, methods)
    if captions and "negative_texts" in names:
        _read_texts(lengths["negative_texts"], rows, blocks, allocate)
    return tuple(methods)


def _read_mixes(
    width: int, rows: int, blocks: Blocks, allocate: Allocate, methods: dict[str, int]
) -> None:
    arrays = {name: allocate(f"mix_{name}", (rows, width), kind) for name, kind in _MIX.items()}
    code = allocate("mix_method", (rows, width), np.int8)
    for start, table in blocks(["synthetic"]):
        flat = pa.concat_arrays([chunk.flatten() for chunk in table["synthetic"].chunks])
        span = slice(start, start + table.num_rows)
        for name, array in arrays.items():
            array[span] = flat.field(name).to_numpy(zero_copy_only=False).reshape(-1, width)
        words = flat.field("method").dictionary_encode()
        known = [methods.setdefault(word, len(methods)) for word in words.dictionary.to_pylist()]
        code[span] = np.array(known, np.int8)[words.indices.to_numpy()].reshape(-1, width)


def _read_texts(width: int, rows: int, blocks: Blocks, allocate: Allocate) -> None:
    starts = allocate("text_starts", (rows * width + 1,), np.int64)
    starts[0] = 0
    for first, table in blocks(["negative_texts"]):
        texts = [t.encode() for row in table["negative_texts"].to_pylist() for t in row]
        at = first * width
        sizes = np.array([len(text) for text in texts], np.int64)
        starts[at + 1 : at + 1 + len(texts)] = starts[at] + np.cumsum(sizes)
    data = allocate("text_bytes", (int(starts[-1]),), np.uint8)
    for first, table in blocks(["negative_texts"]):
        joined = "".join(t for row in table["negative_texts"].to_pylist() for t in row).encode()
        at = starts[first * width]
        data[at : at + len(joined)] = np.frombuffer(joined, np.uint8)


@dataclass(frozen=True)
class Mixes:
    """Recipes of synthetic negatives of B pairs, M each; all numpy, empty places have a_id -1.

    Attributes:
        methods: int8 [B, M], code of the method.
        types: int8 [B, M].
        a_ids: int64 [B, M] sample ids.
        b_ids: int64 [B, M] sample ids, -1 for none or the anchor itself.
        coefs: float32 [B, M].
        seeds: int64 [B, M].
    """

    methods: np.ndarray
    types: np.ndarray
    a_ids: np.ndarray
    b_ids: np.ndarray
    coefs: np.ndarray
    seeds: np.ndarray


def draw_mixes(arrays: Any, rows: np.ndarray, count: int, seed: int, epoch: int) -> Mixes:
    """Draw `count` of the recipes of each pair, other ones each epoch, none twice.

    Args:
        arrays: columns by name, those of `read_extras` among them.
        rows: int64 [B], rows of `pairs`.
        count: recipes of a pair; those without so many get empty places.
        seed: of the stream.
        epoch: of the batch.
    """
    a_ids = arrays["mix_a_id"][rows]
    drawn = pick_places(a_ids != NO_ID, draw_uniform(seed, rows, f"mixes/{epoch}", count))
    there, places = drawn != NO_ID, np.maximum(drawn, 0)

    def at(name: str, fill: int) -> np.ndarray:
        found = np.take_along_axis(arrays[f"mix_{name}"][rows], places, axis=1)
        return np.where(there, found, np.array(fill, found.dtype))

    fills = {"method": 0, "type": 0, "a_id": NO_ID, "b_id": NO_ID, "coef": 0, "seed": 0}
    return Mixes(*(at(name, fill) for name, fill in fills.items()))


def draw_assets(
    arrays: Any, rows: np.ndarray, count: int, seed: int, epoch: int, progress: float
) -> np.ndarray:
    """Draw `count` of the generated positives that each pair has at a progress, none twice.

    Evenly, other ones each epoch (CLSP: one of eight a visit).

    Args:
        arrays: columns by name, those of `read_extras` among them.
        rows: int64 [B], rows of `pairs`.
        count: of each pair; those without so many get -1.
        seed: of the stream.
        epoch: of the batch.
        progress: of the training, 0..1.

    Returns:
        int64 [B, count] asset ids.
    """
    ids = arrays["positive_asset_ids"][rows]
    holds = (ids != NO_ID) & (arrays["positive_asset_valid_from"][rows] <= progress)
    drawn = pick_places(holds, draw_uniform(seed, rows, f"assets/{epoch}", count))
    places = np.maximum(drawn, 0)
    return np.where(drawn != NO_ID, np.take_along_axis(ids, places, axis=1), NO_ID)


def allowed(arrays: Any, role: str, rows: np.ndarray, progress: float) -> np.ndarray | None:
    """Say which places of a list hold at a training progress: bool [B, length], or None for all.

    Args:
        arrays: columns by name.
        role: "positive", "negative" or "false_negative".
        rows: int64 [B], rows of `pairs`.
        progress: 0..1.
    """
    name = f"{role}_valid_from"
    return arrays[name][rows] <= progress if name in arrays else None
