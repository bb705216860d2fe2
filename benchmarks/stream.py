"""Pairs a second of one core: by reference, beside formats with the images inside, and the limit.

    OMP_NUM_THREADS=1 python benchmarks/stream.py [IMAGES] [--px 224] [--batch 256] [--rounds 3]

One pairset (P = 1, K = 4: the nearest neighbour, and four hard negatives) of the JPEGs below
IMAGES, or of rendered pictures; one process, one transform for everybody:

    PairStream         ours: images by reference, each once a batch; over all pairs at
                       random, and by clusters, whose pairs share images
    decode limit       batch by batch in turn with it: the same images decoded, transformed and
                       written into one tensor, with nothing around it
    webdataset         `curate export --to webdataset`: ours, materialised
    MDS, litdata       mosaicml-streaming and litdata, a row a pair, with the six images in it
    datasets           Hugging Face: Parquet with the six images, streamed

The pairs of the others are stacked to [batch, 6, 3, H, W], as torch's default collate does it.

CPU seconds of the process, all its threads; the arms take turns, and the best round counts: what
else runs on the machine only takes away. What is not installed is left out. The peers want other
versions of what curate uses, so give them an environment of their own that sees this one:

    python -m venv peers
    python -c "import site; print(site.getsitepackages()[0])" > own.pth
    mv own.pth peers/lib/python3.*/site-packages/
    peers/bin/pip install mosaicml-streaming litdata

Quick: --count 200 --px 128 --batch 64 --rounds 1
"""

from __future__ import annotations

import argparse
import logging
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import numpy as np
import stream_peers as peers
import torch
from PIL import Image

from curate.manifests import PairStream
from curate.manifests.export import export
from curate.manifests.stream.together import Buffers, write_together
from curate.manifests.stream.transform import ImageTransform
from curate.stages.sample_corpus import write_corpus


class Run(NamedTuple):
    """What one epoch of a loop did, and the CPU seconds that it took."""

    loop: str
    pairs: int
    images: int
    cpu_s: float


def take(source: Path | None, folder: Path, images: int, px: int) -> Path:
    """Make a corpus of JPEGs; names are in the order of its vectors `image.npy`."""
    corpus = folder / "corpus"
    corpus.mkdir()
    if source is None:
        write_corpus(folder / "rendered", images, image_px=px)
        source = folder / "rendered"
    found = [path for path in sorted(source.rglob("*")) if path.suffix.lower() in (".jpg", ".jpeg")]
    for number, path in enumerate(found[:images]):
        shutil.copyfile(path, corpus / f"{number:07d}.jpg")
    # A picture of 6 x 6 pixels is enough to find neighbours of the same look.
    small = [Image.open(path).convert("RGB").resize((6, 6)) for path in found[:images]]
    np.save(folder / "image.npy", np.stack([np.asarray(i).reshape(-1) - 127.5 for i in small]))
    return corpus


def make(folder: Path, corpus: Path, images: int, size: int) -> Path:
    """Mine the pairs, with planned batches and clusters, and export them."""
    settings = [
        "false_negatives=[]",
        "neighbors={image>image: {k: 32, min_recall: 0.5}}",
        "positives=[{miner: knn, k: 1}]",
        "negatives=[{miner: hard, ranks: [2, 30], max_ratio: null, count: 4}, {miner: random}]",
        f"clusters={{look: {{space: image, k: {max(2, images // 40)}}}}}",
        *("output.cluster=look", "output.negatives=4", "output.positives=1"),
    ]
    sets = [word for text in settings for word in ("--set", text)]
    command = [sys.executable, "-m", "curate.pipeline.cli", "run", str(corpus)]
    command += ["--embeddings", f"image={folder / 'image.npy'}"]
    command += ["-o", str(folder / "out"), "--ray", "off", "--no-report", *sets]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    export(folder / "out", "webdataset", folder / "packed")
    return folder / "out"


def ours(
    stream: PairStream, images: list[bytes], decode: peers.Decode, order: str, buffers: Buffers
) -> list[Run]:
    """Run the next epoch; after each batch its images are decoded with nothing around it."""
    took, pairs, decoded = [0.0, 0.0], 0, 0
    batches, clock = iter(stream), time.process_time
    for _ in range(len(stream)):
        begun = clock()
        batch = next(batches)
        took[0] += clock() - begun
        ids = batch.sample_id.tolist()
        begun = clock()
        plain = write_together((decode(images[sample]) for sample in ids), len(ids), buffers)
        took[1] += clock() - begun
        pairs, decoded = pairs + len(batch), decoded + len(plain)
    stream.seek(stream.place[0] + 1)
    names = (f"PairStream, {order}", f"decode limit, {order}")
    return [Run(name, pairs, decoded, cpu_s) for name, cpu_s in zip(names, took, strict=True)]


