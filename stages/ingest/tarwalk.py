"""A tar as a stream of members, with the place of each payload; torn tars are said to be torn.

The standard library takes a damaged header for the end of the archive; here that is an error,
because the rest of a corpus would go missing without a word.
"""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

LINK = -1
"""Size of a member that is a link to another one."""

_BLOCK = 512
_ZEROS = bytes(_BLOCK)
_FILES = (tarfile.REGTYPE, tarfile.AREGTYPE, tarfile.CONTTYPE)
_LINKS = (tarfile.LNKTYPE, tarfile.SYMTYPE)
_EMPTY = (*_LINKS, tarfile.DIRTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE)
_EXTENDED = (tarfile.XHDTYPE, tarfile.SOLARIS_XHDTYPE)
_LONGEST_NAME = 1 << 20


class Readable(Protocol):
    """What a tar is read from."""

    def read(self, size: int, /) -> bytes:
        """Return `size` bytes, fewer at the end."""
        ...

    def seek(self, place: int, /) -> object:
        """Go to a byte."""
        ...


class TornTar(Exception):
    """The tar ends early, or a header is damaged; the text says where."""


@dataclass(frozen=True)
class Member:
    """One file in a tar: its name, and where its payload stands."""

    name: str
    offset: int
    size: int


class TarStream:
    """Walks over the members of a tar in order, holding nothing but the member asked for."""

    def __init__(self, stream: Readable) -> None:
        self._stream = stream
        self._at = 0
        self._next = 0

    def members(self) -> Iterator[Member]:
        """Yield the files of the tar, and links with size `LINK`; folders are passed over.

        Raises:
            TornTar: the tar ends early or is damaged; all members before were given.
        """
        long_name, sizes = "", {}
        while True:
            self._skip_to(self._next)
            block = self._read(_BLOCK)
            if block == _ZEROS:
                return
            info = self._header(block)
            start = self._at
            self._next = start + _padded(0 if info.type in _EMPTY else info.size)
            if info.type == tarfile.GNUTYPE_LONGNAME:
                long_name = _text(self._read_small(info.size).split(b"\0", 1)[0])
                continue
            if info.type in _EXTENDED:
                sizes = _pax(self._read_small(info.size))
                long_name = sizes.get("path", long_name)
                continue
            if info.type in (tarfile.GNUTYPE_LONGLINK, tarfile.XGLTYPE):
                continue
            if info.type == tarfile.GNUTYPE_SPARSE:
                raise TornTar(f"a sparse member at byte {start}; pack the tar without --sparse")
            if info.type in _FILES:
                size = int(sizes.get("size", info.size))
                self._next = start + _padded(size)
                yield Member(long_name or info.name, start, size)
            elif info.type in _LINKS:
                yield Member(long_name or info.name, start, LINK)
            long_name, sizes = "", {}

    def payload(self, member: Member) -> bytes:
        """Return the bytes of the member that was given last.

        Raises:
            TornTar: the tar ends inside it.
        """
        self._skip_to(member.offset)
        return self._read(member.size)

    def _header(self, block: bytes) -> tarfile.TarInfo:
        try:
            return tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
        except tarfile.HeaderError as error:
            raise TornTar(f"damaged header at byte {self._at - _BLOCK}: {error}") from error

    def _read_small(self, size: int) -> bytes:
        if size > _LONGEST_NAME:
            raise TornTar(f"a name of {size} bytes at byte {self._at}")
        return self._read(size)

    def _read(self, size: int) -> bytes:
        data = self._stream.read(size)
        self._at += len(data)
        if len(data) != size:
            raise TornTar(f"the tar ends at byte {self._at}, before its end mark")
        return data

    def _skip_to(self, place: int) -> None:
        if place != self._at:
            self._stream.seek(place)
            self._at = place


def _padded(size: int) -> int:
    return (size + _BLOCK - 1) // _BLOCK * _BLOCK


def _pax(data: bytes) -> dict[str, str]:
    found: dict[str, str] = {}
    while data:
        length, space, _ = data.partition(b" ")
        if not space or not length.isdigit() or not int(length):
            return found
        name, _, value = data[len(length) + 1 : int(length) - 1].partition(b"=")
        found[_text(name)] = _text(value)
        data = data[int(length) :]
    return found


def _text(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")
