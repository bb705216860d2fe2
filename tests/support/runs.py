"""Runs of the `curate` command on small corpora, and the digests of what they publish."""

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np

VARIES = ("run.jsonl", "report.html")
"""The two files that tell of one run, so equal runs do not share them."""


def curate(*arguments, check=True, **options):
    """Run the command line in a process of its own."""
    command = [sys.executable, "-m", "curate.pipeline.cli", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment(), **options)
    if check and done.returncode:
        raise AssertionError(f"{arguments}: exit {done.returncode}\n{done.stdout}\n{done.stderr}")
    return done


def environment():
    return {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"}


def published(out):
    """Return the sha256 of every published file that two equal runs share."""
    found = {}
    for path in sorted(Path(out).rglob("*")):
        name = path.relative_to(out).as_posix()
        if path.is_file() and not name.startswith(".store/") and name not in VARIES:
            found[name] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found


def vector_corpus(folder, rows=600, dim=32, classes=6, seed=0):
    """Write a corpus without images: keys, captions, labels, splits, and clustered vectors.

    A run on it loads no model, so it is quick to kill and to start again.
    """
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True)
    labels = rng.integers(0, classes, rows)
    centres = rng.normal(size=(classes, dim))
    vectors = centres[labels] + rng.normal(size=(rows, dim)) * 0.7
    vectors[7] = vectors[3]
    lines = [
        json.dumps(
            {
                "key": f"item-{row:04d}",
                "captions": [f"a {labels[row]} thing", f"thing number {row}"],
                "label": f"class-{labels[row]}",
                "split": "test" if row % 10 == 0 else "train",
                "camera": f"cam-{row % 3}",
            }
        )
        for row in range(rows)
    ]
    (folder / "table.jsonl").write_text("\n".join(lines) + "\n")
    np.save(folder / "image.npy", vectors.astype(np.float32))
    return folder


def vector_config(corpus, path, **changes):
    """Write a config for a vector corpus; return its path."""
    config = {
        "corpus": {
            "source": str(corpus / "table.jsonl"),
            "format": "embeddings",
            "fields": {"attributes": {"camera": "camera"}},
        },
        "spaces": {"image": {"of": "image", "encoder": "array", "path": str(corpus / "image.npy")}},
        "neighbors": {"image>image": {"k": 16}},
        "positives": [
            {"miner": "knn", "space": "image>image", "k": 5, "mutual": True},
            {"miner": "label", "count": 2},
        ],
        "false_negatives": [
            {"miner": "topk_threshold", "space": "image>image", "k": 5, "threshold": "calibrated"}
        ],
        "negatives": [
            {"miner": "hard", "space": "image>image", "ranks": [3, 16], "max_ratio": 0.95}
        ],
        **changes,
    }
    # JSON is YAML.
    path.write_text(json.dumps(config, indent=1))
    return path
