"""One entry of section `generate` of a config."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field


class Generated(BaseModel):
    """Generated pictures of every sample; other keys are the generator's."""

    model_config = ConfigDict(frozen=True, extra="allow")

    generator: str
    count: int = Field(default=8, ge=1, le=64)
    space: str = "image"

    @property
    def settings(self) -> dict[str, Any]:
        """The settings of the generator."""
        return dict(self.model_extra or {})
