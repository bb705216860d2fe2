"""The rule of `semdedup`: the nearest earlier sample of the cluster, and the cut at 1 - eps.

Whether i stands before j follows from their distances to the centre, made anew. Where those differ
by less than SLACK either may be the earlier one, so a score is held between the largest cosine to
what is surely earlier and to what may be.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ...schema import NO_ID
from ...selection import Drop
from ...vectors import VectorStore
from ..clusters import clusters_at
from ..context import Context, drawn
from ._clusters import SLACK, blocks, looks_at_all, members_of, nearness
from .base import Verdicts

_QUICK_COLUMNS = 256
_COLUMNS = 2048


def check(context: Context, described: Mapping[str, Any], verdicts: Verdicts) -> None:
    """SemDeDup (Abbas et al. 2023, §3); products of all pairs of a cluster, block by block."""
    limit = 1 - described["settings"]["eps"]
    duplicate = verdicts.is_drop(Drop.SEMANTIC_DUPLICATE)
    above = verdicts.scores.astype(np.float64) > limit
    wrong = verdicts.judged & (duplicate != above)
    verdicts.note(context, described, "cut", wrong, f"dropped exactly above {limit:g}")
    wrong = duplicate != (verdicts.witnesses != NO_ID)
    verdicts.note(context, described, "witness", wrong, "a witness exactly where it is dropped")
    found = members_of(context, described, verdicts)
    if found is None:
        return
    members, store = found
    for ids in members.each(context):
        near = nearness(store, ids)
        columns = np.arange(len(ids))
        if not looks_at_all(context):
            columns = drawn(len(ids), _QUICK_COLUMNS, described["id"])
        for start in range(0, len(columns), _COLUMNS):
            _check_pairs(
                context, described, verdicts, store, (ids, near, columns[start:][:_COLUMNS])
            )
        _check_witnesses(context, described, verdicts, store, (ids, near))


def _check_pairs(
    context: Context,
    described: Mapping[str, Any],
    verdicts: Verdicts,
    store: VectorStore,
    of: tuple[np.ndarray, np.ndarray, np.ndarray],
) -> None:
    """Hold the scores of some members of a cluster against all of its members."""
    ids, near, columns = of
    asked = store.rows(ids[columns]).astype(np.float64)
    least, most, kept = (np.full(len(columns), -np.inf) for _ in range(3))
    for step, rows in blocks(store, ids):
        cosines = rows @ asked.T
        cosines[np.arange(step.start, step.stop)[:, None] == columns] = -np.inf
        gap = near[step][:, None] - near[columns]
        least = np.maximum(least, np.where(gap < -SLACK, cosines, -np.inf).max(axis=0))
        most = np.maximum(most, np.where(gap <= SLACK, cosines, -np.inf).max(axis=0))
        stays = verdicts.kept[ids[step]][:, None]
        kept = np.maximum(kept, np.where(stays, cosines, -np.inf).max(axis=0))
    mine = ids[columns]
    score = np.where(np.isnan(verdicts.scores[mine]), -np.inf, verdicts.scores[mine])
    wrong = (score < least - SLACK) | (score > most + SLACK)
    text = "the score is not the largest cosine to an earlier sample of its cluster"
    verdicts.note(context, described, "selection-score", wrong, text, mine)
    wrong = verdicts.kept[mine] & (kept > 1 - described["settings"]["eps"] + SLACK)
    text = "kept beside another one that is kept and as similar as a duplicate"
    verdicts.note(context, described, "duplicates", wrong, text, mine)
    context.notes.looked_at("selection scores", len(mine))


def _check_witnesses(
    context: Context,
    described: Mapping[str, Any],
    verdicts: Verdicts,
    store: VectorStore,
    of: tuple[np.ndarray, np.ndarray],
) -> None:
    """A witness is a judged sample of the cluster, no nearer to the centre, of that similarity."""
    ids, near = of
    settings = described["settings"]
    codes = clusters_at(context, settings["clusters"], settings["level"])
    places = np.flatnonzero(verdicts.witnesses[ids] != NO_ID)
    for start in range(0, len(places), _COLUMNS):
        at = places[start : start + _COLUMNS]
        mine, other = ids[at], verdicts.witnesses[ids[at]]
        inside = context.in_range(other)
        other = np.where(inside, other, mine)
        there = inside & verdicts.judged[other] & (codes[other] == codes[mine])
        place = np.minimum(np.searchsorted(ids, other), len(ids) - 1)
        later = near[place] > near[at] + SLACK
        cosine = (store.rows(mine) * store.rows(other)).sum(axis=1, dtype=np.float64)
        differ = np.abs(cosine - verdicts.scores[mine]) > SLACK
        text = "its witness is no earlier sample of its cluster with that similarity"
        verdicts.note(context, described, "witness", ~there | later | differ, text, mine)
