"""`report.html`: one file with everything in it, opened from a disk, with no network.

The page carries a content security policy that lets nothing run but its own script (by its hash)
and lets nothing be fetched; and everything from a corpus is escaped by the template engine.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from .. import storage
from ..pairset import Pairset
from .data import ReportData, collect
from .page import context, graph_line, settings_line

REPORT = "report.html"
_HERE = Path(__file__).parent


def write_report(
    root: Path,
    target: Path | None = None,
    *,
    anchors: int = 24,
    seed: int = 0,
    timings: Mapping[str, Mapping[str, Any]] | None = None,
) -> Path:
    """Write the report of a pairset and return its path.

    The same pairset, `anchors` and `seed` give the same bytes, but for the timings of the run.

    Args:
        root: folder of the pairset.
        target: the file to write [root/report.html].
        anchors: anchors in the gallery.
        seed: another seed shows other anchors.
        timings: node -> seconds, rows, parts, kept, peak_worker_bytes; replaces run.jsonl.

    Raises:
        PairsetError: `root` is not a readable pairset.
    """
    pairset = Pairset.open(root)
    page = render(collect(pairset, anchors, seed, timings))
    path = target or pairset.root / REPORT
    storage.write_text(path, page)
    return path


def render(data: ReportData) -> str:
    """Return the page of what was collected."""
    script = (_HERE / "script.js").read_text(encoding="utf-8")
    digest = hashlib.sha256(script.encode()).digest()
    environment = Environment(
        loader=FileSystemLoader(_HERE),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        n=lambda value: f"{value:,}",
        bytes=human_bytes,
        seconds=human_seconds,
        settings=settings_line,
        graph_line=graph_line,
    )
    return environment.get_template("template.html").render(
        context(data),
        style=Markup((_HERE / "style.css").read_text(encoding="utf-8")),
        script=Markup(script),
        script_hash=base64.b64encode(digest).decode("ascii"),
    )


def human_bytes(count: float | None) -> str:
    """Return "1.4 GB"; "" for None."""
    if count is None:
        return ""
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if count < 1000 or unit == "TB":
            break
        count /= 1000
    return f"{count:.0f} {unit}" if unit == "B" or count >= 100 else f"{count:.1f} {unit}"


def human_seconds(seconds: float | None) -> str:
    """Return "0.41 s", "12 s", "3 min 20 s" or "2 h 5 min"; "" for None."""
    if seconds is None:
        return ""
    if seconds < 10:
        return f"{seconds:.2f} s"
    if seconds < 120:
        return f"{seconds:.0f} s"
    minutes = round(seconds) // 60
    if minutes < 120:
        return f"{minutes} min {round(seconds) % 60} s"
    return f"{minutes // 60} h {minutes % 60} min"
