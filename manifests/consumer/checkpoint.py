"""Checkpoints of the reference trainer.

They hold tensors, numbers and texts only, so that loading one never runs code
(`torch.load(weights_only=True)`).
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch

from .. import storage
from ..errors import StateMismatch, StreamError

FORMAT = "curate-checkpoint/3"
NAME = "checkpoint.pt"
# Torch's unpickler fails on foreign bytes wherever it happens to stand.
_UNREADABLE = (
    *(UnpicklingError, RuntimeError, ValueError, EOFError, OSError),
    *(struct.error, LookupError, AttributeError, TypeError),
)


def save_checkpoint(path: Path, body: Mapping[str, Any]) -> None:
    """Write a checkpoint whole or not at all."""
    storage.write_atomically(path, lambda scratch: torch.save({"format": FORMAT, **body}, scratch))


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Read a checkpoint to the CPU.

    Raises:
        StreamError: the file is no checkpoint of this trainer.
    """
    try:
        body = torch.load(path, map_location="cpu", weights_only=True)
    except _UNREADABLE as error:
        # torch's own text advises to load the file with code; it is not passed on.
        raise StreamError(
            f"{path} is not a readable checkpoint ({type(error).__name__}), or holds more than "
            "tensors. Move it away to start anew."
        ) from error
    if not isinstance(body, dict) or body.get("format") != FORMAT:
        raise StreamError(f"{path} is not a checkpoint of `curate train` ({FORMAT}).")
    return body


def check_options(path: Path, given: Mapping[str, Any], own: Mapping[str, Any]) -> None:
    """Hold the options of a checkpoint against those of a run that wants to go on from it.

    Raises:
        StateMismatch: an option that decides the result differs.
    """
    wrong = [
        f"{name}: {given.get(name)!r} in the checkpoint, {value!r} now"
        for name, value in own.items()
        if given.get(name) != value
    ]
    if wrong:
        raise StateMismatch(
            f"{path} was written with other options ({'; '.join(wrong)}). Use the same options to "
            "go on, or another folder to start anew."
        )
