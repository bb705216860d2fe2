"""Images or captions in, float16 unit vectors out: one part of vectors a part of samples."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Annotated, Any, Literal

import numpy as np
import pyarrow as pa
from PIL import Image
from pydantic import Field

from ...manifests.artifact import Output
from ...manifests.device import torch_device
from ...manifests.pictures import Pictures
from ...manifests.vectors import unit
from ..base import Inputs, Resources, Runtime, Stage, Task, Worker, task_per_part
from ._unit import mean_of_runs
from ._views import View
from .base import Encoder, LoadedEncoder

_MAX_NAMED = 20


class Embed(Stage):
    """Encodes one modality of every sample.

    A sample with several captions gets the mean of their unit vectors, made a unit vector again.
    A sample without a caption or an image gets a zero row. So does one whose image decodes no
    more or whose vector is not finite: it is named in the log, and never stops a run.

    Batches are formed within a part, in the order of its rows, so the bytes do not depend on the
    number of workers. They are the same for one `batch` on one kind of device; another batch or
    device moves a vector by about 1e-6 before it is rounded to float16.

    A view embeds another crop of each picture; everything else is as for the whole picture.

    Inputs: `samples`, and `scan` for images. File: "npy" float16 [rows, dim]. Facts: dim, missing
    (zero rows), failed (those of them that had an image or a caption).

    Attributes:
        space: name of the space.
        of: what is encoded.
        encoder: the model.
        view: the crop that is embedded; None for the whole picture.
        batch: images or texts a forward pass; None for what the encoder suggests.
        decode_threads: threads that read and decode ahead; None for 8 beside a GPU, else 1.
    """

    space: str
    of: Literal["image", "caption"] = "image"
    encoder: Encoder
    view: View | None = None
    batch: Annotated[int | None, Runtime(), Field(ge=1)] = None
    decode_threads: Annotated[int | None, Runtime(), Field(ge=1)] = None

    def plan(self, inputs: Inputs) -> list[Task]:
        """Plan one task for each part of the samples."""
        return task_per_part(inputs["samples"])

    def resources(self, inputs: Inputs) -> Resources:
        """One device if there is any; torch, a model, and decoded pictures of three batches."""
        del inputs
        return Resources(wants_gpu=True, memory_bytes=2 << 30)

    def open(self, inputs: Inputs) -> Worker:
        """Load the encoder on this worker's device."""
        device = torch_device()
        loaded = self.encoder.load(device)
        samples = inputs["samples"]
        size = self.batch or self.encoder.batch(self.of, device)
        threads = self.decode_threads or (1 if device == "cpu" else 8)
        pictures = Pictures(inputs["scan"]) if self.of == "image" else None
        first = samples.parts[0] if samples.parts else ""
        starts = dict(zip(samples.parts, samples.starts(), strict=False))

        def run(task: Task) -> Output:
            if pictures is not None:
                table = samples.table(task.part, ["key", "shard", "offset", "size"])
                shown = _shown(self.view, int(starts[task.part]))
                with ThreadPoolExecutor(threads) as pool:
                    rows, failed = _encode_images(table, loaded, pictures, pool, size, shown)
            else:
                table = samples.table(task.part, ["key", "captions"])
                rows, failed = _encode_captions(table, loaded, size)
            facts = {
                "dim": loaded.dim,
                "missing": int((~rows.any(axis=1)).sum()),
                "failed": len(failed),
            }
            note = self.encoder.note if task.part == first else ""
            return Output(len(rows), {"npy": rows}, facts, _log(failed, note))

        return run


def _shown(view: View | None, first: int) -> Callable[[Image.Image, int], Image.Image]:
    """Return what makes the picture to embed of that of a row; `first` is the part's sample 0."""
    if view is None:
        return lambda image, row: image
    return lambda image, row: view.of(image, first + row)


def _encode_images(
    table: pa.Table,
    loaded: LoadedEncoder,
    pictures: Pictures,
    pool: ThreadPoolExecutor,
    size: int,
    shown: Callable[[Image.Image, int], Image.Image],
) -> tuple[np.ndarray, dict[str, str]]:
    keys = table["key"].to_pylist()
    places = list(
        zip(*(table[name].to_pylist() for name in ("shard", "offset", "size")), strict=True)
    )
    have = [row for row, place in enumerate(places) if place[0]]
    failed: dict[str, str] = {}

    def prepare(row: int) -> Any:
        image = pictures.read(*places[row])
        return image if isinstance(image, str) else loaded.prepare_image(shown(image, row))

    out = np.zeros((len(keys), loaded.dim), np.float16)
    for batch, prepared in _ahead(have, size, prepare, pool):
        for row, item in zip(batch, prepared, strict=True):
            if isinstance(item, str):
                failed[keys[row]] = item
        good = [row for row, item in zip(batch, prepared, strict=True) if not isinstance(item, str)]
        if good:
            vectors = loaded.encode_images([item for item in prepared if not isinstance(item, str)])
            out[good] = unit(vectors).astype(np.float16)
            failed.update(_not_finite(good, out, keys))
    return out, failed


def _encode_captions(
    table: pa.Table, loaded: LoadedEncoder, size: int
) -> tuple[np.ndarray, dict[str, str]]:
    captions = table["captions"].to_pylist()
    owners = np.repeat(np.arange(len(captions)), [len(own) for own in captions])
    texts = [text for own in captions for text in own]
    batches = [
        unit(loaded.encode_texts(texts[start : start + size]))
        for start in range(0, len(texts), size)
    ]
    vectors = np.concatenate([np.zeros((0, loaded.dim), np.float32), *batches])
    out = mean_of_runs(vectors, owners, len(captions)).astype(np.float16)
    return out, _not_finite(np.unique(owners).tolist(), out, table["key"].to_pylist())


def _not_finite(rows: Sequence[int], out: np.ndarray, keys: Sequence[str]) -> dict[str, str]:
    empty = [row for row in rows if not out[row].any()]
    return {keys[row]: "the encoder gave a zero vector or one that is not finite" for row in empty}


def _ahead(
    rows: Sequence[int], size: int, prepare: Callable[[int], Any], pool: ThreadPoolExecutor
) -> Iterator[tuple[Sequence[int], list[Any]]]:
    """Yield batches in order while the next two are being prepared."""
    batches = [rows[start : start + size] for start in range(0, len(rows), size)]
    running: list[list[Future[Any]]] = []
    for number, batch in enumerate(batches):
        while len(running) < min(3, len(batches) - number):
            upcoming = batches[number + len(running)]
            running.append([pool.submit(prepare, row) for row in upcoming])
        yield batch, [future.result() for future in running.pop(0)]


def _log(failed: dict[str, str], note: str) -> dict[str, Any]:
    log: dict[str, Any] = {}
    if failed:
        named = [f"{key}: {why}" for key, why in list(failed.items())[:_MAX_NAMED]]
        more = len(failed) - len(named)
        log["warnings"] = [*named, f"and {more} more without a vector"] if more else named
    if note:
        log["notes"] = [note]
    return log
