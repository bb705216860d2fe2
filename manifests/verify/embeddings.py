"""Every space: float16 rows in sample order, unit norm or all zero, finite, and none too few."""

from __future__ import annotations

import numpy as np

from ..vectors import widen
from .context import Context

_NORM = 4e-3
"""float16 rounds each value by up to 2^-11 of itself; the norm moves by less than this."""


def check_embeddings(context: Context) -> None:
    """Check type, shape and rows of each space."""
    for space in context.pairset.manifest["embeddings"]:
        if f"embeddings/{space}" not in context.broken and _shapes_fit(context, space):
            _check_rows(context, space)


def _shapes_fit(context: Context, space: str) -> bool:
    entry, name = context.pairset.manifest["embeddings"][space], f"embeddings/{space}"
    total, fits = 0, True
    for file in entry["files"]:
        array = np.load(context.pairset.root / file["path"], mmap_mode="r", allow_pickle=False)
        wanted = (file["rows"], entry["dim"])
        if array.dtype != np.float16 or array.shape != wanted:
            message = f"{file['path']}: {array.dtype} {array.shape}, expected float16 {wanted}"
            context.notes.add("vectors", name, None, message)
            fits = False
        total += file["rows"]
    if total != context.samples:
        message = f"{total} rows, there are {context.samples} samples"
        context.notes.add("vector-rows", name, None, message)
        fits = False
    if not fits:
        context.broken.add(name)
    return fits


def _check_rows(context: Context, space: str) -> None:
    entry, name = context.pairset.manifest["embeddings"][space], f"embeddings/{space}"
    empty = 0
    for first, block in context.pairset.vectors(space).data.blocks():
        finite: np.ndarray = np.asarray(np.isfinite(block).all(axis=1))
        context.notes.rows(
            "finite", name, ~finite, first, lambda _: "the vector holds NaN or infinity"
        )
        norms = np.linalg.norm(np.where(finite[:, None], widen(block), 0), axis=1)
        zero = finite & ~block.any(axis=1)
        empty += int(zero.sum())
        context.notes.rows(
            "unit-norm",
            name,
            finite & ~zero & (np.abs(norms - 1) > _NORM),
            first,
            lambda row, norms=norms: f"norm {norms[row]:.4f}, expected 1 (or a zero row)",
        )
        context.notes.looked_at("vectors", len(block))
    if empty != entry["missing"]:
        message = f"{empty} zero rows, the manifest says {entry['missing']} are missing"
        context.notes.add("missing-vectors", name, None, message)
