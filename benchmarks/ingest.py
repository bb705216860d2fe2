"""Ingest beside what anybody would write: inputs a second of one core, in one run.

    OMP_NUM_THREADS=1 python benchmarks/ingest.py [--images 1500] [--px 256]

One rendered corpus, as WebDataset tars and as a folder. Ours is the `scan` stage: every input read,
hashed, looked at for faults, named, and its captions and attributes noted; images of a folder are
packed into tars. Beside it, from the tars:

    read        tarfile, every member's bytes
    verify      read, and PIL's Image.verify() (checks headers, decodes nothing)
    load        read, and PIL's Image.load() (decodes all)
    img2dataset read, decode, resize the short side, encode as JPEG, write a tar with a JSON
                sidecar: what that tool does with a download

CPU seconds of the process, so that other work on the machine matters less; ratios are what counts.

Quick: --images 300 --px 128
"""

from __future__ import annotations

import argparse
import io
import json
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import webdataset as wds
from PIL import Image

from curate.manifests.artifact import Draft
from curate.stages.ingest.detect import reader_for
from curate.stages.ingest.scan import Scan
from curate.stages.sample_corpus import write_corpus

IMAGES = (".jpg", ".png", ".jpeg", ".webp")


def scan(source: Path, out: Path) -> int:
    """Run the stage as the runner does, receipts and hashes of its files included."""
    stage, draft = Scan(reader=reader_for("auto", str(source))), Draft(out)
    work = stage.open({})
    return sum(draft.write(task.part, work(task)).rows for task in stage.plan({}))


def members(tars: list[Path]) -> Iterator[tuple[str, bytes]]:
    """Yield name and bytes of every member."""
    for path in tars:
        with tarfile.open(path) as tar:
            for member in tar:
                file = tar.extractfile(member)
                if file is not None:
                    yield member.name, file.read()


def read(tars: list[Path]) -> int:
    """Read everything; count images."""
    return sum(name.endswith(IMAGES) for name, _ in members(tars))


def check(tars: list[Path], method: str) -> int:
    """Read, and let PIL verify or load each image."""
    count = 0
    for name, data in members(tars):
        if name.endswith(IMAGES):
            getattr(Image.open(io.BytesIO(data)), method)()
            count += 1
    return count


def download_loop(tars: list[Path], out: Path, side: int) -> int:
    """Decode, resize, encode and write each image, as img2dataset does."""
    count = 0
    with wds.TarWriter(str(out)) as writer:
        for name, data in members(tars):
            if not name.endswith(IMAGES):
                continue
            image = Image.open(io.BytesIO(data)).convert("RGB")
            image.thumbnail((side, side), Image.Resampling.BICUBIC)
            buffer = io.BytesIO()
            image.save(buffer, "JPEG", quality=95)
            about = {"key": name, "width": image.width, "height": image.height}
            writer.write({"__key__": f"{count:09d}", "jpg": buffer.getvalue(), "json": about})
            count += 1
    return count


def rate(work: Callable[[], int]) -> float:
    """Return inputs a CPU second."""
    begun = time.process_time()
    count = work()
    return count / (time.process_time() - begun)


def main() -> None:
    """Measure and print one table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--images", type=int, default=1500)
    parser.add_argument("--px", type=int, default=256)
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for layout in ("webdataset", "folder"):
            write_corpus(folder / layout, asked.images, image_px=asked.px, layout=layout)
        tars = sorted((folder / "webdataset").rglob("*.tar"))
        read(tars)  # all files in the page cache, for everybody
        rates = {
            "curate scan, tars": rate(lambda: scan(folder / "webdataset", folder / "a")),
            "curate scan, folder packed": rate(lambda: scan(folder / "folder", folder / "b")),
            "read": rate(lambda: read(tars)),
            "read, PIL verify": rate(lambda: check(tars, "verify")),
            "read, PIL load": rate(lambda: check(tars, "load")),
            "img2dataset loop": rate(lambda: download_loop(tars, folder / "c.tar", asked.px // 2)),
        }
    if asked.json:
        print(json.dumps(rates))
        return
    ours = rates["curate scan, tars"]
    print(f"{asked.images} images of {asked.px} px, one process, inputs a CPU second")
    print("| loop | inputs/s | curate's tars / this |\n|---|---|---|")
    for loop, value in rates.items():
        print(f"| {loop} | {value:,.0f} | {ours / value:.2f} |")


if __name__ == "__main__":
    main()
