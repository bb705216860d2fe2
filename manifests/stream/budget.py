"""How many images may be unreadable before a stream gives up."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field

from ..errors import StreamError, TooManyBadImages

_LOG = logging.getLogger("curate.stream")
_FIRST_READS = 1000
_NAMED = 1000


@dataclass
class FailureBudget:
    """How many images may be unreadable, of all and one after the other.

    Counted in each process, from the start of its iteration. The share forgives single bad files
    of a large corpus; the run finds what the share would find late: a shard that is gone, a store
    that does not answer. The first thousand reads count as a thousand, so a single bad image at
    the start stops nothing.

    Attributes:
        fraction: share of images that may be bad, 0..1.
        goes_on: whether bad images are lived with rather than raised.
        run: bad images one after the other from which on a process stops; 0 for no limit.
        read: images asked for, repeats counted.
        bad: how many of them could not be read.
        in_a_row: bad images since the last good one.
        named: images that were logged, at most a thousand; one that comes again is not logged.
    """

    fraction: float
    goes_on: bool = True
    run: int = 100
    read: int = 0
    bad: int = 0
    in_a_row: int = 0
    named: set[str] = field(default_factory=set)

    def good(self) -> None:
        """Note one read that did not fail."""
        self.in_a_row = 0

    def spend(self, what: str, error: Exception) -> None:
        """Note one read that failed.

        Raises:
            TooManyBadImages: the budget is spent.
            StreamError: bad images are not to be lived with.
        """
        if not self.goes_on:
            raise StreamError(
                f"{what}: {error} To go on without bad images set on_bad_image='mask' or 'replace'."
            ) from error
        self.bad += 1
        self.in_a_row += 1
        if what not in self.named and len(self.named) < _NAMED:
            _LOG.warning("bad image: %s: %s", what, error)
            self.named.add(what)
        if self.bad > self.fraction * max(self.read, _FIRST_READS):
            raise TooManyBadImages(
                f"{self.bad} of {self.read} reads of images failed; "
                f"max_bad_fraction={self.fraction} allows fewer. The last was {what}: {error} "
                "Check the shards with `curate verify`, or raise max_bad_fraction."
            ) from error
        if self.run and self.in_a_row >= self.run:
            raise TooManyBadImages(
                f"{self.in_a_row} reads of images failed one after the other; max_bad_run="
                f"{self.run} allows fewer. The last was {what}: {error} A whole shard or store "
                "seems to be gone: look whether it is there, check it with `curate verify`, or "
                "raise max_bad_run (0: no limit)."
            ) from error
