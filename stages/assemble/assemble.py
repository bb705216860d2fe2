"""From the edges of all miners to one row an anchor: what a trainer reads."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from pydantic import BaseModel, ConfigDict, Field

from ...manifests.agreement import Agreement
from ...manifests.artifact import Artifact, Output
from ...manifests.schema import CODES, EDGES, FLOATS, IDS, padded_list, pairs_schema
from ...manifests.tables import read_parquet
from ...manifests.vectors import Rows, VectorStore
from ..base import Inputs, Resources, Stage, Task, Worker, task_per_part
from .assets import AssetNumbers
from .extras import extra_columns, joined_mixes
from .judge import Judge
from .rows import Lengths, Lists, choose_lists
from .table import ENCODED, EdgeRows, cluster_ids

FILL = "random"
"""Miner whose negatives are a fill; a second one in a run is "random-2"."""
MOST_POSITIVES = 16
"""Length of the list of positives when none was asked for, at most."""


class MinerRef(BaseModel):
    """A miner as the assembly knows it: its id, and the places that it may need in a row.

    Attributes:
        id: of the miner in the run.
        places: among the positives.
        soft: in the soft target.
        texts: among the captions that are negatives.
        assets: among the generated positives.
        scheduled: whether its edges hold from a training progress of their own.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    places: int = Field(default=0, ge=0)
    soft: int = Field(default=0, ge=0)
    texts: int = Field(default=0, ge=0)
    assets: int = Field(default=0, ge=0)
    scheduled: bool = False


