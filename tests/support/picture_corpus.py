"""A corpus of small pictures in artifacts: samples, and tars as `scan` writes them."""

from __future__ import annotations

import io
import tarfile

import numpy as np
import pyarrow as pa
from PIL import Image
from vector_corpus import Corpus

from curate.manifests.artifact import Output


def picture(seed: int, size: tuple[int, int] = (40, 34)) -> bytes:
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(0, 255, (4, 4, 3), np.uint8)).resize(size)
    out = io.BytesIO()
    coarse.save(out, "PNG")
    return out.getvalue()


class Pictures(Corpus):
    """Samples whose images stand in one tar a scan part."""

    splits: list[str] | None = None

    def make(self, images: list[bytes | None], captions: list[list[str]] | None = None):
        n = len(images)
        captions = captions or [[] for _ in range(n)]
        path, places, outputs = "", [], []
        for part, low in enumerate(range(0, n, self.part_rows)):
            tar = io.BytesIO()
            with tarfile.open(fileobj=tar, mode="w", format=tarfile.USTAR_FORMAT) as file:
                for row in range(low, min(low + self.part_rows, n)):
                    data = images[row]
                    if data is None:
                        places.append(("", -1, 0))
                        continue
                    member = tarfile.TarInfo(f"{row}.png")
                    member.size = len(data)
                    places.append((f"images/part-{part:05d}.tar", tar.tell() + 512, len(data)))
                    file.addfile(member, io.BytesIO(data))
            held = tar.getvalue()
            outputs.append(Output(1, {"tar": lambda path, held=held: path.write_bytes(held)}))
        del path
        scan = self.write("scan", outputs)
        columns = dict(zip(("shard", "offset", "size"), zip(*places, strict=True), strict=True))
        table = pa.table(
            {
                "key": [f"key{row}" for row in range(n)],
                **{name: list(values) for name, values in columns.items()},
                "captions": pa.array(captions, pa.list_(pa.string())),
                "split": self.splits or ["train"] * n,
            }
        )
        return self.samples_of(table), scan

    def samples_of(self, table: pa.Table):
        parts = [table.slice(at.start, at.stop - at.start) for at in self._parts(len(table))]
        return self.write("samples", [Output.of(part) for part in parts])
