"""A number of bytes in a config, as people write it."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import BeforeValidator

_UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12}


def _bytes(value: Any) -> Any:
    if isinstance(value, str):
        match = re.fullmatch(r"\s*([0-9.]+)\s*([kmgt]?)i?b?\s*", value.lower())
        if match:
            return int(float(match[1]) * _UNITS[match[2]])
    return value


ByteSize = Annotated[int, BeforeValidator(_bytes)]
"""A number of bytes: 268435456, "256MB", "1.5 GB"."""
