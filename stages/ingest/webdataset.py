"""WebDataset: tars whose consecutive members of one key are one sample.

    source    a tar, a folder of tars, a `*` pattern or {000..123}; plain tars, not compressed
    key       member path up to the first dot of its last step ("a/b.seg.json" -> "a/b")
    fields    paths that start with a member's extension: `json.label`, `seg.json.area`, `cls`
    captions  json.captions, else txt, caption, text, else json.caption, json.text, json.title
    label     cls, else json.label, json.class, json.category;   labels  json.labels
    split     json.split;   uid  json.uid
    rejects   samples without an image; one reject for a torn tar, behind its good samples; failed
              rows of an img2dataset sidecar (000.parquet beside 000.tar), behind the tar's samples

A tar is read member by member; images stay where they are, samples point into the tar.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass, field
from typing import Any, ClassVar

from ...manifests import listing
from ...manifests.errors import ConfigError, DataError
from ...manifests.listing import FoundFile
from ...manifests.refused import Refused
from ...manifests.schema import RejectCode
from .base import Estimate, Fields, RawSample, Reader, Slice
from .fields import Picker, decode_text, paths_of, scalar_text, value_at
from .files import PatientFile
from .imagelist import KNOWN_PICTURES
from .tablefile import open_table
from .tarwalk import LINK, Member, TarStream, TornTar

_TEXTS = ("txt", "text", "caption", "cls")
_MAX_TEXT_BYTES = 16 << 20
_CAPTIONS = "json.captions txt caption text json.caption json.text json.title".split()
_GUESSES = {
    "label": ("cls", "json.label", "json.class", "json.category"),
    "labels": ("json.labels",),
    "split": ("json.split",),
    "uid": ("json.uid",),
}


@dataclass
class _Group:
    """Members of one sample, as far as they are needed."""

    key: str
    image: Member | None = None
    ext: str = ""
    data: bytes | None = None
    record: dict[str, Any] = field(default_factory=dict)
    extensions: list[str] = field(default_factory=list)
    problem: Refused | None = None


class WebDatasetReader(Reader):
    """Reads tars of images with captions, labels and JSON beside them."""

    in_tars: ClassVar[bool] = True

    @classmethod
    def detect(cls, source: str) -> str | None:
        """Return how many tars there are, or None."""
        try:
            found = _tars(source)
        except DataError as error:
            if source.lower().endswith(".tar"):
                raise ConfigError(str(error)) from error
            return None
        return f"{len(found)} tars"

    def available(self) -> list[str]:
        """Return the field paths of the first sample that has any."""
        first = _tars(self.source)[0]
        with PatientFile(first.url) as stream:
            for group in self._groups(TarStream(stream)):
                if group.record:
                    return list(paths_of(group.record))
        return []

    def slices(self) -> list[Slice]:
        """List the tars."""
        return [Slice(tar.path, {"url": tar.url, "sidecar": side}) for tar, side in self._listed()]

    def _listed(self) -> Iterator[tuple[FoundFile, str | None]]:
        for tar in _tars(self.source):
            sidecar = tar.url[: -len("tar")] + "parquet"
            yield tar, sidecar if listing.exists(sidecar) else None

    def read(self, piece: Slice) -> Iterator[RawSample]:
        """Stream the samples of one tar in its order."""
        url = piece.spec["url"]
        name = url.replace("\\", "/").rpartition("/")[2]
        with PatientFile(url) as stream:
            try:
                for group in self._groups(TarStream(stream)):
                    yield self._sample(group, url, name)
            except TornTar as error:
                message = f"{error}; samples from there on are lost"
                yield RawSample("", name, code=RejectCode.BAD_SHARD, message=message)
            except OSError as error:
                message = f"{type(error).__name__}: {error}"
                yield RawSample("", name, code=RejectCode.BAD_SHARD, message=message)
        if piece.spec["sidecar"]:
            yield from _failed_rows(piece.spec["sidecar"])

    def _groups(self, tar: TarStream) -> Iterator[_Group]:
        asked = _asked(self.fields)
        group: _Group | None = None
        members = tar.members()
        while True:
            try:
                member = next(members, None)
            except TornTar:
                if group:
                    yield group
                raise
            if member is None:
                break
            named = _split_name(member.name)
            if named is None:
                continue
            key, ext = named
            if group and (key != group.key or ext in group.extensions):
                yield group
                group = None
            group = group or _Group(key)
            # A tear in here takes the whole sample: what is left of it would lack its data.
            self._add(group, member, ext, tar, asked)
        if group:
            yield group

    def _add(
        self, group: _Group, member: Member, ext: str, tar: TarStream, asked: Set[str]
    ) -> None:
        group.extensions.append(ext)
        if member.size == LINK:
            group.problem = Refused(RejectCode.UNSAFE_PATH, f"member {ext!r} is a link")
        elif self._is_image(ext) and group.image is None:
            group.image, group.ext = member, ext.rpartition(".")[2]
            if member.size > self.max_file_bytes:
                message = f"{member.size} bytes; at most {self.max_file_bytes} (max_file_bytes)"
                group.problem = Refused(RejectCode.TOO_LARGE_FILE, message)
            else:
                group.data = tar.payload(member)
        elif ext in _TEXTS or ext.endswith("json") or ext in asked:
            if member.size > _MAX_TEXT_BYTES:
                message = f"member {ext!r} has {member.size} bytes of text"
                group.problem = Refused(RejectCode.BAD_METADATA, message)
                return
            self._add_text(group, ext, tar.payload(member))

    def _is_image(self, ext: str) -> bool:
        return ext == self.fields.image if self.fields.image else ext in KNOWN_PICTURES

    @staticmethod
    def _add_text(group: _Group, ext: str, data: bytes) -> None:
        text = decode_text(data)
        if not ext.endswith("json"):
            group.record[ext] = text
            return
        try:
            group.record[ext] = json.loads(text)
        except (ValueError, RecursionError) as error:
            group.problem = Refused(RejectCode.BAD_METADATA, f"member {ext!r}: not JSON: {error}")

    def _sample(self, group: _Group, url: str, name: str) -> RawSample:
        sample = self._picker(group.record).sample(group.record, group.key, f"{name}/{group.key}")
        if self.fields.key is not None:
            sample.key = scalar_text(value_at(group.record, self.fields.key))
        if group.image is None:
            found = ", ".join(group.extensions)
            group.problem = group.problem or Refused(
                RejectCode.NO_IMAGE, f"no image among its members: {found}"
            )
        else:
            sample.where = f"{name}/{group.image.name}"
            sample.data, sample.ext = group.data, group.ext
            sample.shard, sample.offset, sample.size = url, group.image.offset, group.image.size
        if group.problem is not None:
            sample.code, sample.message = group.problem.code, group.problem.message
        return sample

    def _picker(self, record: Mapping[str, Any]) -> Picker:
        asked = self.fields
        captions = [asked.caption] if isinstance(asked.caption, str) else asked.caption
        return Picker(
            caption=tuple(captions or _first(record, _CAPTIONS)),
            label=asked.label or _guess(record, "label"),
            labels=asked.labels or _guess(record, "labels"),
            split=asked.split or _guess(record, "split"),
            uid=asked.uid or _guess(record, "uid"),
            attributes=asked.attributes,
        )

    def estimate(self) -> Estimate:
        """Guess the samples from the first thousand of the first tar; bytes are exact."""
        tars = _tars(self.source)
        total = sum(max(tar.size, 0) for tar in tars)
        seen = end = 0
        with PatientFile(tars[0].url) as stream:
            try:
                for member in TarStream(stream).members():
                    named = _split_name(member.name)
                    seen += named is not None and self._is_image(named[1])
                    end = member.offset + member.size
                    if seen == 1000:
                        break
            except TornTar:
                pass
        return Estimate(int(seen * total / end) if end else 0, total, False)

    def content_identity(self) -> Any:
        """Return a name for the names, sizes and times of tars and sidecars."""
        sidecars = [listing.describe(side) for _, side in self._listed() if side]
        return listing.content_digest([*_tars(self.source), *sidecars])


def _tars(source: str) -> list[FoundFile]:
    found = [f for f in listing.matching(source, (".tar",)) if f.path.lower().endswith(".tar")]
    if not found:
        raise DataError(
            f"{source}: no .tar file. Compressed tars cannot be read in place; unpack them once: "
            "gunzip *.tar.gz"
        )
    return found


def _split_name(name: str) -> tuple[str, str] | None:
    """Split a member's path into key and extension; None for hidden files and plain names."""
    folder, slash, last = name.removeprefix("./").rpartition("/")
    base, dot, ext = last.partition(".")
    if not base or not dot or folder.startswith("__MACOSX"):
        return None
    return f"{folder}{slash}{base}", ext.lower()


def _first(record: Mapping[str, Any], paths: Any) -> list[str]:
    return next(([path] for path in paths if value_at(record, path) not in (None, "", [])), [])


def _guess(record: Mapping[str, Any], what: str) -> str | None:
    return next(iter(_first(record, _GUESSES[what])), None)


def _asked(fields: Fields) -> set[str]:
    captions = [fields.caption] if isinstance(fields.caption, str) else fields.caption or []
    single = (fields.key, fields.label, fields.labels, fields.split, fields.uid)
    paths = [*captions, *(p for p in single if p), *fields.attributes.values()]
    return {path[:end] for path in paths for end in range(1, len(path) + 1)}


def _failed_rows(url: str) -> Iterator[RawSample]:
    table = open_table(url)
    if not {"status", "key"} <= set(table.columns):
        return
    name = url.replace("\\", "/").rpartition("/")[2]
    for record in table.records():
        values = record.values or {}
        if values.get("status") != "success":
            why = scalar_text(values.get("error_message")) or scalar_text(values.get("status"))
            key = scalar_text(values.get("key"))
            where = f"{name}:{record.number}"
            yield RawSample(key, where, code=RejectCode.UPSTREAM_FAILURE, message=why)
