"""How rows lie on disk: three layouts that other tools read, written part by part.

A part is a run of rows that one worker writes. It counts as written once its truth file stands in
the staging folder; whatever a killed worker left of it is written over.
"""

from __future__ import annotations

import io
import json
import tarfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ...manifests.storage import write_atomically, write_text
from .records import Record, record_at

LAYOUTS: tuple[str, ...] = ("imagefolder", "folder", "webdataset")
STAGING = ".curate-sample"
_FOLDER_ROWS = 1000
_PART_ROWS = {"imagefolder": 250, "folder": 250, "webdataset": 1000}


@dataclass(frozen=True, slots=True)
class Spec:
    """All that decides the bytes of a corpus.

    Attributes:
        size: number of rows.
        seed: the seed.
        image_px: side of the pictures in pixels.
        layout: one of `LAYOUTS`.
        version: goes up when the same seed gives other bytes.
    """

    size: int
    seed: int
    image_px: int
    layout: str
    version: int = 1

    def to_json(self) -> str:
        """One line of JSON with sorted names."""
        return json.dumps(asdict(self), sort_keys=True) + "\n"

    def parts(self) -> list[range]:
        """The rows of each part, in order."""
        step = _PART_ROWS[self.layout]
        return [range(i, min(i + step, self.size)) for i in range(0, self.size, step)]


def truth_path(dest: Path, rows: range) -> Path:
    """The staged truth of a part: the mark that the part is written."""
    return dest / STAGING / f"{rows.start:08d}.truth.json"


def metadata_path(dest: Path, rows: range) -> Path:
    """The staged lines of `metadata.jsonl` of a part."""
    return dest / STAGING / f"{rows.start:08d}.metadata.jsonl"


def image_name(record: Record) -> str:
    """The path of a picture under the corpus folder, with forward slashes."""
    folder = record.truth["row"] // _FOLDER_ROWS
    return f"images/{folder:03d}/{record.key}.jpg"


def _write_files(dest: Path, records: list[Record], *, texts: bool) -> None:
    for record in records:
        path = dest / image_name(record)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(record.image)
        captions = record.metadata["captions"]
        if texts and captions:
            lines = "".join(f"{caption}\n" for caption in captions)
            path.with_suffix(".txt").write_bytes(lines.encode())


def _add(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size, member.mode, member.mtime = len(data), 0o644, 0
    tar.addfile(member, io.BytesIO(data))


def _write_shard(path: Path, records: list[Record]) -> None:
    def fill(scratch: Path) -> None:
        with tarfile.open(scratch, mode="w", format=tarfile.USTAR_FORMAT) as tar:
            for record in records:
                _add(tar, f"{record.key}.jpg", record.image)
                if record.metadata["captions"]:
                    _add(tar, f"{record.key}.txt", record.metadata["captions"][0].encode())
                fields = json.dumps({"key": record.key, **record.metadata})
                _add(tar, f"{record.key}.json", fields.encode())

    write_atomically(path, fill)


def write_part(dest: str, spec: Spec, start: int, stop: int) -> int:
    """Write one part of a corpus; the work of one worker process.

    Args:
        dest: the corpus folder; its staging folder exists.
        spec: the corpus.
        start: first row of the part.
        stop: one past its last row.

    Returns:
        The number of rows written.

    Raises:
        OSError: the disk is full or not writable.
    """
    folder, rows = Path(dest), range(start, stop)
    records = [record_at(spec.seed, row, spec.image_px) for row in rows]
    if spec.layout == "webdataset":
        number = start // _PART_ROWS["webdataset"]
        _write_shard(folder / f"shard-{number:06d}.tar", records)
    else:
        _write_files(folder, records, texts=spec.layout == "folder")
    lines = [json.dumps({"file_name": image_name(r), **r.metadata}) + "\n" for r in records]
    write_text(metadata_path(folder, rows), "".join(lines))
    columns: dict[str, list[Any]] = {
        name: [record.truth[name] for record in records] for name in records[0].truth
    }
    write_text(truth_path(folder, rows), json.dumps(columns))
    return len(records)
