"""The rule of `negclip`: one edit away from a caption of the anchor, and no true caption."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np

from ...lookup import SampleRows
from ...schema import Reason, Role
from ..context import Context
from ..join import Edges
from ..pairs import PairBlock
from .base import is_refused, note


def check(
    context: Context, block: PairBlock, edges: Edges, mine: Edges, described: Mapping[str, Any]
) -> None:
    """Yuksekgonul et al. (2023, §4): a swap keeps the words, a replacement changes one."""
    del block, edges, described
    if not len(mine):
        return
    rows = SampleRows(context.pairset, ["sample_id", "captions"])
    anchors = np.unique(mine.anchor[context.in_range(mine.anchor)]).tolist()
    known = {anchor: row["captions"] for anchor, row in rows.rows(anchors).items()}
    words = {anchor: [_words(text) for text in texts] for anchor, texts in known.items()}
    taken = mine.is_role(Role.NEGATIVE)
    true, far = np.zeros(len(mine), bool), np.zeros(len(mine), bool)
    for at, (anchor, text) in enumerate(zip(mine.anchor.tolist(), mine.text, strict=True)):
        own, made = words.get(anchor, []), _words(text)
        true[at] = made in own
        far[at] = not any(_one_edit(made, source) for source in own)
    note(context, mine, "true-caption", taken & true, "a negative caption that the anchor has")
    note(context, mine, "edit", far, "more than one edit away from every caption of the anchor")
    twins = np.bincount(context.group_id, minlength=context.samples)[context.group_id] > 1
    alone = ~twins[np.clip(mine.anchor, 0, context.samples - 1)]
    wrong = is_refused(mine, Reason.TRUE_CAPTION) & ~true & alone
    note(context, mine, "refusal", wrong, "refused as a true caption, which the anchor has not")


def _words(text: str) -> list[str]:
    return re.findall(r"\w+", text.casefold())


def _one_edit(made: list[str], source: list[str]) -> bool:
    """Say whether words were only moved, or only one was replaced where it stood."""
    if Counter(made) == Counter(source):
        return True
    return len(made) == len(source) and sum(a != b for a, b in zip(made, source, strict=True)) == 1
