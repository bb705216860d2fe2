"""What happens during a run, as events; and the log file that keeps them."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TextIO


class Event:
    """One thing that happened: a kind, the node it is about ("" for the run), and facts."""

    def __init__(self, kind: str, node: str = "", **facts: Any) -> None:
        self.kind = kind
        self.node = node
        self.facts = facts

    def to_json(self) -> dict[str, Any]:
        """Return the event as a line of run.jsonl holds it."""
        return {"event": self.kind, "node": self.node, **self.facts}


Emit = Callable[[Event], None]


class EventLog:
    """Appends every event to `run.jsonl`, one JSON object a line, with the time of day.

    The log tells of this machine and this hour: it is the one table of a pairset, with the report
    made from it, that two equal runs do not share.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        torn = path.exists() and not path.read_bytes().endswith(b"\n") and path.stat().st_size > 0
        self._file: TextIO = path.open("a", encoding="utf-8")
        if torn:
            self._file.write("\n")

    def __call__(self, event: Event) -> None:
        """Write one event and flush it: a killed run leaves what happened before."""
        body = {"time": round(time.time(), 3), **event.to_json()}
        self._file.write(json.dumps(body, default=str) + "\n")
        self._file.flush()

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def tee(*sinks: Emit) -> Emit:
    """Send every event to all sinks."""

    def emit(event: Event) -> None:
        for sink in sinks:
            sink(event)

    return emit
