"""Entries of the lists of a config: which component, and settings that are its own."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict


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
