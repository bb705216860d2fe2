"""One iteration over (a worker's share of) the rest of an epoch, and where it stands."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from ..errors import StateMismatch
from .batch import PairBatch
from .state import StreamState

if TYPE_CHECKING:
    from .stream import PairStream

_STEP = "step"


class Batches(Iterator[PairBatch]):
    """Some batches of an epoch: every `step`-th from a first one on.

    torchdata's StatefulDataLoader asks each worker's iterator for its state and gives it back to
    the same worker; that is what the two methods are for. Such a state holds for one number of
    workers, as that loader demands anyway. `PairLoader` counts at the consumer and has no such
    limit.

    Args:
        stream: makes the batches.
        epoch: of the batches.
        numbers: of the batches.
    """

    def __init__(self, stream: PairStream, epoch: int, numbers: range) -> None:
        self._stream, self._epoch, self._left = stream, epoch, numbers
        self._order, self._budget = stream.order_of(epoch), stream.budget()

    def __next__(self) -> PairBatch:
        if not self._left:
            raise StopIteration
        batch = self._stream.batch(self._order, self._left[0], self._budget, self._left[1:])
        self._left = self._left[1:]
        if not self._left:
            self._stream.finished = self._epoch
        return batch

    def state_dict(self) -> dict[str, Any]:
        """Return where this share stands, as JSON."""
        at = self._left.start * self._stream.batch_size
        return {**self._stream.state(self._epoch, at).to_json(), _STEP: self._left.step}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where a share stood.

        Raises:
            StateMismatch: the state is of another stream, or of another number of workers.
        """
        given = StreamState.from_json(state)
        given.check(self._stream.state(0, 0))
        if state.get(_STEP) != self._left.step:
            raise StateMismatch(
                f"the state is that of one of {state.get(_STEP)} workers, {self._left.step} are "
                "here. Take as many as then, or PairStream.loader(), whose state holds on any."
            )
        first = given.samples_in_epoch // self._stream.batch_size
        self.__init__(self._stream, given.epoch, range(first, len(self._stream), self._left.step))
