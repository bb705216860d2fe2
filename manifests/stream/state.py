"""Where a stream stands: one integer in an epoch, and the names of all that gives it a meaning."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from ..errors import StateMismatch
from ..schema import ORDER

VERSION = 1


@dataclass(frozen=True)
class StreamState:
    """A place in a stream; it holds on any number of ranks and workers.

    Attributes:
        manifest_id: the pairset.
        split: the split that is walked; "" for a pairset without splits.
        seed: of the order and of all draws.
        order: name of the order.
        global_batch: pairs of a batch of all ranks together.
        epoch: 0, 1, ...
        samples_in_epoch: pairs that all ranks together have consumed in the epoch.
    """

    manifest_id: str
    split: str
    seed: int
    order: str
    global_batch: int
    epoch: int
    samples_in_epoch: int

    def to_json(self) -> dict[str, Any]:
        """Return the state as JSON."""
        body = asdict(self)
        return {**body, "v": VERSION, "order": {"algo": ORDER, "mode": self.order}}

    @classmethod
    def from_json(cls, body: Mapping[str, Any]) -> StreamState:
        """Read a state back.

        Raises:
            StateMismatch: not a state of this version and algorithm.
        """
        order = body.get("order")
        found = (body.get("v"), order.get("algo") if isinstance(order, Mapping) else None)
        names = [item.name for item in fields(cls)]
        if found != (VERSION, ORDER) or not set(names) <= set(body):
            raise StateMismatch(
                f"a stream state of version {VERSION} with order {ORDER} was expected, "
                f"version {found[0]!r} with order {found[1]!r} was given."
            )
        return cls(**{**{name: body[name] for name in names}, "order": body["order"]["mode"]})

    def check(self, own: StreamState) -> None:
        """Hold the state against a stream's own.

        Raises:
            StateMismatch: the pairset, split, seed or order differ, or the batch size does and
                the place is no boundary of the new batches.
        """
        names = ("manifest_id", "split", "seed", "order")
        wrong = [
            f"{name}: {getattr(self, name)!r} in the state, {getattr(own, name)!r} here"
            for name in names
            if getattr(self, name) != getattr(own, name)
        ]
        if self.samples_in_epoch % own.global_batch:
            wrong.append(
                f"global_batch: {self.global_batch} in the state, {own.global_batch} here, which "
                f"does not divide the {self.samples_in_epoch} pairs already consumed"
            )
        if wrong:
            raise StateMismatch(
                f"the state belongs to another stream ({'; '.join(wrong)}). Open the stream with "
                "the state's settings, or load it with strict=False to go on near that place."
            )
