"""What the two miners of oracles share: the file of answers, and what it does to their results."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import Field, field_validator

from ...manifests import listing
from ...manifests.people import Answers, file_identity
from .base import Miner


class OracleMiner(Miner):
    """A miner of what an oracle answered; a subclass says what a yes or a no becomes."""

    answers: str
    """File of {key_a, key_b, answer, round, oracle}: JSON lines or Parquet; see `curate ask`."""
    until_round: int | None = Field(default=None, ge=0)
    """Leave out later rounds."""

    @field_validator("answers")
    @classmethod
    def _is_there(cls, path: str) -> str:
        if not listing.exists(path):
            raise ValueError("there is no such file; give one with {key_a, key_b, answer} a line")
        return path

    def identity(self) -> dict[str, Any]:
        """A changed file is another result."""
        return {**super().identity(), "content": file_identity(self.answers)}

    def documents(self) -> Mapping[str, str]:
        """The answers, as they were read."""
        return {".jsonl": Answers.read(self.answers, self.until_round).text()}

    @property
    def columns(self) -> Sequence[str]:
        """What keeps splits and duplicates apart."""
        return ("split", "group_id")

    @property
    def keys(self) -> Sequence[str]:
        """The keys that were asked about."""
        said = Answers.read(self.answers, self.until_round)
        return [*said.left, *said.right]
