"""Seconds until a stream over a hundred million pairs is open, and what it keeps in memory.

    OMP_NUM_THREADS=1 python benchmarks/startup.py [--pairs 100000000] [--parquet 5000000]

Two pairsets with P = 1, K = 2, F = 2. The large one is written as the mapped columns that a stream
makes of Parquet once a machine (all its samples show one of 64 pictures); the small one as Parquet,
which is turned into columns here, so that the rate of that is known. Each opening is a process of
its own; "cold" is after the pages of the files were given up. Memory is anonymous, without mapped
pages. The last line is what an index of the epoch as an array of its own costs, which the order as
a function does not make.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa

from curate.manifests import Pairset, PairStream, schema
from curate.manifests.stream import ImageTransform
from curate.manifests.stream.cache import cache_name, load_columns
from curate.manifests.stream.columns import Request
from curate.manifests.tables import write_parquet_stream
from curate.stages.sample_corpus import write_corpus

P, K, F, PICTURES = 1, 2, 2, 64
BLOCK = 1 << 20


def ids(start: int, stop: int, width: int, count: int) -> np.ndarray:
    """Return int64 [rows, width], some ids of 0..count-1 for each row."""
    rows = np.arange(start, stop, dtype=np.int64)[:, None]
    return (rows * 2_654_435_761 + np.arange(1, width + 1) * 40_503) % count


def pictures(root: Path) -> tuple[str, np.ndarray, np.ndarray]:
    """Render some pictures into one file; return its name, offsets and sizes."""
    write_corpus(root / "corpus", PICTURES, image_px=128)
    found = sorted(p for p in (root / "corpus").rglob("*") if p.suffix in (".jpg", ".png"))
    payloads = [path.read_bytes() for path in found]
    (root / "images").mkdir()
    (root / "images/all.tar").write_bytes(b"".join(payloads))
    sizes = np.array([len(payload) for payload in payloads])
    return "images/all.tar", np.cumsum(sizes) - sizes, sizes


def write_manifest(root: Path, pairs: int, tables: dict[str, list[dict[str, str]]]) -> Pairset:
    """Write what a stream reads of a manifest."""
    counts = {"samples": pairs, "pairs": pairs, "P": P, "K": K, "F": F}
    body = {"format": schema.FORMAT, "manifest_id": f"sha256:{pairs}", "counts": counts}
    (root / "manifest.json").write_text(
        json.dumps({**body, "tables": tables, "mask_groups": ["group_id"]})
    )
    return Pairset.open(root)


def write_columns(root: Path, pairs: int) -> int:
    """Write the mapped columns of a pairset; return their bytes."""
    shard, offsets, sizes = pictures(root)
    pairset = write_manifest(root, pairs, {"pairs": [], "samples": []})
    folder = root / ".cache/stream" / cache_name(pairset, Request())
    folder.mkdir(parents=True)
    shapes = {
        **dict.fromkeys(("anchor_id", "split_rows", "offset", "size"), ((pairs,), np.int64)),
        **{"weight": ((pairs,), np.float32), "shard": ((pairs,), np.int32)},
        **{"groups": ((pairs, 1), np.int64), "cluster": ((0,), np.int32)},
        **{"split_starts": ((2,), np.int64), "false_negative_ids": ((pairs, F), np.int64)},
        **{"positive_ids": ((pairs, P), np.int64), "positive_weights": ((pairs, P), np.float32)},
        **{"negative_ids": ((pairs, K), np.int64), "negative_weights": ((pairs, K), np.float32)},
    }
    out = {
        name: np.lib.format.open_memmap(folder / f"{name}.npy", "w+", kind, shape)
        for name, (shape, kind) in shapes.items()
    }
    out["split_starts"][:] = 0, pairs
    for start in range(0, pairs, BLOCK):
        span = slice(start, stop := min(start + BLOCK, pairs))
        rows = np.arange(start, stop)
        out["anchor_id"][span] = out["split_rows"][span] = rows
        out["groups"][span, 0] = rows // 2
        out["offset"][span], out["size"][span] = offsets[rows % PICTURES], sizes[rows % PICTURES]
        out["shard"][span] = 0
        for name in ("weight", "positive_weights", "negative_weights"):
            out[name][span] = 1
        for name, width in (("positive", P), ("negative", K), ("false_negative", F)):
            out[f"{name}_ids"][span] = ids(start, stop, width, pairs)
    for array in out.values():
        if isinstance(array, np.memmap):
            array.flush()
    names = {"arrays": sorted(out), "splits": ["train"], "shards": [shard], "methods": []}
    (folder / "columns.json").write_text(json.dumps({**names, "samples": None}))
    return sum(array.nbytes for array in out.values())


def write_tables(root: Path, pairs: int) -> Pairset:
    """Write a pairset's tables as Parquet, a million rows a file."""
    shard, offsets, sizes = pictures(root)
    listed: dict[str, list[dict[str, str]]] = {"pairs": [], "samples": []}
    for table, columns in (("pairs", schema.PAIRS), ("samples", schema.SAMPLES)):
        (root / table).mkdir()
        for part, start in enumerate(range(0, pairs, BLOCK)):
            stop = min(start + BLOCK, pairs)
            path = f"{table}/part-{part:05d}.parquet"
            blocks = _tables(columns, table, start, stop, pairs, (shard, offsets, sizes))
            write_parquet_stream(blocks, columns, root / path)
            listed[table].append({"path": path})
    return write_manifest(root, pairs, listed)


