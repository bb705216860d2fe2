"""Where the columns of a stream stand: in the process, or in mapped files that processes share."""

from __future__ import annotations

import json
import logging
import mmap
import os
import shutil
import tempfile
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from .. import storage
from ..errors import ResourceError
from ..fingerprint import fingerprint
from ..pairset import Pairset
from .columns import Columns, Request, build, estimate_bytes
from .locks import locked

_LOG = logging.getLogger("curate.stream")
_NAMES = "columns.json"


def load_columns(
    pairset: Pairset, request: Request, memory_budget: int, cache: str | Path | None = None
) -> Columns:
    """Read the columns a stream needs, into memory where they fit, else into mapped files.

    Args:
        pairset: whose columns.
        request: which columns.
        memory_budget: bytes that the columns may take in one process.
        cache: folder for the mapped files; see the module text of `columns` for the default.

    Raises:
        StreamError: the files do not hold what the manifest says.
        ResourceError: the disk of the cache is full.
    """
    # Captions are the only part whose size stands in the footers, and those are many.
    size = estimate_bytes(pairset, replace(request, captions=False))
    if request.captions and size <= memory_budget:
        size = estimate_bytes(pairset, request)
    if size <= memory_budget:
        _LOG.info("columns: %.1f MB in memory", size / 1e6)
        return build(pairset, request)
    folder = cache_folder(pairset, cache) / cache_name(pairset, request)
    with locked(folder.with_name(f"{folder.name}.lock")):
        if not folder.exists():
            _LOG.info("columns: written once to %s", folder)
            _check_space(folder.parent, estimate_bytes(pairset, request))
            _write(folder, pairset, request)
    columns = open_columns(folder)
    _LOG.info("columns: %.1f MB mapped from %s", columns.nbytes / 1e6, folder)
    return columns


def cache_folder(pairset: Pairset, cache: str | Path | None = None) -> Path:
    """Return the folder in which mapped columns are kept; it is made if need be."""
    if cache is not None:
        return Path(cache).absolute()
    if os.environ.get("CURATE_CACHE"):
        return Path(os.environ["CURATE_CACHE"]).absolute() / "stream"
    if os.access(pairset.root, os.W_OK):
        return pairset.root / ".cache" / "stream"
    return Path(tempfile.gettempdir()) / f"curate-stream-{os.getuid()}"


def open_columns(folder: Path) -> Columns:
    """Map the columns that stand in a folder, read-only."""
    names = json.loads((folder / _NAMES).read_text())
    arrays = {name: _open(folder / f"{name}.npy") for name in names["arrays"]}
    splits, shards, methods = (tuple(names[name]) for name in ("splits", "shards", "methods"))
    return Columns(arrays, splits, shards, str(folder), methods, names["samples"])


def _open(path: Path) -> np.ndarray:
    array = np.load(path, mmap_mode="r", allow_pickle=False)
    # Rows are read one here, one there: without the advice each costs the pages around it too, and
    # the first batches of a machine wait six times longer (benchmarks/startup.py, cold).
    pages, random = getattr(array, "_mmap", None), getattr(mmap, "MADV_RANDOM", None)
    if pages is not None and random is not None:
        pages.madvise(random)
    return array


def cache_name(pairset: Pairset, request: Request) -> str:
    """Return the name of the folder of a pairset's columns."""
    return fingerprint({"manifest": pairset.manifest_id, "request": asdict(request)})


def _write(folder: Path, pairset: Pairset, request: Request) -> None:
    # The folder gets its name only when it is whole, so a killed writer leaves nothing to trust.
    scratch = storage.scratch_name(folder)
    scratch.mkdir(parents=True)

    def allocate(name: str, shape: tuple[int, ...], dtype: Any) -> np.ndarray:
        return np.lib.format.open_memmap(scratch / f"{name}.npy", "w+", dtype, shape)

    try:
        columns = build(pairset, request, allocate)
        names = {
            "arrays": sorted(columns.arrays),
            "splits": columns.splits,
            "shards": columns.shards,
            "methods": columns.methods,
            "samples": columns.samples,
        }
        storage.write_json(scratch / _NAMES, names)
        _publish(scratch, folder)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _publish(scratch: Path, folder: Path) -> None:
    try:
        os.rename(scratch, folder)
    except OSError:
        if not folder.exists():  # else another rank was first, with the same arrays
            raise


def _check_space(folder: Path, size: int) -> None:
    # A full disk under a mapped file is a signal that ends the process, not an exception.
    free = shutil.disk_usage(folder).free
    if free < size * 1.1:
        raise ResourceError(
            f"{folder}: {size / 1e9:.1f} GB are needed for a stream's columns, {free / 1e9:.1f} GB "
            "are free. Give another folder (cache=... or $CURATE_CACHE) or a larger memory_budget."
        )
