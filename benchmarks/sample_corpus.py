"""How fast the sample corpus is rendered: images a second on one core, by size of the picture.

    python benchmarks/sample_corpus.py [--seconds 2] [--rows 1000] [--json]

CPU time of this process is counted, not time on the clock, so other work on the machine hardly
matters. The run fails (exit 1) when 128 px pictures come slower than `FLOOR`.

Quick: --seconds 0.2 --rows 100
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path

from curate.stages.sample_corpus import captions_for, record_at, scene_at, write_corpus

PIXELS = (64, 128, 256, 512)
FLOOR = 200.0
"""Images a second a core at 128 px: "hundreds", as was asked."""


def images_per_second(px: int, seconds: float) -> float:
    """Whole records (scene, picture, JPEG, captions) a second of CPU time at one size."""
    for row in range(30):
        record_at(1, row, px)  # fills the caches that a long run has
    done, start = 0, time.process_time()
    while time.process_time() - start < seconds:
        record_at(0, done, px)
        done += 1
    return done / (time.process_time() - start)


def scenes_per_second(rows: int) -> float:
    """Scenes with captions and no picture, a second of CPU time."""
    start = time.process_time()
    for row in range(rows):
        captions_for(0, row, scene_at(0, row))
    return rows / (time.process_time() - start)


def written_per_second(rows: int) -> float:
    """Images a second on the clock through `write_corpus` with one worker, 128 px, to disk."""
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        write_corpus(Path(folder) / "corpus", rows)
        return rows / (time.perf_counter() - start)


def main() -> int:
    """Measure, print, and say whether the floor was held."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seconds", type=float, default=2.0, help="of CPU time, for each size")
    parser.add_argument("--rows", type=int, default=1000, help="images that are written")
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    figures = {f"{px} px": round(images_per_second(px, asked.seconds), 1) for px in PIXELS}
    floor_held = figures["128 px"] >= FLOOR
    figures["scenes and captions"] = round(scenes_per_second(3 * asked.rows), 1)
    figures["written, 128 px, on the clock"] = round(written_per_second(asked.rows), 1)
    if asked.json:
        print(json.dumps(figures))
    else:
        print("| what | a second |\n|---|---|")
        for name, value in figures.items():
            print(f"| {name} | {value:,.1f} |")
    return 0 if floor_held else 1


if __name__ == "__main__":
    sys.exit(main())
