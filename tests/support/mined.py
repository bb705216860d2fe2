"""Run one miner over a World's artifacts or over lists in memory, and read what it decided."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pyarrow as pa

from curate.stages.mining.base import Block, EdgeLists
from curate.stages.mining.columns import Columns
from curate.stages.mining.stage import Mine

GRAPH = "graph:image>image"
CAPTION_GRAPH = "graph:caption>caption"
IMAGE, CAPTION = "vectors:image", "vectors:caption"


def mine(world, miner, name, *needs, seed=0, **renamed):
    """Run the miner over the world's parts; its edges are `edges:<name>`."""
    return world.run(Mine(miner=miner, id=name, seed=seed), f"edges:{name}", *needs, **renamed)


def prepared(world, miner):
    """Run what the miner wants beforehand; return its inputs by name."""
    names = {}
    for name, stage in miner.preparations.items():
        world.run(stage, f"prepare:{name}", *stage.needs)
        names[f"prepared:{name}"] = f"prepare:{name}"
    return names


def edges(artifact, role=None):
    """Return the rows of edges as dictionaries."""
    table = pa.concat_tables(artifact.tables()).to_pylist()
    return [row for row in table if role is None or row["role"] == role]


def pairs(artifact, role):
    """Return the set of (anchor, other) of a role."""
    return {(row["anchor_id"], row["other_id"]) for row in edges(artifact, role)}


def by_anchor(artifact, role=None):
    """Return {anchor: rows in their order}."""
    found = {}
    for row in edges(artifact, role):
        found.setdefault(row["anchor_id"], []).append(row)
    return found


def block_of_lists(ids, similarities, positives=None, false_negatives=None, seed=0, **more):
    """Return a block of anchors 0..A-1 over hand-made lists of ids [A, K] and similarities.

    `more`: count (samples), vectors {space: array}.
    """
    ids, similarities = np.asarray(ids, np.int64), np.asarray(similarities, np.float32)
    anchors = len(ids)
    count = more.get("count", int(max(ids.max(initial=0), anchors - 1)) + 1)

    def listed(lists):
        lists = np.full((anchors, 0), -1) if lists is None else np.asarray(lists, np.int64)
        ones = np.ones(lists.shape, np.float32)
        return EdgeLists(lists, ones, ones)

    def rows(asked, depth=None):
        return ids[asked, :depth].copy(), similarities[asked, :depth].copy()

    vectors = more.get("vectors", {"image": np.eye(count, dtype=np.float32)})
    return Block(
        anchors=np.arange(anchors),
        samples=Columns(
            count,
            {"group_id": np.arange(count), "split": np.zeros(count, np.int32)},
        ),
        graphs={"image>image": SimpleNamespace(name="image>image", k=ids.shape[1], rows=rows)},
        vectors={
            name: SimpleNamespace(name=name, dim=data.shape[1], rows=lambda i, d=data: d[i].copy())
            for name, data in vectors.items()
        },
        positives=listed(positives),
        false_negatives=listed(false_negatives),
        negatives=EdgeLists.none(anchors),
        seed=seed,
    )


def taken(found):
    """Return for each row the ids that were taken, in order."""
    return [
        [int(i) for i, reason in zip(ids, reasons, strict=True) if i >= 0 and reason == 0]
        for ids, reasons in zip(found.ids, found.reasons, strict=True)
    ]
