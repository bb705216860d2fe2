"""The sections of a config: what each key of the YAML means, its default and what is allowed."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    model_validator,
)

from ..manifests import losses
from ..stages.ingest.base import Fields
from .byte_size import ByteSize

SpaceName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_-]*$")]
"""The name of a space: it becomes the name of a folder and a part of names of graphs."""


class Section(BaseModel):
    """A section whose keys are all known: any other is refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Corpus(Section):
    """What is read."""

    source: str
    """Folder, file, pattern or URL of the corpus."""
    format: str = "auto"
    """Its format: see the README; auto looks."""
    fields: Fields = Fields()
    """Where captions, labels and attributes are; {} finds them by name."""
    max_reject_fraction: float = Field(default=0.05, ge=0, le=1)
    """Share of refused inputs above which the run stops."""
    max_pixels: int = Field(default=178_956_970, ge=1)
    """Pixels above which an image is refused."""


class Space(BaseModel):
    """One embedding space: what is embedded and by which encoder; other keys are the encoder's."""

    model_config = ConfigDict(frozen=True, extra="allow")

    of: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    """What is embedded: image, caption, or another modality (array only)."""
    encoder: str
    """Name of the encoder; its settings stand beside it."""
    view: int | None = Field(default=None, ge=1, le=99)
    """Number of a random crop that is embedded instead of the whole picture; null for that."""

    @property
    def settings(self) -> dict[str, Any]:
        """The settings of the encoder."""
        return dict(self.model_extra or {})


class Neighbors(Section):
    """One neighbour graph."""

    k: int = Field(default=64, ge=1, le=2048)
    """Neighbours of a sample."""
    min_recall: float = Field(default=0.95, ge=0, le=1)
    """Share of the exact neighbours that must be found; less stops the run."""
    exact_below: int | None = Field(default=None, ge=0)
    """Samples below which all pairs are compared; null for 60,000."""
    correct: Literal["csls", "nnn"] | None = None
    """Rank by similarities corrected for hubs: csls (2018) or nnn (2024); null for cosines."""
    correct_k: int | None = Field(default=None, ge=1, le=2048)
    """Neighbours whose mean is a sample's nearness to everything; null for 10 (csls), 128 (nnn)."""
    correct_alpha: float | None = Field(default=None, gt=0, le=2)
    """Weight of that mean in nnn; null for 0.75."""
    correct_reference: int | None = Field(default=None, ge=1)
    """Training samples that the mean is taken over, drawn above that; null for 65,536."""

    @model_validator(mode="after")
    def _check(self) -> Neighbors:
        given = [
            name
            for name in type(self).model_fields
            if name.startswith("correct_") and getattr(self, name) is not None
        ]
        if given and self.correct is None:
            raise ValueError(f"{', '.join(given)}: nothing is corrected; set correct too")
        if self.correct == "csls" and self.correct_alpha is not None:
            raise ValueError("correct_alpha belongs to nnn; csls has no weight")
        return self


class Duplicates(Section):
    """When two samples are one picture: their group is never contrasted."""

    space: str | None = None
    """Space whose graph with itself shows them; null for the first image space."""
    threshold: float = Field(default=0.985, gt=0, le=1)
    """Similarity from which two samples are one picture."""


class Entry(BaseModel):
    """One miner in a list; other keys are the miner's."""

    model_config = ConfigDict(frozen=True, extra="allow")

    miner: str
    """Name of the miner, or "module:Class"; its settings stand beside it."""

    @property
    def settings(self) -> dict[str, Any]:
        """The settings of the miner."""
        return dict(self.model_extra or {})


class SelectorEntry(BaseModel):
    """One selector in a list; other keys are the selector's."""

    model_config = ConfigDict(frozen=True, extra="allow")

    selector: str
    """Name of the selector, or "module:Class"; its settings stand beside it."""

    @property
    def settings(self) -> dict[str, Any]:
        """The settings of the selector."""
        return dict(self.model_extra or {})


class BatchEntry(BaseModel):
    """One planner in the list of batches; other keys are the planner's."""

    model_config = ConfigDict(frozen=True, extra="allow")

    planner: str

    @property
    def settings(self) -> dict[str, Any]:
        """The settings of the planner."""
        return dict(self.model_extra or {})


class Shards(Section):
    """How images are packed."""

    size: ByteSize = Field(default=256 << 20, ge=1 << 20)
    """Bytes of a tar; images of corpora that are in tars stay there."""


class Output(Section):
    """How long the lists of a pair row are, and what is written."""

    positives: int | None = Field(default=None, ge=1, le=64)
    """Positives a row (P); null for as many as the miners may take."""
    negatives: int = Field(default=4, ge=0, le=1024)
    """Negatives a row (K); what no miner fills is drawn at random."""
    false_negatives: int = Field(default=8, ge=0, le=1024)
    """False negatives a row (F)."""
    cluster: str | None = None
    """The set of clusters in column `cluster_id`: NAME (its finest level) or NAME.LEVEL."""
    shards: Shards = Shards()
    """How images are packed."""
    formats: tuple[Literal["parquet", "webdataset"], ...] = ("parquet",)
    """What is written: Parquet always, webdataset also packs pairs with their images."""


class Loss(BaseModel):
    """What the trainer must do: a kind of `manifests.losses` and its settings.

    The whole block, defaults included, is copied into manifest.json (algorithms.md §0.2).
    """

    model_config = ConfigDict(frozen=True, extra="allow")

    kind: str = losses.DEFAULT
    """Name of the loss; its settings stand beside it."""

    def block(self) -> dict[str, Any]:
        """Return the whole block."""
        return losses.parse(self.model_dump()).block()


class Budget(Section):
    """What the run may occupy."""

    memory: ByteSize | Literal["auto"] = "auto"
    """Memory of all workers together; auto for three quarters of the machine."""
    disk: ByteSize | Literal["auto"] = "auto"
    """Bytes that the output folder may take; auto for what is free."""
