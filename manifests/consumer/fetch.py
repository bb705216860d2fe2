"""Batches for the loop: gathered over processes, moved to the device while it still computes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Any

import torch
from torch import Tensor

from ..stream import PairBatch, PairLoader
from .company import Company, gathered
from .distributed import Ranks


@dataclass(frozen=True)
class Fetched:
    """A batch on the device.

    Attributes:
        batch: of all processes; the images are this one's.
        company: who holds what; None for a process alone.
        epoch: of the batch.
        state: of the stream once the batch was used.
    """

    batch: PairBatch
    company: Company | None
    epoch: int
    state: dict[str, Any]


def fetched(loader: PairLoader, device: torch.device, ranks: Ranks | None) -> Iterator[Fetched]:
    """Yield batches without end, epoch after epoch."""
    # On a stream of its own a copy runs beside the backward pass that is queued already.
    side = torch.cuda.Stream(device) if device.type == "cuda" else None
    while True:
        epoch = loader.epoch
        for batch in loader:
            company = None
            if ranks is not None:
                batch, company = gathered(batch, ranks)
            with torch.cuda.stream(side):
                batch = batch.to(device, non_blocking=True)
                company = company and company.to(device, non_blocking=True)
            if side is not None:
                _handed_over(batch, company, side)
            yield Fetched(batch, company, epoch, loader.state_dict())


def _handed_over(batch: PairBatch, company: Company | None, side: torch.cuda.Stream) -> None:
    current = torch.cuda.current_stream(side.device)
    current.wait_stream(side)
    for part in (batch, batch.mixes, company):
        for item in fields(part) if part is not None else ():
            value = getattr(part, item.name)
            if isinstance(value, Tensor):
                # Else the side stream may reuse the memory before the step has read it.
                value.record_stream(current)