class MixerRef(BaseModel):
    """A mixer of synthetic negatives as the assembly knows it: its id and recipes a row."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    count: int = Field(ge=1)


class Assemble(Stage):
    """Merge the edges of a part and choose the lists of each anchor.

    Positives: the first P different ones, in the order of miners, then in the order of each list.
    Negatives: likewise the first K that are no positive and no false negative of the anchor.
    False negatives (eliminate, attract): the F nearest. Positives that found no place among P are
    offered to the places that are left: they, too, must not be contrasted. Anchors without a
    positive get no row.

    Inputs: samples, groups, edges:<id> of every miner, synthetic:<id> of every mixer,
    assets:<section> of every section of `generate`, `selected` where samples were selected, at most
    one `vectors:<caption space>` (used to judge negatives where there are no labels), and
    `clusters` if one set of them is published.

    Files of a part: "pairs.parquet" (the schema of `pairs` without pair_id), "edges.parquet".
    Facts, all counts but kinds: P, K, F, and S, T, Y, A, V where they are not 0 (see
    `schema.PAIR_EXTRAS`), kinds, pairs, edges, anchors_without_positive, positives, negatives,
    false_negatives, positive_overflow, negative_overflow, negatives_dropped (a positive or false
    negative of the anchor), fn_truncated, random_fill, and for source label and caption
    negatives_judged_by_<source>, negatives_false_by_<source>, and the same for hard_ (fill left
    out).
    """

    version = 2

    miners: tuple[MinerRef, ...]
    """In the order in which they ran; the position is the code in `*_kinds`."""
    mixers: tuple[MixerRef, ...] = ()
    """In the order in which their recipes stand in a row."""
    positives: int | None = Field(default=None, ge=1)
    """P; None: as many places as the miners may need, 1 to 16."""
    negatives: int = Field(default=4, ge=0)
    """K."""
    false_negatives: int = Field(default=8, ge=0)
    """F."""
    cluster_level: int = Field(default=0, ge=0)
    """Level of the published clusters; 0 is the finest."""

    @property
    def positive_places(self) -> int:
        """P as it stands in every row."""
        if self.positives is not None:
            return self.positives
        return min(max(sum(miner.places for miner in self.miners), 1), MOST_POSITIVES)

    @property
    def lengths(self) -> Lengths:
        """How long the lists of a row are."""
        return Lengths(
            self.positive_places,
            self.negatives,
            self.false_negatives,
            sum(miner.soft for miner in self.miners),
            sum(miner.texts for miner in self.miners),
            sum(miner.assets for miner in self.miners),
        )

    @property
    def counts(self) -> dict[str, int]:
        """The lengths as the manifest's `counts` has them; extras only where they are there."""
        lengths = self.lengths
        extras = {
            "S": lengths.soft,
            "T": lengths.texts,
            "Y": sum(mixer.count for mixer in self.mixers),
            "A": lengths.assets,
            "V": int(any(miner.scheduled for miner in self.miners)),
        }
        lists = {"P": lengths.positives, "K": lengths.negatives, "F": lengths.false_negatives}
        return lists | {name: length for name, length in extras.items() if length}

    def plan(self, inputs: Inputs) -> list[Task]:
        """One task a part of `samples`."""
        return task_per_part(inputs["samples"])

    def resources(self, inputs: Inputs) -> Resources:
        """One core; labels and groups of all samples."""
        return Resources(memory_bytes=(700 << 20) + 24 * inputs["samples"].rows)

    def open(self, inputs: Inputs) -> Worker:
        """Load group ids and what judges negatives; edges are read part by part."""
        samples, groups = inputs["samples"], inputs["groups"]
        starts = dict(zip(samples.parts, samples.starts(), strict=False))
        group_ids, clustered = groups.array(groups.parts[0]), inputs.get("clusters")
        selected = inputs.get("selected")
        whole = np.ones(samples.rows, bool)
        is_kept = whole if selected is None else selected.array(selected.parts[0])
        judge = Judge.of(samples, _captions(inputs))
        edges = [inputs[f"edges:{miner.id}"] for miner in self.miners]
        numbers = AssetNumbers(inputs)
        mixes = [inputs[f"synthetic:{mixer.id}"] for mixer in self.mixers]
        schema = pa.schema([item for item in pairs_schema(self.counts) if item.name != "pair_id"])

        def assemble(task: Task) -> Output:
            first, part = int(starts[task.part]), task.part
            anchors = np.arange(first, first + samples.receipt(part).rows)
            table, rows = _merge(edges, part, first)
            lists = choose_lists(rows, anchors, self.lengths)
            kept = np.flatnonzero((lists.positives.ids >= 0).any(axis=1))
            asked = np.flatnonzero(is_kept[anchors])
            splits = samples.table(part, ["split"])["split"]
            chosen = lists.of(kept)
            pairs = self._pairs(chosen, anchors[kept]) | extra_columns(chosen, table["text"])
            pairs |= numbers.columns(chosen, table, part)
            if mixes:
                rows_of_mixes = np.searchsorted(asked, kept)
                pairs["synthetic"] = joined_mixes([m.table(part) for m in mixes], rows_of_mixes)
            pairs["group_id"] = pa.array(np.asarray(group_ids[anchors[kept]], np.int64))
            clusters = cluster_ids(clustered, part, self.cluster_level, len(anchors))
            pairs["cluster_id"] = pa.array(clusters[kept])
            pairs["split"] = splits.take(pa.array(kept))
            pair_table = pa.table([pairs[name] for name in schema.names], schema=schema)
            facts = self._facts(lists, kept, table.num_rows)
            facts["anchors_without_positive"] = len(asked) - len(kept)
            facts |= judge.facts(anchors[kept], chosen.negatives, self._fillers())
            files = {"pairs.parquet": pair_table, "edges.parquet": table}
            return Output(len(kept), files, facts)

        return assemble

    def _fillers(self) -> np.ndarray:
        """Return the codes of the miners that fill."""
        ids = (miner.id.split("-")[0] for miner in self.miners)
        return np.flatnonzero([name == FILL for name in ids])

    def _pairs(self, lists: Lists, anchors: np.ndarray) -> dict[str, Any]:
        pairs: dict[str, Any] = {"anchor_id": pa.array(anchors)}
        for name, chosen in (("positive", lists.positives), ("negative", lists.negatives)):
            weights = chosen.shares() if name == "positive" else chosen.weights
            pairs |= {
                f"{name}_ids": padded_list(chosen.ids, IDS),
                f"{name}_scores": padded_list(chosen.scores, FLOATS),
                f"{name}_weights": padded_list(weights, FLOATS),
                f"{name}_kinds": padded_list(chosen.kinds, CODES),
            }
        pairs["false_negative_ids"] = padded_list(lists.false_negatives.ids, IDS)
        pairs["weight"] = pa.array(np.ones(len(anchors), np.float32))
        pairs["rule"] = lists.rules([miner.id for miner in self.miners])
        return pairs

    def _facts(self, lists: Lists, kept: np.ndarray, edges: int) -> dict[str, Any]:
        chosen = lists.of(kept)
        fills = np.isin(chosen.negatives.kinds, self._fillers())
        return {
            **self.counts,
            "kinds": [miner.id for miner in self.miners],
            "pairs": len(kept),
            "edges": edges,
            "positives": int((chosen.positives.ids >= 0).sum()),
            "negatives": int((chosen.negatives.ids >= 0).sum()),
            "false_negatives": int((chosen.false_negatives.ids >= 0).sum()),
            "random_fill": int(fills.sum()),
            **lists.overflow,
        }


def _captions(inputs: Inputs) -> tuple[VectorStore, Agreement] | None:
    for key, artifact in inputs.items():
        if key.startswith("vectors:"):
            store = VectorStore(key.removeprefix("vectors:"), Rows.of(artifact))
            return store, Agreement.of(store)
    return None


def _merge(edges: Sequence[Artifact], part: str, first: int) -> tuple[pa.Table, EdgeRows]:
    """Return the edges of a part by anchor, miner and order, and the same as numpy columns."""
    tables = [read_parquet(artifact.file(part), encoded=ENCODED) for artifact in edges]
    table = pa.concat_tables(tables).unify_dictionaries()
    miner = np.repeat(np.arange(len(tables)), [item.num_rows for item in tables])
    order = np.argsort(table["anchor_id"].to_numpy(), kind="stable")
    table = table.take(pa.array(order))
    return table.cast(EDGES), EdgeRows.of(table, miner[order], first)
