"""What a reader is: one corpus format, as a list of slices and the raw samples of each slice.

A reader lists cheaply and streams: a 10 GB tar is read member by member and never held. It knows
nothing of sample ids; it names each sample by the corpus's own key and says where its image is.
"""

from __future__ import annotations

import abc
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field

from ...manifests.schema import RejectCode
from ..base import Component


class Fields(BaseModel):
    """Where a corpus keeps captions, labels and attributes: field paths such as `json.label`.

    A path is a column or JSON key, with dots into nested objects; in WebDataset corpora its first
    step is the member's extension (`json.meta.camera`, `txt`, `cls`).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    key: str | None = None
    image: str | None = None
    caption: str | list[str] | None = None
    label: str | None = None
    labels: str | None = None
    split: str | None = None
    uid: str | None = None
    attributes: dict[str, str] = Field(default_factory=dict)


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
