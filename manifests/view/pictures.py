"""Pictures of samples by their id: decoded, made small, and encoded anew.

The bytes of a corpus never reach a browser: what is sent is a WebP that was encoded here.
"""

from __future__ import annotations

import threading
from collections import OrderedDict

from ..errors import DataError
from ..images import ImageError
from ..lookup import SampleRows
from ..pairset import Pairset
from ..report.thumbs import webp_of
from ..shards import ShardReader

SIDES = {"small": 256, "large": 1024}
"""Longest side in pixels, by the name that an address has."""
_HELD_BYTES = 64 << 20


class Pictures:
    """Reads pictures; threads may share it. Holds up to 64 MB of encoded ones."""

    def __init__(self, pairset: Pairset) -> None:
        self._pairset, self._reader = pairset, ShardReader()
        self._rows = SampleRows(pairset, ["sample_id", "shard", "offset", "size"])
        self._lock = threading.Lock()
        self._held: OrderedDict[tuple[int, str], bytes] = OrderedDict()
        self._bytes = 0

    def read(self, sample: int, side: str) -> bytes:
        """Return a picture as WebP, at most `SIDES[side]` pixels long.

        Raises:
            DataError: there is no such sample, it has no picture, or it cannot be read.
        """
        with self._lock:
            held = self._held.get((sample, side))
            if held is not None:
                self._held.move_to_end((sample, side))
                return held
            row = self._rows.row(sample)
        if not row["shard"]:
            raise DataError(f"sample {sample} has no picture.")
        try:
            made, _ = webp_of(self._pairset, self._reader, row, SIDES[side])
        except (OSError, EOFError, ImageError) as error:
            raise DataError(f"sample {sample}: its picture cannot be read: {error}") from error
        self._keep((sample, side), made)
        return made

    def _keep(self, name: tuple[int, str], data: bytes) -> None:
        with self._lock:
            if name not in self._held:
                self._held[name] = data
                self._bytes += len(data)
            while self._bytes > _HELD_BYTES:
                _, dropped = self._held.popitem(last=False)
                self._bytes -= len(dropped)
