"""Pairs a second of one core: by reference, beside shards with the images inside, and the limit.

    OMP_NUM_THREADS=1 python benchmarks/stream.py [--images 1500] [--px 256] [--batch 256]

One pairset of rendered pictures (P = 1, K = 4), one process, one transform for everybody:

    PairStream      ours: images by reference, each once a batch
    decode limit    the same batches' images read and transformed, with nothing around it
    webdataset      `curate export --to webdataset`, decoded with the same transform; every pair
                    carries its own copies
    datasets        Hugging Face: rows of `pairs` streamed, six images a row read by hand

CPU seconds of the process; ratios are what counts. Bytes are what each reads from the disk a pair.

Quick: --images 200 --px 128 --batch 64
"""

from __future__ import annotations

import argparse
import io
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
import webdataset as wds
from datasets import load_dataset
from PIL import Image

from curate.manifests import PairStream
from curate.manifests.export import export
from curate.manifests.pairset import Pairset
from curate.manifests.stream.transform import ImageTransform
from curate.stages.sample_corpus import write_corpus

TRANSFORM = ImageTransform(image_px=112)
PLACES = ("jpg", "pos0.jpg", "neg0.jpg", "neg1.jpg", "neg2.jpg", "neg3.jpg")


def make(folder: Path, images: int, px: int) -> Path:
    """Render a corpus, mine it by labels and by chance, and export it."""
    corpus = folder / "corpus"
    write_corpus(corpus, images, image_px=px)
    settings = ["false_negatives=[]", "negatives=[{miner: random}]"]
    settings += ["positives=[{miner: label, count: 1}]", "output.negatives=4"]
    sets = [word for text in settings for word in ("--set", text)]
    np.save(folder / "image.npy", np.random.default_rng(0).normal(size=(images, 16)))
    command = [sys.executable, "-m", "curate.pipeline.cli", "run", str(corpus)]
    command += ["--embeddings", f"image={folder / 'image.npy'}"]
    command += ["-o", str(folder / "out"), "--ray", "off", "--no-report", *sets]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    export(folder / "out", "webdataset", folder / "packed")
    return folder / "out"


def ours(root: Path, batch: int) -> tuple[int, int, list[list[int]]]:
    """Return pairs, images decoded, and the images of each batch."""
    seen, pairs = [], 0
    for item in PairStream(root, batch_size=batch, transform=TRANSFORM):
        seen.append(item.sample_id.tolist())
        pairs += len(item.anchor)
    return pairs, sum(map(len, seen)), seen


class Bytes:
    """Images of a pairset by sample id, read by hand."""

    def __init__(self, root: Path) -> None:
        self.pairset = Pairset.open(root)
        table = self.pairset.table("samples", ["shard", "offset", "size"])
        self.rows = list(
            zip(*(table[name].to_pylist() for name in table.column_names), strict=True)
        )
        self.files = {
            shard: open(self.pairset.shard_url(shard), "rb")
            for shard in {row[0] for row in self.rows}
        }

    def tensor(self, sample: int) -> torch.Tensor:
        """Read, decode and transform one image."""
        shard, offset, size = self.rows[sample]
        self.files[shard].seek(offset)
        return TRANSFORM(Image.open(io.BytesIO(self.files[shard].read(size))).convert("RGB"))


def limit(images: Bytes, batches: list[list[int]]) -> None:
    """Decode the images of each batch, nothing else."""
    for ids in batches:
        torch.stack([images.tensor(sample) for sample in ids])


def packed(folder: Path) -> int:
    """Decode all images of every pair of the exported shards; return the pairs."""
    tars = [str(path) for path in sorted(folder.glob("*.tar"))]
    count = 0
    for pair in wds.WebDataset(tars, shardshuffle=False):
        found = [pair[name] for name in (*PLACES, *(p.replace("jpg", "png") for p in PLACES))
                 if name in pair]  # fmt: skip
        torch.stack([TRANSFORM(Image.open(io.BytesIO(data)).convert("RGB")) for data in found])
        count += 1
    return count


def hub_rows(root: Path, images: Bytes) -> Iterator[torch.Tensor]:
    """Stream rows with Hugging Face datasets, and read the images of each."""
    files = [str(path) for path in images.pairset.files("pairs")]
    rows = load_dataset("parquet", data_files=files, split="train", streaming=True,
                        cache_dir=str(root / "cache"))  # fmt: skip
    for row in rows:
        ids = [row["anchor_id"], *row["positive_ids"], *row["negative_ids"]]
        yield torch.stack([images.tensor(sample) for sample in ids if sample >= 0])


def main() -> None:
    """Measure and print one table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--images", type=int, default=1500)
    parser.add_argument("--px", type=int, default=256)
    parser.add_argument("--batch", type=int, default=256)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        root = make(folder, asked.images, asked.px)
        images = Bytes(root)
        clock = time.process_time
        begun = clock()
        pairs, decoded, batches = ours(root, asked.batch)
        rates = {"PairStream": (pairs / (clock() - begun), decoded / pairs)}
        begun = clock()
        limit(images, batches)
        rates["decode limit"] = (pairs / (clock() - begun), decoded / pairs)
        begun = clock()
        count = packed(folder / "packed")
        rates["webdataset, packed pairs"] = (count / (clock() - begun), len(PLACES))
        begun = clock()
        count = sum(1 for _ in hub_rows(folder, images))
        rates["datasets, images by hand"] = (count / (clock() - begun), len(PLACES))
        sizes = [sum(f.stat().st_size for f in place.rglob("*.tar")) for place in
                 (root / "images", folder / "packed")]  # fmt: skip
    mine = rates["PairStream"][0]
    print(f"{asked.images} images of {asked.px} px, batch {asked.batch}, P = 1, K = 4, one process")
    print("| loop | pairs/CPU s | images a pair | PairStream / this |\n|---|---|---|---|")
    for loop, (rate, each) in rates.items():
        print(f"| {loop} | {rate:,.0f} | {each:.2f} | {mine / rate:.2f} |")
    print(
        f"\nImages on the disk: {sizes[0] / 1e6:.1f} MB by reference, "
        f"{sizes[1] / 1e6:.1f} MB packed"
    )


if __name__ == "__main__":
    main()
