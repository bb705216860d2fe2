"""What a person sees of a run: a live view of all stages on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import psutil
from rich.console import Console
from rich.live import Live
from rich.table import Table

from ..manifests.human import human_bytes, human_seconds
from .events import Event

_REFRESH_S = 0.25
_PLAIN_EVERY_S = 10.0


@dataclass
class _State:
    """How far one node is."""

    parts: int = 0
    finished: int = 0
    rows: int = 0
    rejects: int = 0
    computed: int = 0
    begun: float = field(default_factory=time.monotonic)
    seconds: float = 0.0
    peak_bytes: int = 0
    status: str = "waits"

    @property
    def rate(self) -> float:
        """Rows a second since the node started."""
        return self.rows / max(time.monotonic() - self.begun, 1e-3)

    @property
    def left_s(self) -> float | None:
        """Seconds that the open parts will take at the rate of the finished ones."""
        if not self.computed:
            return None
        spent = time.monotonic() - self.begun
        return spent / self.computed * (self.parts - self.finished)


class _Tracker:
    """Keeps the state of every node from the events."""

    def __init__(self, names: Sequence[str]) -> None:
        self.nodes = {name: _State() for name in names}
        self.warnings: list[str] = []

    def __call__(self, event: Event) -> None:
        """Take in one event."""
        state = self.nodes.get(event.node)
        if state is None:
            return
        facts = event.facts
        if event.kind == "node_started":
            state.begun = time.monotonic()
            state.parts, state.finished = facts["parts"], facts["kept"]
            state.status = "runs"
        elif event.kind == "part_done":
            state.finished += 1
            state.computed += 1
            state.rows += facts["rows"]
            state.rejects += int(facts["facts"].get("rejects", 0))
            state.peak_bytes = max(state.peak_bytes, facts["peak_worker_bytes"])
            said = [*facts.get("notes", ()), *facts.get("warnings", ())]
            self.warnings += [f"{event.node}: {text}" for text in said]
        elif event.kind == "node_done":
            state.status, state.seconds = "done", facts["seconds"]
        elif event.kind == "node_kept":
            state.status, state.rows = "kept", facts["rows"]
            state.parts = state.finished = facts["parts"]


class PlainView:
    """One line when a node ends, and every ten seconds of a long one."""

    def __init__(self, names: Sequence[str], write: Callable[[str], None]) -> None:
        self._tracker = _Tracker(names)
        self._write = write
        self._said = time.monotonic()
        self._warned = 0

    def __call__(self, event: Event) -> None:
        """Take in one event and say what is worth saying."""
        self._tracker(event)
        for text in self._tracker.warnings[self._warned :]:
            self._write(f"warning: {text}")
        self._warned = len(self._tracker.warnings)
        state = self._tracker.nodes.get(event.node)
        if state is None:
            return
        name = event.node
        if event.kind == "node_kept":
            self._write(f"{name}: kept, {state.parts} parts, {state.rows} rows")
        elif event.kind == "node_done":
            rate = f", {state.rows / max(state.seconds, 1e-3):.0f} rows/s" if state.rows else ""
            refused = f", {state.rejects} rejects" if state.rejects else ""
            memory = human_bytes(state.peak_bytes)
            self._write(
                f"{name}: {state.parts} parts, {event.facts['rows']} rows in "
                f"{state.seconds:.1f} s{rate}{refused}, peak {memory} a worker"
            )
        elif event.kind == "part_done" and time.monotonic() - self._said > _PLAIN_EVERY_S:
            self._write(f"{name}: {state.finished}/{state.parts} parts, {_speed(state)}")
        else:
            return
        self._said = time.monotonic()

    def close(self) -> None:
        """Nothing is held."""


class LiveView:
    """A table of all stages that renews itself."""

    def __init__(self, names: Sequence[str], console: Console) -> None:
        self._tracker = _Tracker(names)
        self._console = console
        self._warned = 0
        self._live = Live(
            get_renderable=self._table, console=console, refresh_per_second=1 / _REFRESH_S
        )
        self._live.start()

    def __call__(self, event: Event) -> None:
        """Take in one event."""
        self._tracker(event)
        for text in self._tracker.warnings[self._warned :]:
            self._console.print(f"[yellow]warning:[/] {text}", highlight=False)
        self._warned = len(self._tracker.warnings)

    def _table(self) -> Table:
        memory = human_bytes(psutil.Process().memory_info().rss)
        free = human_bytes(psutil.virtual_memory().available)
        table = Table(caption=f"driver {memory}, {free} free", box=None, pad_edge=False)
        for title in ("stage", "parts", "rows", "rate and time left", "rejects", "worker peak"):
            table.add_column(title, justify="left" if title == "stage" else "right")
        for name, state in self._tracker.nodes.items():
            table.add_row(*_cells(name, state))
        return table

    def close(self) -> None:
        """Leave the last state on the screen."""
        self._live.stop()


View = PlainView | LiveView


def _cells(name: str, state: _State) -> list[str]:
    if state.status == "waits":
        return [f"[dim]{name}", "", "", "", "", ""]
    style = {"runs": "[bold]", "kept": "[dim]", "done": ""}[state.status]
    speed = {"runs": _speed(state), "kept": "kept", "done": f"{state.seconds:.1f} s"}
    return [
        f"{style}{name}",
        f"{state.finished}/{state.parts}",
        f"{state.rows:,}",
        speed[state.status],
        str(state.rejects or ""),
        human_bytes(state.peak_bytes) if state.peak_bytes else "",
    ]


def _speed(state: _State) -> str:
    left = state.left_s
    return f"{state.rate:,.0f}/s" + (f", {human_seconds(left)} left" if left is not None else "")


def make_view(names: Sequence[str], stream: Any) -> View:
    """Return the live view where `stream` is a terminal, plain lines elsewhere."""
    if stream.isatty():
        return LiveView(names, Console(file=stream))

    def write(text: str) -> None:
        stream.write(text + "\n")
        stream.flush()

    return PlainView(names, write)
