"""manifest.json against itself and against the files: names, sizes, hashes, nothing else there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import pairwise
from pathlib import Path, PurePosixPath
from typing import Any

from ..fingerprint import canonical_json, digest, file_digest
from ..pairset import FOLDERS
from ..tables import open_parquet
from .context import Context

_QUICK_BYTES = 16 << 20
"""Files up to this size are hashed even in a quick verification."""
_COUNTED = ("samples", "rejects", "edges", "pairs")


def check_manifest(context: Context) -> None:
    """Check the manifest's own names and counts: ids, kinds, first rows, list lengths."""
    notes, manifest = context.notes, context.pairset.manifest
    body = {key: value for key, value in manifest.items() if key != "manifest_id"}
    found = f"sha256:{digest(canonical_json(body))}"
    if manifest["manifest_id"] != found:
        notes.add("manifest-id", "manifest.json", None, f"{manifest['manifest_id']} != {found}")
    config = digest(canonical_json(manifest["config"]))
    if manifest["config_sha256"] != config:
        notes.add("config-id", "manifest.json", None, f"{manifest['config_sha256']} != {config}")
    ids = [miner["id"] for miner in manifest["miners"]]
    if list(manifest["kinds"]) != ids:
        notes.add("kinds", "manifest.json", None, f"kinds {manifest['kinds']}, miners {ids}")
    number, parents = manifest.get("round", 0), manifest.get("parents", [])
    if (number > 0) != bool(parents):
        notes.add("round", "manifest.json", None, f"round {number} with parents {parents}")
    made = ("assets",) if "assets" in manifest["tables"] else ()
    for table in (*_COUNTED, *made):
        _check_count(context, table)
    _check_inputs(context)
    for name, listed in _listed_rows(manifest):
        _check_first_rows(context, name, listed)


def _check_count(context: Context, table: str) -> None:
    listed = context.pairset.manifest["tables"].get(table)
    if listed is None:
        context.notes.add("count", table, None, "the manifest lists no files of this table")
        context.broken.add(table)
        return
    rows, said = sum(entry["rows"] for entry in listed), context.pairset.counts[table]
    if rows != said:
        message = f"counts say {said} rows, its files are listed with {rows}"
        context.notes.add("count", table, None, message)


def _check_inputs(context: Context) -> None:
    """Every input is a sample or a reject, once: together they are as many as were read."""
    counts, inputs = context.pairset.counts, context.pairset.manifest["corpus"]["inputs"]
    if counts["samples"] + counts["rejects"] != inputs:
        message = (
            f"{counts['samples']} samples and {counts['rejects']} rejects, but {inputs} inputs"
        )
        context.notes.add("inputs", "manifest.json", None, message)


def _listed_rows(manifest: Mapping[str, Any]) -> Iterator[tuple[str, list[Mapping[str, Any]]]]:
    yield from manifest["tables"].items()
    for space, entry in manifest["embeddings"].items():
        yield f"embeddings/{space}", entry["files"]


def _check_first_rows(context: Context, name: str, listed: list[Mapping[str, Any]]) -> None:
    for before, after in pairwise(listed):
        if before["first_row"] + before["rows"] != after["first_row"]:
            message = f"{after['path']} starts at row {after['first_row']}, the file before it ends"
            message += f" at {before['first_row'] + before['rows']}"
            context.notes.add("first-row", name, int(after["first_row"]), message)


def check_files(context: Context) -> None:
    """Check that every listed file is there, inside the root, with its bytes and hash."""
    listed = list(_listed_files(context.pairset.manifest))
    for owner, entry in listed:
        if not _file_is_sound(context, owner, entry):
            context.broken.add(owner)
    context.notes.looked_at("files", len(listed))
    _check_strays(context, {entry["path"] for _, entry in listed})


def _listed_files(manifest: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for name, listed in _listed_rows(manifest):
        yield from ((name, entry) for entry in listed)
    for space, index in manifest["index"].items():
        yield from ((f"index/{space}", entry) for entry in index.get("files", ()))
    yield from (("images", entry) for entry in manifest["images"])
    for item in manifest.get("assets", {}).values():
        yield from (("assets", entry) for entry in (*item["shards"], *item["vectors"]))
    for entry in manifest.get("plans", ()):
        drawn = [entry["negatives"]] if "negatives" in entry else []
        yield from ((f"plans/{entry['name']}", file) for file in (entry, *drawn))
    yield from (("documents", entry) for entry in manifest.get("documents", ()))


def _file_is_sound(context: Context, owner: str, entry: Mapping[str, Any]) -> bool:
    notes, name = context.notes, entry["path"]
    if not is_inside(name):
        notes.add("path", owner, None, f"{name!r} leads out of the pairset")
        return False
    path = context.pairset.root / name
    if not path.is_file():
        notes.add("missing-file", owner, None, f"{name} is not there")
        return False
    size = path.stat().st_size
    if size != entry["bytes"]:
        notes.add("bytes", owner, None, f"{name} has {size} bytes, listed with {entry['bytes']}")
        return False
    if not context.deep and size > _QUICK_BYTES:
        return True
    found = file_digest(path)
    if found != entry["sha256"]:
        notes.add("sha256", owner, None, f"{name} has {found}, listed with {entry['sha256']}")
        return False
    return True


def is_inside(name: str) -> bool:
    """Say whether a relative name stays below the folder that it is relative to."""
    path = PurePosixPath(name)
    return not path.is_absolute() and ".." not in path.parts and name != ""


def _check_strays(context: Context, listed: set[str]) -> None:
    root: Path = context.pairset.root
    for folder in FOLDERS:
        for path in sorted((root / folder).rglob("*")):
            name = path.relative_to(root).as_posix()
            if path.is_file() and name not in listed:
                context.notes.add("stray-file", folder, None, f"{name} is not in manifest.json")


def check_mask_groups(context: Context) -> None:
    """Check that the columns that mask pairs in a batch are columns of `samples`."""
    files = context.pairset.files("samples")
    if not files:
        return
    with open_parquet(files[0]) as file:
        names = set(file.schema_arrow.names)
    for column in context.pairset.manifest["mask_groups"]:
        if column not in names:
            message = f"mask_groups names {column!r}, which is no column"
            context.notes.add("mask-groups", "samples", None, message)
