"""One entry of section `generate` of a config."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field


class Generated(BaseModel):
    """Generated pictures of every sample; other keys are the generator's."""

    model_config = ConfigDict(frozen=True, extra="allow")

    generator: str
    """Name of the generator: latent, offset, diffusers, or MODULE:CLASS."""
    count: int = Field(default=8, ge=1, le=64)
    """Pictures of each sample."""
    space: str = "image"
    """Space of images in which they are measured."""

    @property
    def settings(self) -> dict[str, Any]:
        """The settings of the generator."""
        return dict(self.model_extra or {})