def peer(name: str, loop: Callable[[], Iterable[torch.Tensor]], batch: int) -> list[Run]:
    """Run one epoch of a peer, in batches."""
    pairs, held, begun = 0, [], time.process_time()
    for pair in loop():
        held.append(pair)
        if len(held) == batch:
            pairs += len(torch.stack(held))
            held = []
    return [Run(name, pairs, pairs * len(peers.PLACES), time.process_time() - begun)]


def arms(folder: Path, root: Path, px: int, batch: int) -> list[Callable[[], list[Run]]]:
    """Return the loops; what is not installed is left out."""
    transform = ImageTransform(px)
    decode, pairs = peers.decoder(transform), peers.PairBytes(root)
    found: list[Callable[[], list[Run]]] = []
    for order, more in {"global": {}, "clusters": {"clusters": max(1, batch // 32)}}.items():
        stream = PairStream(root, batch, transform=transform, order=order, **more)
        found.append(partial(ours, stream, pairs.images, decode, order, Buffers()))
    loops: dict[str, Callable[[], Iterable[torch.Tensor]]] = {
        "webdataset (our export)": partial(peers.webdataset_loop, folder / "packed", decode)
    }
    if find_spec("streaming"):
        peers.write_mds(pairs, folder / "mds")
        loops["MDS"] = partial(peers.mds_loop, folder / "mds", decode, batch)
    if find_spec("litdata"):
        peers.write_litdata(pairs, folder / "litdata")
        loops["litdata"] = partial(peers.litdata_loop, folder / "litdata", decode)
    if find_spec("datasets"):
        peers.write_rows(pairs, folder / "rows")
        loops["datasets"] = partial(peers.datasets_loop, folder / "rows", decode)
    return found + [partial(peer, name, loop, batch) for name, loop in loops.items()]


def measure(loops: list[Callable[[], list[Run]]], rounds: int) -> dict[str, Run]:
    """Return the best run of each loop; the loops take turns."""
    best: dict[str, Run] = {}
    for _ in range(rounds):
        for loop in loops:
            for run in loop():
                known = best.setdefault(run.loop, run)
                best[run.loop] = min(known, run, key=lambda one: one.cpu_s / one.pairs)
    return best


def main() -> None:
    """Measure and print one table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("images", nargs="?", type=Path, help="folder of JPEGs")
    parser.add_argument("--count", type=int, default=2500)
    parser.add_argument("--px", type=int, default=224)
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=4)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    logging.disable(logging.WARNING)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        corpus = take(asked.images, folder, asked.count, asked.px)
        images = len(list(corpus.iterdir()))
        root = make(folder, corpus, images, asked.batch)
        runs = measure(arms(folder, root, asked.px, asked.batch), asked.rounds)
        sizes = [sum(f.stat().st_size for f in place.rglob("*.tar")) for place in
                 (root / "images", folder / "packed")]  # fmt: skip
    rates = {name: run.pairs / run.cpu_s for name, run in runs.items()}
    best = max(rate for loop, rate in rates.items() if not loop.endswith(("global", "clusters")))
    print(f"{images} images, {asked.px} px, batch {asked.batch}, P = 1, K = 4, one process")
    print("| loop | pairs/CPU s | images a pair | images/CPU s | of its limit | x best peer |")
    print("|---|---|---|---|---|---|")
    for loop, rate in rates.items():
        each = runs[loop].images / runs[loop].pairs
        limit = rates.get(loop.replace("PairStream", "decode limit"), rate)
        own = f"{rate / limit:.2f}" if "PairStream" in loop else ""
        cells = (loop, f"{rate:,.0f}", f"{each:.2f}", f"{rate * each:,.0f}", own)
        print(f"| {' | '.join(cells)} | {rate / best:.2f} |")
    mega = [f"{size / 1e6:.1f} MB" for size in sizes]
    print(f"\nImages on the disk: {mega[0]} by reference, {mega[1]} packed")


if __name__ == "__main__":
    main()
