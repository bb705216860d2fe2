"""Columns of `pairs` that are there only when something mines them (`schema.PAIR_EXTRAS`)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from ...manifests.schema import FLOATS, IDS, MIXES, TEXTS, padded_list
from .rows import Lists


def extra_columns(lists: Lists, texts: pa.ChunkedArray) -> dict[str, Any]:
    """Return the columns of schedules, soft targets and negative captions.

    Args:
        lists: of the rows that are written.
        texts: column `text` of the edges, into which `lists.texts` points.
    """
    # One more entry, so that place -1 holds the padding.
    words = pa.array([*texts.cast(pa.string()).to_pylist(), ""], pa.string())
    places = np.where(lists.texts < 0, len(words) - 1, lists.texts)
    width = places.shape[1]
    offsets = pa.array(np.arange(len(places) + 1, dtype=np.int32) * np.int32(width))
    named = {
        "positive": lists.positives,
        "negative": lists.negatives,
        "false_negative": lists.false_negatives,
    }
    schedules = {f"{role}_valid_from": kept.valid_from for role, kept in named.items()}
    return {
        **{name: padded_list(values, FLOATS) for name, values in schedules.items()},
        "soft_ids": padded_list(lists.soft.ids, IDS),
        "soft_targets": padded_list(lists.soft.weights, FLOATS),
        "negative_texts": pa.ListArray.from_arrays(
            offsets, words.take(pa.array(places.reshape(-1))), type=TEXTS
        ),
    }


def joined_mixes(tables: Sequence[pa.Table], kept: np.ndarray) -> pa.Array:
    """Return the recipes of synthetic negatives of some anchors, one mixer behind the other.

    Args:
        tables: of one part, a row an anchor, column `synthetic` of one length each.
        kept: int64 [n], rows that are wanted.
    """
    columns = [table["synthetic"].take(pa.array(kept)).combine_chunks() for table in tables]
    lengths = [len(column.flatten()) // max(len(kept), 1) for column in columns]
    starts = np.cumsum([0, *(len(column.flatten()) for column in columns)])[:-1]
    rows = np.arange(len(kept))[:, None]
    places = [
        start + rows * length + np.arange(length)
        for start, length in zip(starts, lengths, strict=True)
    ]
    flat = pa.concat_arrays([column.flatten() for column in columns])
    joined = np.concatenate(places, axis=1)
    offsets = pa.array(np.arange(len(kept) + 1, dtype=np.int32) * np.int32(joined.shape[1]))
    return pa.ListArray.from_arrays(offsets, flat.take(pa.array(joined.reshape(-1))), type=MIXES)
