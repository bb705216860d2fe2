"""Images as single files, for readers that open paths: one folder for 10,000 sample ids."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np

from .. import storage
from ._image_bytes import ImageBytes

IMAGES = "images"
_PER_FOLDER = 10_000


def path_of(sample_id: int) -> str:
    """Return where the image of a sample stands below an export: no text of the corpus in it."""
    return f"{IMAGES}/{sample_id // _PER_FOLDER:05d}/{sample_id:012d}.jpg"


def placed(prefix: str, sample_id: int) -> str:
    """Return the path of an image as a table names it, behind a folder or URL if one is given."""
    return "/".join([*([prefix.rstrip("/")] if prefix else []), path_of(sample_id)])


def write_images(
    images: ImageBytes, wanted: np.ndarray, out: Path, progress: Callable[[str], None]
) -> tuple[int, int]:
    """Write the images of the wanted samples, once each; folders that are there are whole.

    Args:
        images: by sample id.
        wanted: bool [N].
        out: folder of the export.
        progress: is told a line for each folder.

    Returns:
        files and bytes.

    Raises:
        DataError: an image cannot be read.
    """
    storage.sweep_scratch(out / IMAGES)
    files = size = 0
    for first in range(0, len(wanted), _PER_FOLDER):
        ids = first + np.flatnonzero(wanted[first : first + _PER_FOLDER])
        if not len(ids):
            continue
        folder = (out / path_of(first)).parent
        if not folder.exists():
            with storage.scratch_folder(folder) as scratch:
                # No flush a file: it would take most of the time, and a kill tears no folder.
                for sample in ids.tolist():
                    (scratch / Path(path_of(sample)).name).write_bytes(images.jpeg(sample))
                scratch.replace(folder)
            progress(f"{IMAGES}/{folder.name}: {len(ids)} images")
        files += len(ids)
        size += sum(entry.stat().st_size for entry in os.scandir(folder))
    return files, size
