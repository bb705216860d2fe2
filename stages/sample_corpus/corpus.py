"""Writing a whole corpus: in parallel, resumable, the same bytes for any number of workers."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from ...manifests.errors import UsageError
from ...manifests.storage import sweep_scratch, write_atomically, write_text
from .card import config_text, readme_text
from .layouts import (
    LAYOUTS,
    STAGING,
    Spec,
    metadata_path,
    truth_path,
    write_part,
)

MIN_PX, MAX_PX = 64, 512
MARK = "sample.json"
"""Written last: the folder holds a whole corpus of the spec inside."""
TRUTH_SCHEMA = pa.schema(
    [
        pa.field("key", pa.string(), nullable=False),
        pa.field("row", pa.int64(), nullable=False),
        pa.field("label", pa.string(), nullable=False),
        pa.field("scene_id", pa.int64(), nullable=False),
        pa.field("place_id", pa.int32(), nullable=False),
        pa.field("duplicate_of", pa.string()),
        pa.field("duplicate_kind", pa.string()),
    ]
)
_ROW_GROUP = 65536


@dataclass(frozen=True, slots=True)
class Written:
    """What `write_corpus` did.

    Attributes:
        dest: the corpus folder.
        size: number of rows in it.
        rendered: rows rendered by this call; 0 when the corpus was already there.
        config: path of the ready config, `curate.yaml`.
    """

    dest: Path
    size: int
    rendered: int
    config: Path


def _checked(size: int, image_px: int, layout: str, workers: int) -> None:
    if size < 1:
        raise UsageError(f"a corpus has at least 1 image, not {size}")
    if not MIN_PX <= image_px <= MAX_PX:
        raise UsageError(f"pictures are {MIN_PX} to {MAX_PX} pixels wide, not {image_px}")
    if layout not in LAYOUTS:
        raise UsageError(f"no layout {layout!r}; there are {', '.join(LAYOUTS)}")
    if workers < 1:
        raise UsageError(f"at least 1 worker is needed, not {workers}")


def _claim(dest: Path, spec: Spec) -> bool:
    """Make the folder ours; True when it already holds the whole corpus.

    Raises:
        UsageError: it holds something else.
    """
    wanted = spec.to_json()
    for mark in (dest / MARK, dest / STAGING / MARK):
        if not mark.is_file():
            continue
        found = mark.read_text(encoding="utf-8")
        if found != wanted:
            raise UsageError(
                f"{dest} holds another sample corpus ({found.strip()}); this one would be "
                f"{wanted.strip()}: name another folder, or delete that one"
            )
        if mark.parent == dest:
            # A run killed while it tidied up leaves its staging folder behind.
            shutil.rmtree(dest / STAGING, ignore_errors=True)
        return mark.parent == dest
    if dest.exists() and not dest.is_dir():
        raise UsageError(f"{dest} is a file, not a folder")
    if dest.exists() and any(path.name != STAGING for path in dest.iterdir()):
        raise UsageError(f"{dest} is not empty and holds no sample corpus: name another folder")
    (dest / STAGING).mkdir(parents=True, exist_ok=True)
    write_text(dest / STAGING / MARK, wanted)
    return False


def _render(
    dest: Path, spec: Spec, todo: list[range], workers: int, progress: Callable[[int], None]
) -> None:
    if workers == 1 or len(todo) < 2:
        for rows in todo:
            progress(write_part(str(dest), spec, rows.start, rows.stop))
        return
    with ProcessPoolExecutor(min(workers, len(todo)), mp_context=get_context("spawn")) as pool:
        jobs: list[Future[int]] = [
            pool.submit(write_part, str(dest), spec, rows.start, rows.stop) for rows in todo
        ]
        try:
            for job in as_completed(jobs):
                progress(job.result())
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _write_metadata(dest: Path, spec: Spec, target: Path) -> None:
    with target.open("wb") as sink:
        for rows in spec.parts():
            sink.write(metadata_path(dest, rows).read_bytes())


def _write_truth(dest: Path, spec: Spec, target: Path) -> None:
    waiting: list[pa.Table] = []
    with pq.ParquetWriter(target, TRUTH_SCHEMA, compression="zstd") as writer:
        for rows in spec.parts():
            columns = json.loads(truth_path(dest, rows).read_text(encoding="utf-8"))
            waiting.append(pa.table(columns, schema=TRUTH_SCHEMA))
            if sum(table.num_rows for table in waiting) >= _ROW_GROUP:
                writer.write_table(pa.concat_tables(waiting))
                waiting = []
        if waiting:
            writer.write_table(pa.concat_tables(waiting))


def _gather(dest: Path, spec: Spec) -> None:
    """Join the staged pieces of all parts to `metadata.jsonl` and `truth.parquet`."""
    if spec.layout == "imagefolder":
        write_atomically(
            dest / "metadata.jsonl", lambda scratch: _write_metadata(dest, spec, scratch)
        )
    write_atomically(dest / "truth.parquet", lambda scratch: _write_truth(dest, spec, scratch))


def write_corpus(
    dest: Path,
    size: int = 1000,
    seed: int = 0,
    image_px: int = 128,
    layout: str = "imagefolder",
    workers: int = 1,
    progress: Callable[[int], None] | None = None,
) -> Written:
    """Write the rendered corpus; go on where a killed call stopped.

    The files depend on size, seed, image_px and layout only (and `curate.yaml` on the path of
    `dest`, which it names). The first rows of a corpus are the rows of any smaller one.

    Args:
        dest: a new or empty folder, or one that an earlier call with the same spec wrote.
        size: number of images, at least 1.
        seed: any integer.
        image_px: side of the pictures in pixels, 64 .. 512.
        layout: `imagefolder` (images and `metadata.jsonl`), `folder` (images and same-named
            `.txt`) or `webdataset` (tars of 1000 samples).
        workers: processes; 1 renders in this process.
        progress: called with the number of rows done since its last call.

    Returns:
        What was done.

    Raises:
        UsageError: an argument is out of range, or `dest` holds something else.
        OSError: the disk is full or not writable.
    """
    _checked(size, image_px, layout, workers)
    spec = Spec(size=size, seed=seed, image_px=image_px, layout=layout)
    tell = progress or (lambda _: None)
    config = dest / "curate.yaml"
    if _claim(dest, spec):
        tell(size)
        return Written(dest, size, 0, config)
    todo = [rows for rows in spec.parts() if not truth_path(dest, rows).is_file()]
    missing = sum(len(rows) for rows in todo)
    if missing < size:
        tell(size - missing)
    _render(dest, spec, todo, workers, tell)
    _gather(dest, spec)
    write_text(dest / "README.md", readme_text(spec))
    write_text(config, config_text(dest, spec))
    sweep_scratch(dest)
    write_text(dest / MARK, spec.to_json())
    shutil.rmtree(dest / STAGING)
    return Written(dest, size, missing, config)
