"""What the rules of all miners share: how a broken one is noted."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...fingerprint import draw_uniform
from ...schema import ATTRIBUTE_PREFIX, NO_ID, REASON_CODE, Reason
from ..context import TOLERANCE, Context
from ..join import Edges, Names
from ..pairs import PairBlock

ROUNDING = 1e-6
"""How far a similarity may be beyond a cut: tables hold float32."""
SECONDS = 1e-5
"""How far a distance in time may be beyond a cut: differences of float64 seconds since 1970."""


def is_refused(edges: Edges, reason: Reason) -> np.ndarray:
    """Say which edges were refused for a reason, bool [n]."""
    return edges.reason == REASON_CODE[reason]


def attribute(context: Context, name: str) -> np.ndarray:
    """Return the values that a miner's setting names, float64 [N]; NaN where one is missing.

    An attribute of the corpus, a column of `samples`, or NAME/DEPTH: the first steps of texts.
    """
    column, _, depth = name.partition("/")
    if column not in ("label", "uid") and not column.startswith(ATTRIBUTE_PREFIX):
        column = ATTRIBUTE_PREFIX + column
    return context.attribute(column, int(depth or 0))


def place_of(context: Context, settings: Mapping[str, Any]) -> np.ndarray:
    """Return the camera or place of each sample; one for all where the setting is null."""
    name = settings["location"]
    return np.zeros(context.samples) if name is None else attribute(context, name)


def note(context: Context, edges: Edges, check: str, wrong: np.ndarray, text: str) -> None:
    """Note the edges that break a rule.

    Args:
        context: of the verification.
        edges: [n].
        check: name of the check.
        wrong: bool [n].
        text: what is wrong with them.
    """

    def message(at: int) -> str:
        miner = context.kinds[edges.miner[at]] if edges.miner[at] >= 0 else "?"
        return (
            f"anchor {edges.anchor[at]}, other {edges.other[at]}, miner {miner}, similarity "
            f"{edges.similarity[at]:.4f}: {text}"
        )

    context.notes.rows(check, "edges", wrong, edges.row, message)


def check_least_positive(
    context: Context, block: PairBlock, edges: Edges, mine: Edges, described: Mapping[str, Any]
) -> None:
    """Margins are held against the least similar positive of the same graph, or less."""
    graph = described["settings"].get("space", described["space"])
    spaces = {item["id"]: item["space"] for item in context.pairset.manifest["miners"]}
    codes = [c for c, name in enumerate(context.kinds) if spaces[name] == graph]
    known = edges.is_positive & np.isin(edges.miner, codes) & ~np.isnan(edges.similarity)
    least = np.full(len(block.anchor), np.inf)
    names = Names(context, block)
    np.minimum.at(least, names.row(edges.anchor[known]), edges.similarity[known])
    limit = least[names.row(mine.anchor)]
    wrong = mine.positive_similarity > limit + TOLERANCE
    text = "positive_similarity is above the anchor's least similar positive"
    note(context, mine, "positive-similarity", wrong, text)


def check_window(
    context: Context, edges: Edges, ranks: tuple[int, int], described: Mapping[str, Any]
) -> None:
    """What is taken stands in ranks [first, behind); what is refused by rank does not."""
    first, behind = ranks
    outside = (edges.rank < first) | (edges.rank >= behind)
    taken = edges.reason == 0
    name = described["id"]
    note(context, edges, "rank-window", taken & outside, f"{name} takes {first}..{behind} only")
    note(context, edges, "refusal", is_refused(edges, Reason.RANK) & ~outside, "refused by rank")


@dataclass(frozen=True)
class Grid:
    """Edges of a miner as one row an anchor: `row` and `place` of each edge, and the shape."""

    row: np.ndarray
    place: np.ndarray
    shape: tuple[int, int]

    @classmethod
    def of(cls, edges: Edges) -> Grid:
        """Number anchors in their order, and edges within each."""
        new = np.r_[True, edges.anchor[1:] != edges.anchor[:-1]][: len(edges)]
        row = np.cumsum(new) - 1
        start = np.flatnonzero(new)
        place = np.arange(len(edges)) - start[row] if len(edges) else row
        return cls(row, place, (len(start), int(place.max(initial=-1)) + 1))

    def lay(self, values: np.ndarray, fill: float | bool) -> np.ndarray:
        """Return values of the edges as [anchors, most edges], with `fill` where there is none."""
        out = np.full(self.shape, fill, values.dtype)
        out[self.row, self.place] = values
        return out

    def pick(self, values: np.ndarray) -> np.ndarray:
        """Return values [anchors, most edges] at the edges."""
        return values[self.row, self.place]


def listed_at(context: Context, graph: str, edges: Edges) -> tuple[np.ndarray, int] | None:
    """Return the rank of each edge's other in its anchor's list, -1 where it is not there, and k.

    None where the lists cannot be read.
    """
    lists = context.lists(graph)
    if lists is None or not (context.in_range(edges.anchor)).all():
        return None
    anchors, which = np.unique(edges.anchor, return_inverse=True)
    ids = lists.rows(anchors)[0]
    rank = np.full(len(edges), NO_ID, np.int64)
    for place in range(ids.shape[1]):
        rank[ids[which, place] == edges.other] = place
    return rank, lists.width


def seed_of(context: Context, described: Mapping[str, Any]) -> int:
    """Return the seed of a miner's draws: the run's, apart for each miner and round."""
    manifest = context.pairset.manifest
    text = f"{manifest['config']['seed']}/{described['id']}/{manifest.get('round', 0)}"
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little")


def check_draws(
    context: Context,
    mine: Edges,
    described: Mapping[str, Any],
    purpose: str,
    log_weights: np.ndarray,
) -> None:
    """Repeat draws by weight without replacement (Gumbel top-k), keyed by anchor and rank.

    Args:
        context: of the verification.
        mine: [n], edges of the miner; candidates that were refused for another reason than
            NOT_DRAWN were not in the draw.
        described: the miner's entry in the manifest; its setting `count` says how many are drawn.
        purpose: of the draws.
        log_weights: float64 [n].
    """
    if not len(mine):
        return
    grid, count = Grid.of(mine), described["settings"]["count"]
    anchors, which = np.unique(mine.anchor, return_inverse=True)
    width = int(mine.rank.max()) + 1
    uniform = draw_uniform(seed_of(context, described), anchors, purpose, width)[which, mine.rank]
    key = log_weights - np.log(-np.log(np.maximum(uniform, 2.0**-60)))
    taken, left = mine.reason == 0, is_refused(mine, Reason.NOT_DRAWN)
    lowest = grid.lay(np.where(taken, key, np.inf), np.inf).min(axis=1)
    counts = grid.lay(taken, False).sum(axis=1)
    text = f"drawn before a candidate with a larger draw, or not {count} of them"
    wrong = left & ((key > lowest[grid.row] + ROUNDING) | (counts[grid.row] < count))
    note(context, mine, "draw", wrong, text)
