"""Gates of assets against a loop over every one of them."""

import dataclasses

import numpy as np
import pytest

from curate.manifests.errors import CurateError
from curate.manifests.schema import Reason, Role
from curate.stages.mining.base import AssetLists, Block, EdgeLists
from curate.stages.mining.columns import Columns
from curate.stages.mining.edges import Origin, edge_table, gated
from curate.stages.mining.positives.self_aug import SelfAug
from curate.stages.mining.positives.synthetic import Synthetic

A, C = 60, 8


def block_of(seed=0, random=None) -> Block:
    rng = np.random.default_rng(seed)
    anchors = np.arange(100, 100 + A)
    keys = np.array([[f"new/{i:010d}-{c:02d}" for c in range(C)] for i in anchors], object)
    sims = rng.choice(np.linspace(0, 1, 41).astype(np.float32), (A, C))
    sims[rng.random((A, C)) < 0.1] = np.nan
    keys[5], keys[6, 3:] = None, None
    sims[5], sims[6, 3:] = np.nan, np.nan
    nearest = rng.choice(np.linspace(0, 1, 41).astype(np.float32), (A, C))
    ids = np.where(rng.random((A, C)) < 0.3, -1, 7)
    pairs = np.linspace(-1, 0.7, 1001).astype(np.float32) if random is None else random
    return Block(
        anchors=anchors,
        samples=Columns(200, {"group_id": np.arange(200), "split": np.zeros(200, np.int32)}),
        graphs={},
        vectors={},
        positives=EdgeLists.none(A),
        false_negatives=EdgeLists.none(A),
        negatives=EdgeLists.none(A),
        assets={"new": AssetLists(keys, sims, ids, nearest, pairs)},
    )


def by_hand(block, miner):
    """Return {key: (reason, valid_from)}, gate after gate, asset after asset."""
    lists, found = block.assets["new"], {}
    cut = lists.random[round(miner.above * (len(lists.random) - 1))]
    for row in range(A):
        falling = {
            c: np.inf if np.isnan(s) else -s
            for c, s in enumerate(lists.similarities[row])
            if lists.keys[row, c]
        }
        taken = []
        for c in sorted(falling, key=falling.get):
            s = lists.similarities[row, c]
            if np.isnan(s):
                reason = Reason.NO_VECTOR
            elif s >= np.float32(miner.below):
                reason = Reason.MAX_SIMILARITY
            elif not s > cut:
                reason = Reason.MIN_SIMILARITY
            elif lists.nearest_ids[row, c] >= 0 and lists.nearest[row, c] > s:
                reason = Reason.NEARER_OTHER
            elif len(taken) == miner.count:
                reason = Reason.OVERFLOW
            else:
                reason = Reason.TAKEN
                taken.append(c)
            found[lists.keys[row, c]] = (str(reason), 0.0)
        for place, c in enumerate(taken):
            if miner.schedule and len(taken) > 1:
                at = miner.schedule * place / (len(taken) - 1)
                found[lists.keys[row, c]] = ("", at)
    return found


def edges_of(block, miner):
    decisions = gated(miner, block, miner.mine(block))
    return edge_table(Origin("synthetic", miner.role), block, decisions).to_pylist()


@pytest.mark.parametrize(
    "miner",
    [
        Synthetic(assets="new"),
        Synthetic(assets="new", count=2, above=0.5),
        Synthetic(assets="new", above=0, below=0.9, schedule=0.6),
        Synthetic(assets="new", above=1, count=1, schedule=1),
    ],
)
@pytest.mark.parametrize("seed", [0, 1])
def test_gates_against_a_loop(miner, seed):
    block = block_of(seed)
    wanted, edges = by_hand(block, miner), edges_of(block, miner)
    assert len(edges) == len(wanted) == A * C - C - (C - 3)
    for edge in edges:
        reason, valid_from = wanted[edge["asset"]]
        assert edge["reason"] == reason
        assert edge["role"] == ("refused" if reason else "positive")
        assert edge["valid_from"] == pytest.approx(valid_from, abs=1e-6)
        assert edge["other_id"] is None
        assert edge["text"] is None
    assert len({reason for reason, _ in wanted.values()}) >= 4


def test_hardness_never_falls_while_training_goes_on():
    miner = Synthetic(assets="new", above=0, schedule=0.8)
    taken = {}
    for edge in edges_of(block_of(), miner):
        if edge["role"] == "positive":
            taken.setdefault(edge["anchor_id"], []).append(edge)
    for edges in taken.values():
        since = [edge["valid_from"] for edge in edges]
        hardness = [1 - edge["similarity"] for edge in edges]
        assert since == sorted(since)
        assert hardness == sorted(hardness)
        assert since[0] == 0
        assert len(edges) == 1 or since[-1] == pytest.approx(0.8)


def test_without_random_pairs_only_copies_and_strangers_are_refused():
    block = block_of(random=np.zeros(0, np.float32))
    reasons = {edge["reason"] for edge in edges_of(block, Synthetic(assets="new"))}
    assert str(Reason.MIN_SIMILARITY) not in reasons


def test_assets_are_no_samples():
    block, miner = block_of(), Synthetic(assets="new")
    decisions = miner.mine(block)
    assert (decisions.ids == -1).all()
    assert (miner.role, miner.positive_capacity, miner.capacity) == (Role.POSITIVE, 0, 8)
    wrong = dataclasses.replace(decisions, ids=np.full_like(decisions.ids, 3))
    with pytest.raises(CurateError, match="ids beside texts or assets"):
        gated(miner, block, wrong)
    short = dataclasses.replace(decisions, assets=decisions.assets[:, :2])
    with pytest.raises(CurateError, match="returned assets of shape"):
        gated(miner, block, short)


def test_an_anchor_with_assets_alone_still_gets_a_view_of_itself():
    block = block_of()
    found = SelfAug(only_missing=True).mine(block)
    np.testing.assert_array_equal(found.ids[:, 0], block.anchors)
