"""Pairs a second, images a pair and false-negative partners of each order of a stream.

    OMP_NUM_THREADS=1 python benchmarks/orders.py [--images 6000] [--px 128] [--batch 240]

A corpus of rendered pictures whose vectors stand in clusters of sixty; k-means finds the clusters,
negatives are hard ones, and so of the anchor's own cluster (P = 1, K = 4). One process; every image
of a batch is read once. "partners" are other pairs of a pair's own cluster in its batch, which a
mask must know; the last two rows show fewer members of a pair. CPU seconds; ratios are what counts.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from curate.manifests import PairStream
from curate.manifests.stream import ImageTransform
from curate.stages.sample_corpus import write_corpus

SIXTY = 60


def make(folder: Path, images: int, px: int) -> Path:
    """Render a corpus, give it vectors in clusters, and mine it."""
    corpus, rng = folder / "corpus", np.random.default_rng(0)
    write_corpus(corpus, images, image_px=px)
    centres = rng.normal(size=(images // SIXTY, 32))
    vectors = centres[rng.permutation(images) // SIXTY] + 0.25 * rng.normal(size=(images, 32))
    np.save(folder / "image.npy", vectors.astype(np.float32))
    settings = {
        "clusters": {"sixty": {"space": "image", "k": images // SIXTY}},
        "output.cluster": "sixty",
        "positives": [{"miner": "knn", "k": 1}],
        "negatives": [{"miner": "hard", "ranks": [1, 40], "max_ratio": None, "count": 4}],
        "false_negatives": [],
        "output.negatives": 4,
    }
    sets = [w for k, v in settings.items() for w in ("--set", f"{k}={json.dumps(v)}")]
    command = [sys.executable, "-m", "curate.pipeline.cli", "run", str(corpus)]
    command += ["--embeddings", f"image={folder / 'image.npy'}"]
    command += ["-o", str(folder / "out"), "--ray", "off", "--no-report", *sets]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return folder / "out"


def main() -> None:
    """Measure and print one table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--images", type=int, default=6000)
    parser.add_argument("--px", type=int, default=128)
    parser.add_argument("--batch", type=int, default=240)
    parser.add_argument("--batches", type=int, default=8)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    batch = asked.batch
    rows = {
        "global": {},
        f"clusters={batch // 10} (runs of 10)": {"order": "clusters", "clusters": batch // 10},
        f"clusters={batch // 30} (runs of 30)": {"order": "clusters", "clusters": batch // 30},
        f"clusters={batch // 60} (runs of 60)": {"order": "clusters", "clusters": batch // 60},
        "global, negatives=1": {"negatives": 1},
        "global, negatives=0": {"negatives": 0},
    }
    with tempfile.TemporaryDirectory() as name:
        root = make(Path(name), asked.images, asked.px)
        print(f"{asked.images} images of {asked.px} px, batch {batch}, P = 1, K = 4, one process\n")
        print("| order | pairs/CPU s | images a pair | partners | clusters | this / global |")
        print("|---|---|---|---|---|---|")
        plain = 0.0
        for order, settings in rows.items():
            stream = PairStream(root, batch, transform=ImageTransform(112), **settings)
            mixed, images = stream.mixing(), 0
            begun = time.process_time()
            for item, _ in zip(stream, range(asked.batches), strict=False):
                images += len(item.images)
            pairs = asked.batches * batch
            rate = pairs / (time.process_time() - begun)
            plain = plain or rate
            facts = (0.0, 0.0) if mixed is None else (mixed.partners, mixed.clusters)
            print(f"| {order} | {rate:,.0f} | {images / pairs:.2f} | {facts[0]:.1f} | "
                  f"{facts[1]:.0f} | {rate / plain:.2f} |")  # fmt: skip


if __name__ == "__main__":
    main()
