"""A DataLoader over a PairStream that knows what its consumer has seen."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from torch.utils.data import DataLoader

from ..errors import StreamError
from .batch import PairBatch

if TYPE_CHECKING:
    from .stream import PairStream


class PairLoader:
    """Iterates over the rest of an epoch; a finished epoch is followed by the next one.

    A batch counts as consumed when it is handed out, never when a worker reads it ahead, so
    `state_dict` is right in the body of the loop once the batch has been used. An iteration that
    was left early goes on where it stopped. Workers live from one epoch to the next.

    Args:
        stream: what is read; the loader owns its place from here on.
        num_workers: processes that read and decode; 0 for the calling one.
        settings: further arguments of torch's DataLoader.
    """

    def __init__(self, stream: PairStream, num_workers: int = 0, **settings: Any) -> None:
        self.stream = stream
        self._epoch, self._done = stream.place
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
        return self._epoch + (self._done >= len(self))

    @property
    def batches_done(self) -> int:
        """Batches of `epoch` that were handed out."""
        return self._done % len(self)

    def __len__(self) -> int:
        """Batches of a whole epoch."""
        return len(self.stream)

    def __iter__(self) -> Iterator[PairBatch]:
        """Yield the batches of the rest of the epoch.

        Raises:
            StreamError: as the stream raises it, also when a worker did.
        """
        self._epoch, self._done = self.epoch, self.batches_done
        # Written only here: a worker that starts late must still read where the iteration began.
        self.stream.seek(self._epoch, self._done)
        try:
            for batch in self._loader:
                self._done += 1
                yield batch
        except StreamError as error:
            # The traceback of torch's frames is a cycle that holds the workers: left to the
            # garbage collector, their shutdown takes five seconds each.
            error.__traceback__ = None
            raise type(error)(_own_words(error)) from None

    def set_epoch(self, epoch: int) -> None:
        """Let the next iteration be of this epoch; the place in it is kept if it is the same."""
        if epoch != self.epoch:
            self._epoch, self._done = epoch, 0

    def state_dict(self) -> dict[str, Any]:
        """Return where the consumer stands, as JSON; see `PairStream.state_dict`."""
        return self.stream.state_at(self.epoch, self.batches_done)

    def load_state_dict(self, state: Mapping[str, Any], strict: bool = True) -> None:
        """Go on where a state says; see `PairStream.load_state_dict`.

        Raises:
            StateMismatch: the state is of another stream.
        """
        self.stream.load_state_dict(state, strict)
        self._epoch, self._done = self.stream.place


def _own_words(error: StreamError) -> str:
    # torch puts a worker's traceback before the text of its exception.
    return str(error).rsplit(f"{type(error).__name__}: ", 1)[-1].strip()
