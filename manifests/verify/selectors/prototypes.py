"""The rule of `prototypes`: what was dropped is nearest to the centroids, and as many as asked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..context import Context
from ._clusters import Members, check_first, check_nearness, kept_and_sizes, members_of
from .base import Verdicts


def check(context: Context, described: Mapping[str, Any], verdicts: Verdicts) -> None:
    """SSL prototypes (Sorscher et al. 2022, §4; Tirumala et al. 2023, §3.4)."""
    settings = described["settings"]
    found = members_of(context, described, verdicts)
    if found is None:
        return
    members, store = found
    check_nearness(context, described, verdicts, members, store)
    if settings["within"] == "corpus":
        members = Members(members.ids, np.zeros_like(members.clusters))
    kept, sizes = kept_and_sizes(verdicts, members)
    wanted = np.minimum(np.floor(settings["fraction"] * sizes + 0.5), sizes).astype(np.int64)
    for cluster in np.flatnonzero(kept != wanted)[:1]:
        message = (
            f"{described['id']}: cluster {cluster} of {sizes[cluster]} keeps {kept[cluster]}, "
            f"{settings['fraction']:g} of it is {wanted[cluster]}"
        )
        context.notes.add("fraction", "selection", None, message)
    check_first(context, described, verdicts, members, verdicts.scores[members.ids])
