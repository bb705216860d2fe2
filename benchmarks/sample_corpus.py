"""How fast the sample corpus is rendered: images a second on one core, by size of the picture.

`python benchmarks/sample_corpus.py` prints a table; `--json` prints one JSON object. CPU time of
this process is counted, not time on the clock, so other work on the machine hardly matters. The
run fails (exit 1) when 128 px pictures come slower than `FLOOR`.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from pathlib import Path

from curate.stages.sample_corpus import captions_for, record_at, scene_at, write_corpus

PIXELS = (64, 128, 256, 512)
FLOOR = 200.0
"""Images a second a core at 128 px: "hundreds", as was asked."""


def images_per_second(px: int, seconds: float = 2.0) -> float:
    """Whole records (scene, picture, JPEG, captions) a second of CPU time at one size."""
    for row in range(30):
        record_at(1, row, px)  # fills the caches that a long run has
    done, start = 0, time.process_time()
    while time.process_time() - start < seconds:
        record_at(0, done, px)
        done += 1
    return done / (time.process_time() - start)


def scenes_per_second(rows: int = 3000) -> float:
    """Scenes with captions and no picture, a second of CPU time."""
    start = time.process_time()
    for row in range(rows):
        captions_for(0, row, scene_at(0, row))
    return rows / (time.process_time() - start)


def written_per_second(rows: int = 1000) -> float:
    """Images a second on the clock through `write_corpus` with one worker, 128 px, to disk."""
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        write_corpus(Path(folder) / "corpus", rows)
        return rows / (time.perf_counter() - start)


def main() -> int:
    """Measure, print, and say whether the floor was held."""
    figures = {f"records_{px}px": round(images_per_second(px), 1) for px in PIXELS}
    figures["scenes_and_captions"] = round(scenes_per_second(), 1)
    figures["written_128px_wall"] = round(written_per_second(), 1)
    if "--json" in sys.argv[1:]:
        print(json.dumps(figures))
    else:
        for name, value in figures.items():
            print(f"{name:24} {value:10.1f} a second")
    return 0 if figures["records_128px"] >= FLOOR else 1


if __name__ == "__main__":
    sys.exit(main())
