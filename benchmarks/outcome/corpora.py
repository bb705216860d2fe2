"""Labelled corpora of pictures, cut to a size and to two splits: what every arm is trained on.

Each is written as `train.parquet` and `test.parquet` (key, image, label), so that `curate run`
reads a split from the name of its file. Which rows are taken follows from their keys alone.

    cifar10    the splits of the data set
    clothing   photographs of clothes; contributors of the test pictures are in no other split
    eth80      objects on a turntable; the test objects are in no other split
    sample     the rendered corpus of `curate sample`, for trying the scripts: it needs no files
"""

from __future__ import annotations

import json
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from curate.manifests.fingerprint import draw_uniform, key_hashes
from curate.stages.sample_corpus import record_at

Row = tuple[str, bytes, str, str]
"""Key, bytes of the picture, label, split."""
TEST_SHARE = 0.25
"""Share of groups (contributors, scenes) that are held out where a corpus names no split."""


def write(name: str, data: Path, folder: Path, train: int, test: int) -> Path:
    """Write a corpus, unless it is there; return its folder.

    Args:
        name: one of `CORPORA`.
        data: folder that holds a folder of that name; not read for "sample".
        folder: where the two files go.
        train: at most so many training pictures.
        test: at most so many test pictures.
    """
    if (folder / "test.parquet").exists():
        return folder
    folder.mkdir(parents=True, exist_ok=True)
    rows = list(CORPORA[name](data / name, train + test))
    for split, limit in (("train", train), ("test", test)):
        kept = _drawn([row for row in rows if row[3] == split], limit)
        columns = zip(*(row[:3] for row in kept), strict=True)
        table = pa.table(dict(zip(("key", "image", "label"), map(list, columns), strict=True)))
        pq.write_table(table, folder / f"{split}.parquet", row_group_size=256)
    return folder


def _drawn(rows: list[Row], limit: int) -> list[Row]:
    """Return `limit` rows, chosen by their keys, in the order of their keys."""
    order = np.argsort(_uniform([row[0] for row in rows], "rows"), kind="stable")[:limit]
    return sorted(rows[at] for at in order)


def _uniform(names: list[str], purpose: str) -> np.ndarray:
    """Return float64 [n] in [0, 1) by name alone."""
    ids = (key_hashes(names)[:, 0] >> np.uint64(1)).astype(np.int64)
    return draw_uniform(0, ids, f"outcome/{purpose}")[:, 0]


def _split(groups: list[str]) -> list[str]:
    held_out = _uniform(groups, "split") < TEST_SHARE
    return ["test" if out else "train" for out in held_out]


def _cifar10(folder: Path, limit: int) -> Iterator[Row]:
    del limit
    for split in ("train", "test"):
        table = pq.read_table(folder / f"{split}.parquet")
        for key, image, label in zip(*(table[c] for c in ("key", "image", "label")), strict=True):
            yield key.as_py(), image.as_py(), label.as_py(), split


def _clothing(folder: Path, limit: int) -> Iterator[Row]:
    del limit
    for path in sorted(folder.glob("*.tar")):
        members: dict[str, dict[str, bytes]] = {}
        with tarfile.open(path) as tar:
            for member in tar:
                stem, _, kind = member.name.rpartition(".")
                found = tar.extractfile(member)
                members.setdefault(stem, {})[kind] = found.read() if found else b""
        about = {key: json.loads(parts["json"]) for key, parts in members.items()}
        splits = _split([str(facts["sender_id"]) for facts in about.values()])
        for (key, facts), split in zip(about.items(), splits, strict=True):
            yield key, members[key]["jpg"], facts["label"], split


def _eth80(folder: Path, limit: int) -> Iterator[Row]:
    del limit
    lines = (folder / "metadata.jsonl").read_text().splitlines()
    for facts in map(json.loads, lines):
        number = int("".join(sign for sign in facts["object"] if sign.isdigit()))
        split = "test" if number > 7 else "train"  # objects 8, 9, 10 of each of 8 classes
        name = facts["file_name"]
        yield name, (folder / name).read_bytes(), facts["label"], split


def _sample(folder: Path, limit: int) -> Iterator[Row]:
    del folder
    records = [record_at(0, row, 64) for row in range(limit)]
    splits = _split([str(record.truth["scene_id"]) for record in records])
    for record, split in zip(records, splits, strict=True):
        yield record.key, record.image, record.truth["label"], split


CORPORA: dict[str, Callable[[Path, int], Iterator[Row]]] = {
    "cifar10": _cifar10,
    "clothing": _clothing,
    "eth80": _eth80,
    "sample": _sample,
}
"""Readers by name: (folder, pictures wanted) to rows in any order."""
