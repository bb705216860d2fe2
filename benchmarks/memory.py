"""Peak memory of the driver and of the workers, for corpora of two sizes, and their ratio.

    python benchmarks/memory.py [--rows 20000 200000] [--dim 512] [--workers 2]

Writes clustered vectors as an `array` space, runs `curate run` on them, and reads the peaks from
run.jsonl. "anonymous" leaves out pages of mapped files, which the system drops when it needs them.

Quick: --rows 2000 8000 --dim 64
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

CLUSTER_ROWS = 100


def write_corpus(folder: Path, rows: int, dim: int) -> Path:
    """Write a table of keys and a float16 array of clustered unit vectors, block by block."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    vectors = np.lib.format.open_memmap(folder / "image.npy", "w+", np.float16, (rows, dim))
    with (folder / "table.jsonl").open("w") as table:
        for start in range(0, rows, CLUSTER_ROWS):
            count = min(CLUSTER_ROWS, rows - start)
            block = rng.normal(size=dim) + rng.normal(size=(count, dim)) * 0.8
            vectors[start : start + count] = block / np.linalg.norm(block, axis=1, keepdims=True)
            cluster = start // CLUSTER_ROWS
            for row in range(start, start + count):
                line = {"key": f"{row:09d}", "label": f"c{cluster % 1000}", "caption": f"{cluster}"}
                table.write(json.dumps(line) + "\n")
    return folder


def measure(corpus: Path, out: Path, workers: int) -> dict[str, dict[str, float]]:
    """Run the job and return, by node, peak and anonymous bytes of a worker and seconds."""
    command = [sys.executable, "-m", "curate.pipeline.cli", "run", str(corpus / "table.jsonl")]
    command += ["--format", "embeddings", "-o", str(out), "--no-report"]
    command += ["--embeddings", f"image={corpus / 'image.npy'}", "--workers", str(workers)]
    begun = time.monotonic()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    seconds = time.monotonic() - begun
    found: dict[str, dict[str, float]] = {}
    for line in (out / "run.jsonl").read_text().splitlines():
        event = json.loads(line)
        if event["event"] == "node_done":
            found[event["node"]] = {
                "peak": event["peak_worker_bytes"],
                "anonymous": event["anonymous_worker_bytes"],
                "seconds": event["seconds"],
            }
        elif event["event"] == "run_done":
            peak = event["peak_driver_bytes"]
            anonymous = event["anonymous_driver_bytes"]
            found["driver"] = {"peak": peak, "anonymous": anonymous, "seconds": seconds}
    return found


def main() -> None:
    """Measure every size and print one table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, nargs=2, default=[20_000, 200_000])
    parser.add_argument("--dim", type=int, default=512)
    parser.add_argument("--workers", type=int, default=2)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        results = []
        for rows in chosen.rows:
            corpus = write_corpus(Path(folder) / f"corpus-{rows}", rows, chosen.dim)
            results.append(measure(corpus, Path(folder) / f"out-{rows}", chosen.workers))
    small, large = results
    print(f"MB of a worker, {chosen.workers} workers, d = {chosen.dim}: all / anonymous")
    print(f"| node | {chosen.rows[0]:,} | {chosen.rows[1]:,} | ratio | seconds |")
    print("|---|---|---|---|---|")
    for node, one in small.items():
        other = large[node]
        print(
            f"| {node} | {one['peak'] / 1e6:.0f} / {one['anonymous'] / 1e6:.0f} "
            f"| {other['peak'] / 1e6:.0f} / {other['anonymous'] / 1e6:.0f} "
            f"| {other['peak'] / one['peak']:.2f} / {other['anonymous'] / one['anonymous']:.2f} "
            f"| {one['seconds']:.1f} / {other['seconds']:.1f} |"
        )


if __name__ == "__main__":
    main()
