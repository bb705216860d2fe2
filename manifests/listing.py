"""Which files a path, a folder, a pattern or any fsspec URL stands for, in one fixed order.

Listing is cheap (names, sizes and times; nothing is opened) and sorted, so that two machines that
look at the same files see the same list.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from . import storage
from .errors import DataError
from .fingerprint import fingerprint

_STAMPS = ("ETag", "etag", "md5Hash", "mtime", "LastModified", "last_modified", "created")
_PUBLISHED = ("manifest.json", "samples", "pairs")
RUN_STORE = ".store"
"""Folder of a pairset that holds what a run keeps for the next one."""
_RANGE = re.compile(r"(\d+)\.\.(\d+)")
_BRACES = re.compile(r"\{([^{}]*)\}")


@dataclass(frozen=True)
class FoundFile:
    """One file of a corpus.

    Attributes:
        url: absolute path or URL.
        path: the same, relative to the folder that was listed, with "/" between the steps.
        size: bytes; -1 where the file system does not say.
        stamp: etag or time of the last change, as text; "" where the file system has none.
        unsafe: why the file must not be read (a link that leaves the folder, a pipe), or "".
    """

    url: str
    path: str
    size: int
    stamp: str
    unsafe: str = ""


def absolute(url: str) -> str:
    """Return a path made absolute, or a URL as it is; one place has one spelling.

    Steps upwards are followed through links as the system does; other links are kept as typed.
    """
    return url if storage.is_remote(url) else str(_local_place(url))


def _local_place(url: str) -> Path:
    path = storage.local_path(url)
    return path.resolve() if ".." in path.parts else path.absolute()


def join(folder: str, path: str) -> str:
    """Return where `path` (relative, "/" between the steps) stands below a folder or URL."""
    if storage.is_remote(folder):
        return f"{folder.rstrip('/')}/{path}"
    return os.path.join(storage.local_path(folder), path)


def parent(url: str) -> str:
    """Return the folder that a path or URL stands in."""
    if storage.is_remote(url):
        head, _, _ = url.rstrip("/").rpartition("/")
        return f"{head}//" if head.endswith(":/") else head
    return str(_local_place(url).parent)


def is_folder(url: str) -> bool:
    """Say whether a path or URL is a folder that exists."""
    if not storage.is_remote(url):
        return storage.local_path(url).is_dir()
    fs, path = storage.filesystem(url)
    return bool(fs.isdir(path))


def exists(url: str) -> bool:
    """Say whether there is a file or folder."""
    if not storage.is_remote(url):
        return storage.local_path(url).exists()
    fs, path = storage.filesystem(url)
    return bool(fs.exists(path))


def describe(url: str) -> FoundFile:
    """Return what is known of one file.

    Raises:
        FileNotFoundError: there is no such file.
    """
    name = url.replace("\\", "/").rstrip("/").rsplit("/", 1)[-1]
    if not storage.is_remote(url):
        path = _local_place(url)
        status = path.stat()
        return FoundFile(str(path), path.name, status.st_size, str(status.st_mtime_ns))
    fs, path = storage.filesystem(url)
    return _remote(fs.info(path), url, name)


def files_below(root: str) -> list[FoundFile]:
    """List the files of a folder and its folders, sorted by path; hidden names are left out.

    A name is hidden when it, or a folder above it, starts with "." or is `__MACOSX`, and in a
    pairset: a run whose output stands inside its corpus never reads itself. Linked folders are
    not entered: each is listed once, with `unsafe` set.

    Raises:
        DataError: there is no such folder.
    """
    if not is_folder(root):
        raise DataError(f"{root}: no such folder.")
    if storage.is_remote(root):
        found = _walk_remote(root)
    else:
        found = _walk_local_root(root)
    return sorted(found, key=lambda file: file.path)


def names_in(folder: str) -> list[str]:
    """Return the names that stand directly in a folder, sorted; hidden ones are left out."""
    if not storage.is_remote(folder):
        names = os.listdir(storage.local_path(folder))
    else:
        fs, path = storage.filesystem(folder)
        names = [str(name).rstrip("/").rpartition("/")[2] for name in fs.ls(path, detail=False)]
    return sorted(name for name in names if name and not _hidden(name))


def first_files(root: str, limit: int = 1000) -> list[FoundFile]:
    """Return some files of a folder and its folders, for a first look; all of a remote folder."""
    if storage.is_remote(root):
        return files_below(root)
    return list(islice(_walk_local_root(root), limit))


def matching(url: str, suffixes: tuple[str, ...] = ()) -> list[FoundFile]:
    """List the files that a source stands for: a file, a folder, a `*` pattern, or `{0..9}`.

    Args:
        url: path or URL. `{000..123}` counts with leading zeros, `{a,b}` chooses; both may be
            used together with `*`, which lists files in sorted order.
        suffixes: in a folder, only files whose names end so are taken (lower case, ".tar").

    Raises:
        DataError: a name that was written out does not exist, or a folder has none.
    """
    if is_folder(url):
        files = [file for file in files_below(url) if file.path.lower().endswith(suffixes)]
        if not files:
            raise DataError(f"{url}: no {' or '.join(suffixes)} file is in this folder.")
        return files
    found: list[FoundFile] = []
    for name in expand_braces(url):
        if any(mark in name for mark in "*?["):
            found.extend(_glob(name))
            continue
        try:
            found.append(describe(name))
        except FileNotFoundError as error:
            raise DataError(f"{name}: no such file or folder.") from error
    if not found:
        raise DataError(f"{url}: no file matches this pattern.")
    return found


def expand_braces(text: str) -> list[str]:
    """Return the names that `{000..123}` and `{a,b}` in a text stand for, in written order."""
    match = _BRACES.search(text)
    if not match:
        return [text]
    counted = _RANGE.fullmatch(match[1])
    if counted:
        low, high = int(counted[1]), int(counted[2])
        step = 1 if low <= high else -1
        choices = [str(n).zfill(len(counted[1])) for n in range(low, high + step, step)]
    else:
        choices = match[1].split(",")
    head, tail = text[: match.start()], text[match.end() :]
    return [head + choice + rest for choice in choices for rest in expand_braces(tail)]


def content_digest(files: Iterable[FoundFile]) -> str:
    """Return a name for the content of files: their paths, sizes and times, not their bytes."""
    return fingerprint([[file.path, file.size, file.stamp] for file in files])


def _walk_local_root(root: str) -> Iterator[FoundFile]:
    top = absolute(root)
    return _walk_local(top, "", os.path.realpath(top) + os.sep)


def _walk_local(folder: str, below: str, real_root: str) -> Iterator[FoundFile]:
    with os.scandir(folder) as entries:
        for entry in entries:
            if _hidden(entry.name):
                continue
            path = f"{below}{entry.name}"
            if not entry.is_dir(follow_symlinks=False):
                yield _local(entry, path, real_root)
            elif not _is_pairset(entry.path):
                yield from _walk_local(entry.path, f"{path}/", real_root)


def _is_pairset(folder: str) -> bool:
    names = (RUN_STORE, *_PUBLISHED)
    there = [os.path.exists(os.path.join(folder, name)) for name in names]
    return there[0] or all(there[1:])


def _local(entry: os.DirEntry[str], path: str, real_root: str) -> FoundFile:
    unsafe = ""
    if entry.is_symlink():
        if not os.path.realpath(entry.path).startswith(real_root):
            unsafe = "a link that leads out of the corpus folder"
        elif os.path.isdir(entry.path):
            unsafe = "a linked folder"
    try:
        status = entry.stat()
    except OSError:
        return FoundFile(entry.path, path, -1, "", unsafe)
    if not unsafe and not stat.S_ISREG(status.st_mode):
        unsafe = "not a regular file"
    return FoundFile(entry.path, path, status.st_size, str(status.st_mtime_ns), unsafe)


def _walk_remote(root: str) -> Iterator[FoundFile]:
    fs, top = storage.filesystem(root)
    listed: Mapping[str, Any] = fs.find(top, detail=True)  # pyright: ignore
    start = len(str(fs._strip_protocol(top)).rstrip("/")) + 1
    for name, info in listed.items():
        path = name[start:]
        if path and not any(_hidden(step) for step in path.split("/")):
            yield _remote(info, join(root, path), path)


def _glob(pattern: str) -> list[FoundFile]:
    if storage.is_remote(pattern):
        fs, path = storage.filesystem(pattern)
        listed: Mapping[str, Any] = fs.glob(path, detail=True)  # pyright: ignore
        pairs = [(str(fs.unstrip_protocol(name)), info) for name, info in sorted(listed.items())]
        return [_remote(info, url, url.rsplit("/", 1)[-1]) for url, info in pairs]
    path = _local_place(pattern)
    anchor = Path(path.anchor)
    names = sorted(anchor.glob(str(path.relative_to(anchor))))
    return [describe(str(name)) for name in names if name.is_file()]


def _remote(info: Mapping[str, Any], url: str, path: str) -> FoundFile:
    stamp = next((str(info[name]) for name in _STAMPS if info.get(name)), "")
    size = info.get("size")
    return FoundFile(url, path, -1 if size is None else int(size), stamp)


def _hidden(name: str) -> bool:
    return name.startswith(".") or name == "__MACOSX"