def _tables(
    columns: pa.Schema,
    table: str,
    start: int,
    stop: int,
    pairs: int,
    places: tuple[str, np.ndarray, np.ndarray],
) -> Iterator[pa.Table]:
    rows = np.arange(start, stop)
    shard, offsets, sizes = places
    widths = {"positive": P, "negative": K, "false_negative": F}
    known = {
        "pair_id": rows,
        "anchor_id": rows,
        "sample_id": rows,
        "group_id": rows // 2,
        "offset": offsets[rows % PICTURES],
        "size": sizes[rows % PICTURES],
    }
    known |= {f"{name}_ids": ids(start, stop, width, pairs) for name, width in widths.items()}
    arrays = []
    for field in columns:
        values, kind = known.get(field.name), field.type
        if pa.types.is_list(kind):
            width = widths.get(field.name.rsplit("_", 1)[0], 0)
            flat = np.ones((len(rows), width)) if values is None else values
            starts = pa.array(np.arange(len(rows) + 1) * width, pa.int32())
            inner = pa.array(flat.ravel()).cast(kind.value_type)
            arrays.append(pa.ListArray.from_arrays(starts, inner).cast(kind))
        elif pa.types.is_string(kind):
            text = {"shard": shard, "split": "train"}.get(field.name, "")
            arrays.append(pa.repeat(pa.scalar(text), len(rows)))
        else:
            arrays.append(pa.array(np.ones(len(rows)) if values is None else values).cast(kind))
    yield pa.table(arrays, schema=columns)


def give_up_pages(folder: Path) -> None:
    """Let the system forget the pages of all files below a folder."""
    for path in folder.rglob("*"):
        if path.is_file():
            with path.open("rb") as file:
                os.fsync(file.fileno())
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def anonymous() -> float:
    """Return MB of memory of this process that no file backs."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("RssAnon:")[1].split()[0]) / 1024


def opened(root: Path, order: str) -> dict[str, float]:
    """Open a stream and read; what the measuring process does and prints."""
    small = {"transform": ImageTransform(32), "order": order, "memory_budget": 0}
    before, begun = anonymous(), time.perf_counter()
    stream = PairStream(root, 64, **small)
    open_s = time.perf_counter() - begun
    next(iter(stream))
    first_s = time.perf_counter() - begun
    jump = time.perf_counter()
    stream.seek(3, len(stream) // 2)
    next(iter(stream))
    jump_s = time.perf_counter() - jump
    open_mb = anonymous() - before
    for epoch in range(5):
        stream.seek(epoch, 7 * epoch)
        for _, _ in zip(stream, range(40), strict=False):
            pass
    return {
        "open": open_s,
        "first batch": first_s,
        "resumed batch": jump_s,
        "MB": open_mb,
        "MB after 5 epochs": anonymous() - before,
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--pairs", type=int, default=100_000_000)
    parser.add_argument("--parquet", type=int, default=5_000_000)
    parser.add_argument("--open", nargs=2, help="what the measuring processes are started with")
    asked = parser.parse_args()
    if asked.open:
        print(json.dumps(opened(Path(asked.open[0]), asked.open[1])))
        return
    with tempfile.TemporaryDirectory() as name:
        root = Path(name) / "large"
        root.mkdir()
        size = write_columns(root, asked.pairs)
        print(f"{asked.pairs:,} pairs, columns of {size / 1e9:.1f} GB\n")
        print("| opening | open s | first batch of 64 s | batch after a resume s | MB | "
              "MB after 5 epochs |\n|---|---|---|---|---|---|")  # fmt: skip
        for order in ("global", "block"):
            for state in ("cold", "warm"):
                if state == "cold":
                    give_up_pages(root)
                command = [sys.executable, __file__, "--open", str(root), order]
                found = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
                seconds = [f"{v:.2f}" for v in list(found.values())[:3]]
                megabytes = [f"{v:.0f}" for v in list(found.values())[3:]]
                print(f"| {state}, {order} | {' | '.join(seconds + megabytes)} |")
        for path in root.rglob("*.npy"):
            path.unlink()
        small = Path(name) / "small"
        small.mkdir()
        begun = time.perf_counter()
        pairset = write_tables(small, asked.parquet)
        written = time.perf_counter() - begun
        begun = time.perf_counter()
        load_columns(pairset, Request(), 0, small / "cache")
        turned = time.perf_counter() - begun
    rate, whole = asked.parquet / turned / 1e6, asked.pairs / asked.parquet * turned
    print(
        f"\nParquet of {asked.parquet:,} pairs and samples written in {written:.0f} s, turned into "
        f"columns in {turned:.1f} s: {rate:.2f} M pairs/s, {whole:.0f} s for {asked.pairs:,}, once "
        "a machine"
    )
    begun = time.perf_counter()
    index = np.random.default_rng(0).permutation(asked.pairs)
    print(f"An index of one epoch as an array: {time.perf_counter() - begun:.1f} s, "
          f"{index.nbytes / 1e6:.0f} MB in each process")  # fmt: skip


if __name__ == "__main__":
    main()
