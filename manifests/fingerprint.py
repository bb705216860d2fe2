"""Names and random draws that depend on content only: the same on every machine and worker."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


def fingerprint(value: Any) -> str:
    """Return 16 hex digits for a JSON value; key order does not matter."""
    return digest(canonical_json(value))[:16]


def digest(text: str) -> str:
    """Return the sha256 (hex) of a text."""
    return hashlib.sha256(text.encode()).hexdigest()


def canonical_json(value: Any) -> str:
    """Return the one JSON text of a value: sorted keys, no spaces, no NaN.

    Raises:
        ValueError: the value holds NaN or infinity.
    """
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def file_digest(path: Path) -> str:
    """Return the sha256 (hex) of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def draw_uint64(seed: int, rows: np.ndarray, purpose: str, count: int = 1) -> np.ndarray:
    """Draw counter-based random numbers: a pure function of (seed, row, purpose, position).

    No generator has a state, so any row can be drawn alone, on any worker, in any order.
    SplitMix64 finaliser (Steele, Lea, Flood 2014) over a key mixed from the four inputs.

    Args:
        seed: the run's seed.
        rows: int64 [n], sample ids or any other counters.
        purpose: what the numbers are for; two purposes never share a sequence.
        count: numbers a row.

    Returns:
        uint64 [n, count].
    """
    salt = int.from_bytes(hashlib.sha256(f"{seed}/{purpose}".encode()).digest()[:8], "little")
    with np.errstate(over="ignore"):
        key = _mix(np.asarray(rows).astype(np.uint64) * _GOLDEN + np.uint64(salt))
        steps = (np.arange(count, dtype=np.uint64) + np.uint64(1)) * _GOLDEN
        return _mix(key[:, None] + steps[None, :])


def draw_uniform(seed: int, rows: np.ndarray, purpose: str, count: int = 1) -> np.ndarray:
    """Draw float64 [n, count] in [0, 1); see `draw_uint64`."""
    return (draw_uint64(seed, rows, purpose, count) >> np.uint64(11)) * 2.0**-53


def _mix(x: np.ndarray) -> np.ndarray:
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def key_hashes(keys: Iterable[str]) -> np.ndarray:
    """Return uint64 [n, 2]: 128-bit names of texts, so that N keys cost 16 bytes each.

    BLAKE2b; two of 10^9 keys share a name with probability below 10^-20.
    """
    digests = (
        hashlib.blake2b(key.encode("utf-8", "surrogatepass"), digest_size=16).digest()
        for key in keys
    )
    return np.frombuffer(b"".join(digests), "<u8").reshape(-1, 2)
