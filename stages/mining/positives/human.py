"""Samples that people put into one set are each other's positives."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from pydantic import Field

from ....manifests.errors import DataError
from ....manifests.fingerprint import draw_uniform
from ....manifests.people import known_ids
from ....manifests.sampling import draw_distinct
from ....manifests.schema import NO_ID, Reason, Role
from ..base import TAKEN, Block, Decisions, LabelSets, Pool, RowIndex, draw_members, refuse
from ..base_human import HumanMiner


@dataclass(frozen=True)
class _Sets:
    """The sets as samples: who is in which, and an index (set, split, group) of the entries."""

    members: LabelSets
    index: RowIndex
    facts: Mapping[str, Any]


class Human(HumanMiner):
    """Human positives: members of one set, drawn evenly.

    Ghose et al., Tailoring Visual Object Representations to Human Requirements, 2023: people
    select some objects that belong together; selections come in rounds that are only appended,
    and no negatives are given: unlabelled is not negative (see `human_centroid`).

    With `prior` (one set only), anchors outside the set get positives as well, weighed as in
    puNCE (Acharya et al. 2022): pi x (mean log-probability over the n labelled and the own view)
    + (1 - pi) x log-probability of the own view. So the self weighs (1 - pi) + pi / (n + 1), and
    the labelled share pi n / (n + 1); those that are drawn carry the share of all n.

    Fidelity: exact.

    Traps: a set of one gives nothing. `count` positives of an anchor are known here; what does not
    fit `output.positives` is masked as a false negative, and members beyond `count` are not known
    at all, so they may be contrasted: keep `count` at the size of the sets. Keys that no sample
    has are counted, and an error where they are more than half.
    """

    role = Role.POSITIVE
    fidelity = "exact"
    paper = "Ghose et al., Tailoring Visual Object Representations to Human Requirements, 2023"
    allows_self = True

    count: int = Field(default=64, ge=1, le=256)
    """Positives an anchor."""
    prior: float | None = Field(default=None, gt=0, lt=1)
    """Share pi of the corpus that belongs to the set, for puNCE; null for members only."""

    @property
    def columns(self) -> Sequence[str]:
        """What keeps splits and duplicates apart."""
        return ("split", "group_id")

    @property
    def capacity(self) -> int:
        """As many as are drawn, and the self of an unlabelled anchor."""
        return self.count + (self.prior is not None)

    def mine(self, block: Block) -> Decisions:
        """Draw `count` members of each anchor's sets."""
        sets = block.samples.once("sets", lambda: self._sets(block))
        entries = sets.members.entries(block.anchors)
        pool = Pool.around(sets.index, entries, 2)
        ids = draw_members(pool, block.seed, block.anchors, "human", self.count)
        weights = np.where(ids == NO_ID, 0, 1).astype(np.float32)
        if self.prior is not None:
            ids, weights = self._unlabelled(block, sets, ids, weights)
        shape, anchors = ids.shape, block.anchors[:, None]
        reasons = np.full(shape, TAKEN)
        same = block.samples.take("group_id", ids) == block.samples.take("group_id", anchors)
        refuse(reasons, same & (ids != anchors) & (ids != NO_ID), Reason.DUPLICATE)
        ranks = np.maximum(np.cumsum(ids != NO_ID, axis=1) - 1, 0).astype(np.int32)
        nothing = np.full(shape, np.nan, np.float32)
        return Decisions(ids, reasons, nothing, ranks, weights, facts=sets.facts)

    def _sets(self, block: Block) -> _Sets:
        said = self.said()
        ids = block.samples.ids_of(said.keys)
        unknown = known_ids(self.selections, said.keys, ids)
        if self.prior is not None and len(said.sets) > 1:
            raise DataError(
                f"{self.selections} has {len(said.sets)} sets, but `prior` is for one set of "
                "positives among unlabelled samples."
            )
        there = np.flatnonzero(ids != NO_ID)
        members = LabelSets.of(ids[there], said.of[there], block.samples.count, len(said.sets))
        rows = np.repeat(np.arange(block.samples.count), np.diff(members.starts))
        codes = [block.samples.take(name, rows) for name in ("split", "group_id")]
        index = RowIndex.of(rows, [members.codes, *codes])
        facts = {
            "selections": len(said.keys),
            "unknown_keys": unknown,
            "sets": len(said.sets),
            "rounds": len(np.unique(said.rounds)),
        }
        return _Sets(members, index, facts)

    def _unlabelled(
        self, block: Block, sets: _Sets, ids: np.ndarray, weights: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Give anchors outside the set the positives of puNCE: the self, then members."""
        pi, split = float(self.prior or 0), block.samples.take("split", block.anchors)
        outside = np.flatnonzero(sets.members.sizes(block.anchors) == 0)
        ids = np.pad(ids, ((0, 0), (1, 0)), constant_values=NO_ID)
        weights = np.pad(weights, ((0, 0), (1, 0)))
        order = sets.index.order
        for code in np.unique(split[outside]).tolist():
            here = outside[split[outside] == code]
            members = order[block.samples.take("split", order) == code]
            sizes = np.full(len(here), len(members), np.int64)
            uniform = draw_uniform(block.seed, block.anchors[here], "punce", self.count)
            places = draw_distinct(uniform, sizes)
            drawn = np.append(members, NO_ID)[places]
            share = pi * len(members) / (len(members) + 1)
            each = share / np.maximum((drawn != NO_ID).sum(axis=1), 1)
            ids[here, 0], ids[here, 1:] = block.anchors[here], drawn
            weights[here, 0] = (1 - pi) + pi / (len(members) + 1)
            weights[here, 1:] = np.where(drawn == NO_ID, 0, each[:, None])
        return ids, weights
