"""What the two miners of people's sets share: the file of selections."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import Field, field_validator

from ...manifests import listing
from ...manifests.people import Selections, file_identity
from .base import Miner


class HumanMiner(Miner):
    """A miner of sets that people selected; a subclass says what a set gives."""

    selections: str
    """File of {set, key, round}: JSON lines or Parquet."""
    until_round: int | None = Field(default=None, ge=0)
    """Leave out later rounds."""

    @field_validator("selections")
    @classmethod
    def _is_there(cls, path: str) -> str:
        if not listing.exists(path):
            raise ValueError("there is no such file; give one with {set, key, round} a line")
        return path

    def identity(self) -> dict[str, Any]:
        """A changed file is another result."""
        return {**super().identity(), "content": file_identity(self.selections)}

    def documents(self) -> Mapping[str, str]:
        """The selections, as they were read."""
        return {".jsonl": self.said().text()}

    @property
    def keys(self) -> Sequence[str]:
        """The selected keys."""
        return self.said().keys

    def said(self) -> Selections:
        """Read the selections up to the round."""
        return Selections.read(self.selections, self.until_round)
