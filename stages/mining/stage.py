"""Runs one miner over all anchors: from artifacts to blocks, from decisions to `edges`."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from pydantic import Field

from ...manifests.artifact import Artifact, Output
from ...manifests.errors import DataError
from ...manifests.schema import Role
from ...manifests.vectors import GraphStore, Rows, VectorStore
from ..base import Inputs, Resources, Stage, Task, Worker, task_per_part
from .assets import open_assets
from .base import Block, Decisions, Miner
from .base_mixer import Mixer
from .captions import Captions
from .clusters import CLUSTER_BYTES, ClusterStore
from .columns import BYTES_A_SAMPLE, Columns
from .corrected import Correction, with_corrected
from .edges import Origin, edge_table, gated, read_edges, refused_counts
from .prepare import StoredRows

MASKED_MOST = 0.05
"""Largest share of all ordered pairs that may be masked."""
MASKED_FROM = 1000
"""Number of samples from which that share is held."""


class Mine(Stage):
    """One miner, one table of edges a part of `samples`.

    Inputs:
        samples, groups: always.
        graph:<graph>, vectors:<space>, calibrate:<graph>, prepared:<name>, clusters:<name>,
            ranks:<name>, assets:<name>, measured:<name>: what the miner names.
        hubs:<graph>: where that graph is corrected.
        edges:<id>: tables of the earlier miners, in their order.
        selected: where samples were selected; the others are no anchors and no candidates.

    Facts of a part: anchors, taken, refused {reason: n}, anchors_with_edges, and what the miner
    reports (a threshold).
    """

    miner: Miner
    id: str = Field(min_length=1)
    """Name of the miner in this run; column `miner` of the edges."""
    seed: int = Field(default=0, ge=0)
    round: int = Field(default=0, ge=0)
    """Number of the mining round; column `round` of the edges."""

    def plan(self, inputs: Inputs) -> list[Task]:
        """One task a part of `samples`."""
        return task_per_part(inputs["samples"])

    def resources(self, inputs: Inputs) -> Resources:
        """One core; some bytes a sample for the columns and for each set of clusters."""
        miner = self.miner
        held = BYTES_A_SAMPLE + CLUSTER_BYTES * len(miner.cluster_names)
        held += 16 * len(miner.number_columns) + miner.memory_a_sample
        return Resources(memory_bytes=(700 << 20) + held * inputs["samples"].rows)

    def open(self, inputs: Inputs) -> Worker:
        """Load the columns; graphs and vectors stay on the disk.

        Raises:
            DataError: the miner asks for calibrated thresholds that no labels or captions give.
        """
        seed = seed_of(self.seed, self.id, self.round)
        block_of = open_blocks(inputs, self.miner, seed, self._thresholds(inputs))
        corrections = {
            key.removeprefix("hubs:"): Correction.of(artifact)
            for key, artifact in inputs.items()
            if key.startswith("hubs:")
        }
        origin = Origin(self.id, self.miner.role, self.miner.edge_space, self.round)

        def mine_part(task: Task) -> Output:
            block = block_of(task.part)
            decisions = gated(self.miner, block, self.miner.mine(block))
            decisions = with_corrected(self.miner, block.anchors, decisions, corrections)
            table = edge_table(origin, block, decisions)
            return Output(table.num_rows, {"parquet": table}, _facts(block, decisions))

        return mine_part

    def check(self, artifact: Artifact) -> None:
        """Look at the share of pairs that a false-negative miner masks.

        Raises:
            DataError: it is nothing, or far too much.
        """
        if self.miner.role is Role.FALSE_NEGATIVE:
            message = check_masked(artifact)
            if message:
                raise DataError(f"miner {self.id}: {message}")

    def _thresholds(self, inputs: Inputs) -> Mapping[str, Mapping[str, float]]:
        found = {}
        for graph in self.miner.threshold_names:
            facts = inputs[f"calibrate:{graph}"].receipts[0].facts
            if facts["truth"] == "none" and self.miner.needs_truth:
                raise DataError(
                    f"miner {self.id}: no threshold can be calibrated for {graph}: {facts['why']}. "
                    "Give labels or captions, or set `threshold` to a number, or `uncalibrated: "
                    "skip` to go on without these false negatives."
                )
            kinds = ("attract", "eliminate")
            found[graph] = {kind: facts[kind] for kind in kinds if facts[kind] is not None}
        return found


def seed_of(seed: int, name: str, number: int = 0) -> int:
    """Return the seed of one miner: two of one kind in a run must not draw the same numbers."""
    text = f"{seed}/{name}/{number}"
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little")


def open_blocks(
    inputs: Inputs,
    miner: Miner | Mixer,
    seed: int,
    thresholds: Mapping[str, Mapping[str, float]],
) -> Callable[[str], Block]:
    """Load the columns that a miner asks for; graphs and vectors stay on the disk.

    Args:
        inputs: samples, groups, what the miner names, and `selected` where samples were selected.
        miner: who will look at the blocks.
        seed: of its draws.
        thresholds: see `Block.thresholds`.

    Returns:
        A function from the name of a part to the block of its anchors, dropped ones left out.
    """
    samples = inputs["samples"]
    wanted = ("group_id", "split", *miner.columns)
    more = (miner.number_columns, miner.keys) if isinstance(miner, Miner) else ((), ())
    columns = Columns.load(samples, inputs["groups"], wanted, *more, inputs.get("selected"))
    graphs = {name: open_graph(inputs, name) for name in miner.graph_names}
    vectors = {
        name: VectorStore(name, Rows.of(inputs[f"vectors:{name}"])) for name in miner.space_names
    }
    assets = open_assets(inputs, miner.asset_names if isinstance(miner, Miner) else ())
    asked = miner.preparations if isinstance(miner, Miner) else {}
    prepared = {
        name: StoredRows.of(inputs[f"prepared:{name}"], stage.suffixes)
        for name, stage in asked.items()
    }
    clusters = {
        name: ClusterStore.of(name, inputs[f"clusters:{name}"], inputs[f"ranks:{name}"], columns)
        for name in (miner.cluster_names if isinstance(miner, Miner) else ())
    }
    earlier = [artifact for key, artifact in inputs.items() if key.startswith("edges:")]
    starts = dict(zip(samples.parts, samples.starts(), strict=False))
    captions = Captions.of(inputs) if isinstance(miner, Miner) and miner.reads_captions else None

    def block_of(part: str) -> Block:
        everyone = int(starts[part]) + np.arange(samples.receipt(part).rows)
        anchors = everyone[columns.is_kept(everyone)]
        lists = read_edges(earlier, part, anchors)
        return Block(
            anchors=anchors,
            samples=columns,
            graphs=graphs,
            vectors=vectors,
            positives=lists[Role.POSITIVE],
            false_negatives=lists[Role.FALSE_NEGATIVE],
            negatives=lists[Role.NEGATIVE],
            thresholds=thresholds,
            assets=assets(part, anchors),
            prepared=prepared,
            seed=seed,
            captions=captions.own(part, anchors - starts[part]) if captions else (),
            twin_captions=captions.of_twins(anchors) if captions else (),
            clusters=clusters,
        )

    return block_of


def open_graph(inputs: Inputs, name: str) -> GraphStore:
    """Open the artifact `graph:<name>`: memory-mapped ids and similarities."""
    artifact = inputs[f"graph:{name}"]
    return GraphStore(name, Rows.of(artifact, "ids.npy"), Rows.of(artifact, "sims.npy"))


def check_masked(artifact: Artifact) -> str | None:
    """Say what is wrong with the share of ordered pairs that a false-negative miner masks.

    A threshold from another space masks nothing or everything (algorithms.md §0.5b); a miner
    whose threshold could not be calibrated masks nothing on purpose.

    Returns:
        The message, or None.
    """
    facts = [receipt.facts for receipt in artifact.receipts]
    anchors = sum(fact["anchors"] for fact in facts)
    masked = sum(fact["taken"] for fact in facts)
    known = sum(fact["refused"].get("positive", 0) for fact in facts)
    threshold = next((fact.get("threshold") for fact in facts), None)
    if threshold is not None and masked + known == 0 and anchors > 1:
        return (
            f"threshold {threshold:g} masks none of {anchors * (anchors - 1):,} pairs, so it is "
            "too high for this space. Look at the similarities in `neighbors`, lower the threshold "
            "or write `threshold: calibrated`, or leave this miner out."
        )
    pairs = anchors * (anchors - 1)
    if anchors >= MASKED_FROM and masked > MASKED_MOST * pairs:
        return (
            f"{masked:,} of {pairs:,} pairs ({masked / pairs:.1%}) are masked; more than "
            f"{MASKED_MOST:.0%} means that the threshold ({threshold}) does not fit this space. "
            "Raise it, lower k, or write `threshold: calibrated`."
        )
    return None


def _facts(block: Block, decisions: Decisions) -> dict[str, Any]:
    there = decisions.there
    taken = there & (decisions.reasons == 0)
    return {
        "anchors": len(block.anchors),
        "taken": int(taken.sum()),
        "refused": refused_counts(decisions),
        "anchors_with_edges": int(taken.any(axis=1).sum()),
        **decisions.facts,
    }
