"""Which format a corpus has: every reader looks at it, and the most specific one wins."""

from __future__ import annotations

from typing import Any

from ...manifests import listing
from ...manifests.errors import ConfigError, DataError
from .. import registry
from .base import Fields, Reader
from .coco import CocoReader
from .csv import CsvReader
from .embeddings import EmbeddingsReader
from .folder import FolderReader
from .imagefolder import ImageFolderReader
from .parquet import ParquetReader
from .webdataset import WebDatasetReader

FORMATS: dict[str, type[Reader]] = {
    "webdataset": WebDatasetReader,
    "imagefolder": ImageFolderReader,
    "coco": CocoReader,
    "parquet": ParquetReader,
    "csv": CsvReader,
    "folder": FolderReader,
    "embeddings": EmbeddingsReader,
}
"""All formats, the most specific first."""

AUTO = "auto"


def detect(source: str) -> list[tuple[str, str]]:
    """Return every format that a corpus may have, and why; the most specific first.

    Names, and the columns of a table, are looked at; no image is read.
    """
    found: list[tuple[str, str]] = []
    for name, reader in FORMATS.items():
        why = reader.detect(source)
        if why is not None:
            found.append((name, why))
    return found


def reader_for(format: str, source: str, fields: Fields | None = None, **settings: Any) -> Reader:
    """Return the reader of a corpus.

    Args:
        format: a name of `FORMATS`, "auto", or "module:Class" for a reader of your own.
        source: path, pattern or fsspec URL.
        fields: where captions, labels and attributes are.
        settings: other settings of the reader (`shard_bytes`).

    Raises:
        ConfigError: no such format, or none fits; the text says what was seen.
    """
    fields = fields or Fields()
    if ":" in format:
        foreign: type[Any] = registry.load(format, __package__ or "", Reader)
        return foreign(source=source, fields=fields, **settings)
    if format != AUTO and format not in FORMATS:
        known = [AUTO, *FORMATS]
        raise ConfigError(
            f"corpus.format: {format!r} is not a format.{registry.suggestion(format, known)} "
            f"Allowed: {', '.join(known)}."
        )
    if format == AUTO:
        found = detect(source)
        if not found:
            raise ConfigError(
                f"{source}: the format of this corpus cannot be told; seen: {_seen(source)}. "
                f"Say it with --format or corpus.format: {', '.join(FORMATS)}."
            )
        format = found[0][0]
    return FORMATS[format](source=source, fields=fields, **settings)


def _seen(source: str) -> str:
    try:
        if not listing.is_folder(source):
            return "a file" if listing.exists(source) else "nothing there"
        files = listing.first_files(source)
    except (OSError, DataError) as error:
        return str(error)
    if not files:
        return "an empty folder"
    names = ", ".join(file.path for file in files[:5])
    return f"{len(files)} files ({names}{', ...' if len(files) > 5 else ''})"
