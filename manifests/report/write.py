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
from ..human import human_bytes, human_seconds, settings_line
from ..pairset import Pairset
from .data import ReportData, collect
from .page import context, graph_line, interval_line
from .verdict import percent

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
        interval=interval_line,
        share=lambda value: "unknown" if value is None else percent(value),
    )
    return environment.get_template("template.html").render(
        context(data),
        style=Markup((_HERE / "style.css").read_text(encoding="utf-8")),
        script=Markup(script),
        script_hash=base64.b64encode(digest).decode("ascii"),
    )
