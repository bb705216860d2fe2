"""A DataLoader over a PairStream that knows what its consumer has seen."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from torch.utils.data import DataLoader

from .batch import PairBatch

if TYPE_CHECKING:
    from .stream import PairStream


class PairLoader:
    """Iterates over the rest of an epoch; a finished epoch is followed by the next one.

    Batches are counted when the consumer asks for the next one, never in a worker that reads
    ahead, so `state_dict` is right at any moment between two batches. An iteration that was left
    early goes on where it stopped. Workers live from one epoch to the next.

    Args:
        stream: what is read.
        num_workers: processes that read and decode; 0 for the calling one.
        settings: further arguments of torch's DataLoader.
    """

    def __init__(self, stream: PairStream, num_workers: int = 0, **settings: Any) -> None:
        self.stream = stream
        self._loader: DataLoader[PairBatch] = DataLoader(
            stream,
            batch_size=None,
            num_workers=num_workers,
            persistent_workers=num_workers > 0,
            **settings,
        )

    @property
    def epoch(self) -> int:
        """The epoch that the next batch belongs to."""
        return self.stream.place[0]

    def __len__(self) -> int:
        """Batches of a whole epoch."""
        return len(self.stream)

    def __iter__(self) -> Iterator[PairBatch]:
        """Yield the batches of the rest of the epoch."""
        epoch, done = self.stream.place
        for batch in self._loader:
            # Workers read the place once, when their iteration starts, so it can move on here.
            ...
            yield batch
