"""What a reader is: one corpus format, as a list of slices and the raw samples of each slice.

A reader lists cheaply and streams: a 10 GB tar is read member by member and never held. It knows
nothing of sample ids; it names each sample by the corpus's own key and says where its image is.
"""

from __future__ import annotations

import abc
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field

from ...manifests import listing
from ...manifests.schema import RejectCode
from ..base import Component


class Fields(BaseModel):
    """Where a corpus keeps captions, labels and attributes: field paths such as `json.label`.

    A path is a column or JSON key, with dots into nested objects; in WebDataset corpora its first
    step is the member's extension (`json.meta.camera`, `txt`, `cls`).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    key: str | None = None
    """The name of a sample; null for what the format names it by."""
    image: str | None = None
    """The image, its path or URL."""
    caption: str | list[str] | None = None
    """One caption or several, in one field or in several fields."""
    label: str | None = None
    """One label."""
    labels: str | None = None
    """A list of labels."""
    split: str | None = None
    """The split."""
    uid: str | None = None
    """DataComp's uid."""
    attributes: dict[str, str] = Field(default_factory=dict)
    """Name of each attribute and its field."""


@dataclass(frozen=True)
class Slice:
    """One unit of reading; `spec` is small JSON that only its reader understands."""

    name: str
    spec: Mapping[str, Any]


@dataclass
class RawSample:
    """One input as the corpus has it.

    Attributes:
        key: the corpus's own name.
        where: for people: file, and member or row.
        data: the image's bytes, or None (no image, or `code` says why).
        shard, offset, size: where the bytes stand, for tars only (shard "" elsewhere).
        ext: the image's extension in lower case, without the dot; "" without an image.
        captions, labels: texts in the corpus's order, empty ones left out.
        attributes: name -> str, int, float, bool or None.
        split: "" where the corpus has none.
        code, message: set when the reader itself must refuse the input.
    """

    key: str
    where: str
    data: bytes | None = None
    shard: str = ""
    offset: int = -1
    size: int = 0
    ext: str = ""
    captions: Sequence[str] = ()
    labels: Sequence[str] = ()
    attributes: Mapping[str, Any] = field(default_factory=dict)
    split: str = ""
    uid: str | None = None
    code: RejectCode | None = None
    message: str = ""


@dataclass(frozen=True)
class Estimate:
    """How large a corpus is, before it is read; `exact` says whether rows were counted."""

    rows: int
    bytes: int
    exact: bool


class Reader(Component, abc.ABC):
    """Base class of all readers."""

    has_images: ClassVar[bool] = True
    in_tars: ClassVar[bool] = False
    """Whether samples point into the corpus's own tars, so that no image is copied."""

    source: str
    fields: Fields = Fields()
    shard_bytes: int = Field(256 << 20, ge=1)
    """Bytes of images after which a new slice, and so a new tar of images, is begun."""
    slice_rows: int = Field(2048, ge=1)
    """Samples after which a new slice is begun; tars and Parquet row groups are never split."""
    max_file_bytes: int = Field(1 << 30, ge=1)
    """A larger image file is refused without being read."""

    def identity(self) -> dict[str, Any]:
        """Return settings and content: what decides every sample."""
        source = listing.absolute(self.source)
        return {**super().identity(), "source": source, "content": self.content}

    @cached_property
    def content(self) -> Any:
        """`content_identity`, looked up once: a large corpus takes a while to list."""
        return self.content_identity()

    def available(self) -> list[str]:
        """Return the field paths that `fields` may name here, as far as a look at it tells."""
        return []

    @classmethod
    @abc.abstractmethod
    def detect(cls, source: str) -> str | None:
        """Return why this looks like the format ("4 tars"), or None; cheap, reads no images."""

    @abc.abstractmethod
    def slices(self) -> list[Slice]:
        """List the units of reading in corpus order; the same list every time.

        Raises:
            DataError: nothing is there to read.
        """

    @abc.abstractmethod
    def read(self, piece: Slice) -> Iterator[RawSample]:
        """Stream the samples of one slice in corpus order."""

    @abc.abstractmethod
    def estimate(self) -> Estimate:
        """Say how large the corpus is without reading it."""

    @abc.abstractmethod
    def content_identity(self) -> Any:
        """Return JSON that changes when the corpus changes: names, sizes and times of its files."""


def cut(sizes: Sequence[int], rows: int, size: int) -> list[tuple[int, int]]:
    """Cut a list of inputs into runs of at most `rows` inputs and about `size` bytes.

    Args:
        sizes: bytes of each input.
        rows: inputs of a run.
        size: bytes of a run; a single input may be larger.

    Returns:
        (start, stop) of each run.
    """
    runs: list[tuple[int, int]] = []
    start, held = 0, 0
    for position, item in enumerate(sizes):
        full = position - start >= rows or (position > start and held + item > size)
        if full:
            runs.append((start, position))
            start, held = position, 0
        held += max(item, 0)
    if len(sizes) > start:
        runs.append((start, len(sizes)))
    return runs
