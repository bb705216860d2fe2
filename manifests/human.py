"""Sizes, durations and settings as people read them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any


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
        return f"{round(seconds, 2):.2g} s"
    if seconds < 120:
        return f"{seconds:.0f} s"
    minutes = round(seconds) // 60
    if minutes < 120:
        return f"{minutes} min {round(seconds) % 60} s"
    return f"{minutes // 60} h {minutes % 60} min"


def settings_line(settings: Mapping[str, Any]) -> str:
    """Return settings as "k=5 mutual=true"; what is null is left out."""
    known = {name: value for name, value in settings.items() if value is not None}
    return " ".join(
        f"{name}={value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)}"
        for name, value in known.items()
    )
