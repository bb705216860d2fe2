"""What the rules of all selectors share: the verdicts, drawn rows, and the cut of a fraction."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...arrays import open_vectors
from ...errors import CurateError
from ...selection import DROP_CODE, Drop
from ..context import TOLERANCE, Context, drawn

_QUICK_ROWS = 1024
_BLOCK = 8192


@dataclass(frozen=True)
class Verdicts:
    """What one selector said of every sample.

    Attributes:
        drops: int8 [N], position in DROPS, -1 for an unknown word.
        scores: float32 [N], NaN where there is none.
        witnesses: int64 [N], -1 where there is none.
    """

    drops: np.ndarray
    scores: np.ndarray
    witnesses: np.ndarray

    @property
    def kept(self) -> np.ndarray:
        """Which samples are kept, bool [N]."""
        return self.drops == DROP_CODE[Drop.KEPT]

    @property
    def judged(self) -> np.ndarray:
        """Which samples no earlier selector took away, bool [N]."""
        return self.drops != DROP_CODE[Drop.EARLIER]

    def is_drop(self, drop: Drop) -> np.ndarray:
        """Say which samples were dropped for a reason, bool [N]."""
        return self.drops == DROP_CODE[drop]

    def note(
        self,
        context: Context,
        described: Mapping[str, Any],
        check: str,
        wrong: np.ndarray,
        text: str,
        ids: np.ndarray | None = None,
    ) -> None:
        """Note wrong samples; `ids` int64 [n] says which ones `wrong` [n] speaks of."""
        many = len(context.pairset.manifest["selection"])
        place = [item["id"] for item in context.pairset.manifest["selection"]]
        samples = np.arange(len(wrong)) if ids is None else ids
        rows = samples * many + place.index(described["id"])

        def message(at: int) -> str:
            sample = samples[at]
            return f"sample {sample}, {described['id']}, score {self.scores[sample]:.6g}: {text}"

        context.notes.rows(check, "selection", wrong, rows, message)


def looked_at(context: Context, purpose: str) -> list[np.ndarray]:
    """Return blocks of sample ids: all of them in a deep verification, else some."""
    ids = np.arange(context.samples)
    if not context.deep:
        ids = drawn(context.samples, _QUICK_ROWS, f"selection/{purpose}")
    return [ids[start : start + _BLOCK] for start in range(0, len(ids), _BLOCK)]


def check_top(
    context: Context, described: Mapping[str, Any], verdicts: Verdicts, fraction: float
) -> None:
    """Kept are exactly the nearest whole number to the fraction, by score, ties by id."""
    judged = verdicts.judged
    scored = judged & ~np.isnan(verdicts.scores)
    wanted = min(int(np.floor(fraction * int(judged.sum()) + 0.5)), int(scored.sum()))
    kept = verdicts.kept
    if int(kept.sum()) != wanted:
        message = f"{described['id']} keeps {kept.sum()}, {fraction:g} of those judged is {wanted}"
        context.notes.add("fraction", "selection", None, message)
    verdicts.note(context, described, "no-score", kept & ~scored, "kept without a score")
    left = np.flatnonzero(scored & ~kept)
    if not len(left):
        return
    best = left[np.lexsort((left, -verdicts.scores[left]))[0]]
    limit = verdicts.scores[best]
    behind = (verdicts.scores < limit) | (
        (verdicts.scores == limit) & (np.arange(len(kept)) > best)
    )
    text = f"kept, though sample {best} with score {limit:.6g} was dropped"
    verdicts.note(context, described, "cut", kept & behind, text)


def cosines(context: Context, described: Mapping[str, Any], ids: np.ndarray) -> np.ndarray | None:
    """Return float32 [n, T], the cosines of samples to the selector's target vectors.

    Rows without a vector are NaN. None where the targets are no longer where they were, or the
    embeddings cannot be read: the scores are then taken as they are stored.
    """
    settings = described["settings"]
    store = context.vectors(settings["space"])
    try:
        table = open_vectors(settings["targets"])
    except (CurateError, OSError):
        return None
    if store is None or table.dim != store.dim:
        return None
    wanted = table.take(np.arange(len(table)))
    wanted /= np.linalg.norm(wanted, axis=1, keepdims=True)
    rows = store.rows(ids)
    found = rows @ wanted.T
    found[~rows.any(axis=1)] = np.nan
    return found


def check_scores(
    context: Context,
    described: Mapping[str, Any],
    verdicts: Verdicts,
    ids: np.ndarray,
    expected: np.ndarray,
    tolerance: float = TOLERANCE,
) -> None:
    """Hold stored scores of samples against what the embeddings give; NaN where there is none."""
    found = verdicts.scores[ids]
    judged = verdicts.judged[ids]
    differ = np.isnan(found) != np.isnan(expected)
    differ |= np.abs(np.nan_to_num(found) - np.nan_to_num(expected)) > tolerance
    text = "the score is not what the stored embeddings give"
    verdicts.note(context, described, "selection-score", judged & differ, text, ids)
    context.notes.looked_at("selection scores", len(ids))
