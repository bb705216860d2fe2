"""Recipes of all mixers against the papers' words, looked at one by one."""

import numpy as np
import pytest
from scipy import stats

from curate.stages.mining.base_mixer import Hardest
from curate.stages.mining.false_negatives.topk_threshold import TopkThreshold
from curate.stages.mining.mix import Mix
from curate.stages.mining.positives.knn import Knn
from curate.stages.mining.stage import Mine
from curate.stages.mining.synthetic.mochi import Mochi
from curate.stages.mining.synthetic.sscl import Sscl
from curate.stages.mining.synthetic.synco import Synco

GRAPH = "image>image"


@pytest.fixture
def world(make_world):
    made = make_world().build()
    made.run(Mine(miner=Knn(k=2), id="knn"), "edges:knn", f"graph:{GRAPH}")
    fn = TopkThreshold(k=6, threshold=0.6)
    made.run(Mine(miner=fn, id="fn"), "edges:fn", f"graph:{GRAPH}", "edges:knn")
    return made


def rows_of(world, mixer, part_rows=None):
    needs = (f"graph:{GRAPH}", "edges:knn", "edges:fn")
    artifact = world.run(Mix(mixer=mixer, id="mix", seed=5), "mixed", *needs)
    return [row for table in artifact.tables() for row in table["synthetic"].to_pylist()]


def hard_pools(world, depth):
    """Return of each anchor the listed ids that are neither positives nor false negatives."""
    ids, _ = world.neighbors()
    taken = [set() for _ in range(len(world))]
    for name in ("edges:knn", "edges:fn"):
        for table in world.made[name].tables():
            for edge in table.to_pylist():
                if edge["role"] != "refused":
                    taken[edge["anchor_id"]].add(edge["other_id"])
    return [
        [j for j in row[:depth] if j >= 0 and j not in taken[i]]
        for i, row in enumerate(ids.tolist())
    ]


@pytest.mark.parametrize(
    "mixer",
    [
        Mochi(hardest=12, mixed=5, with_anchor=3),
        Mochi(mixed=0, with_anchor=2),
        Sscl(hardest=9, mixed=4),
        Synco(hardest=20, counts=(2, 3, 1, 2, 1, 1), sigma=0.02, step=0.03, sign_step=0.04),
    ],
    ids=["mochi", "mochi-anchor-only", "sscl", "synco"],
)
def test_recipes_are_what_the_paper_says(world, mixer):
    ranges = {
        ("mochi", 1): (0, 1, 2),
        ("mochi", 2): (0, 0.5, 1),
        ("sscl", 1): (0, 1, 2),
        ("synco", 1): (0, 0.5, 1),
        ("synco", 2): (1, 1.5, 1),
        ("synco", 3): (0, 1, 2),
        ("synco", 4): (0.02, 0.02, 1),
        ("synco", 5): (0.03, 0.03, 1),
        ("synco", 6): (0.04, 0.04, 1),
    }
    pools, filled = hard_pools(world, mixer.hardest), 0
    for anchor, row in enumerate(rows_of(world, mixer)):
        assert len(row) == mixer.count
        for item in row:
            if item["a_id"] < 0:
                assert (item["type"], item["b_id"], item["coef"], item["seed"]) == (0, -1, 0, 0)
                continue
            filled += 1
            low, high, parents = ranges[item["method"], item["type"]]
            assert np.float32(low) <= item["coef"] <= np.float32(high)
            assert item["a_id"] in pools[anchor]
            if parents == 2:
                assert item["b_id"] in pools[anchor]
                assert item["b_id"] != item["a_id"]
            else:
                assert item["b_id"] == -1
            assert (item["seed"] > 0) == ((item["method"], item["type"]) == ("synco", 4))
        one, two = len(pools[anchor]) >= 1, len(pools[anchor]) >= 2
        there = [item["type"] for item in row if item["a_id"] >= 0]
        for (method, kind), (_, _, parents) in ranges.items():
            if method == mixer.method:
                wanted = counts(mixer)[kind - 1] if (two if parents == 2 else one) else 0
                assert there.count(kind) == wanted
    assert filled > len(world)


def counts(mixer):
    if isinstance(mixer, Synco):
        return mixer.counts
    return (mixer.mixed, getattr(mixer, "with_anchor", 0))


def test_parents_and_coefficients_are_drawn_evenly():
    rng = np.random.default_rng(0)
    hardest = Hardest(np.arange(7)[None].repeat(4000, 0), np.full(4000, 7))
    a, b = hardest.pick_two(rng.random((4000, 2)))
    assert (a != b).all()
    seen = np.bincount((a * 7 + b).ravel(), minlength=49).reshape(7, 7)
    assert stats.chisquare(seen[~np.eye(7, dtype=bool)]).pvalue > 1e-3
    assert stats.chisquare(np.bincount(hardest.pick(rng.random((4000, 1))).ravel())).pvalue > 1e-3


def test_one_candidate_mixes_with_the_anchor_only():
    hardest = Hardest(np.array([[4, -1, -1], [-1, -1, -1]]), np.array([1, 0]))
    a, b = hardest.pick_two(np.full((2, 4), 0.99))
    assert (a == -1).all()
    assert (b == -1).all()
    np.testing.assert_array_equal(hardest.pick(np.full((2, 2), 0.99)), [[4, 4], [-1, -1]])


@pytest.mark.parametrize("mixer", [Mochi(), Sscl(), Synco()], ids=lambda mixer: mixer.method)
def test_recipes_do_not_depend_on_parts(make_world, mixer):
    found = []
    for part_rows in (32, 50):
        made = make_world(part_rows=part_rows).build()
        for name, miner in (("knn", Knn(k=2)), ("fn", TopkThreshold(k=6, threshold=0.6))):
            made.run(Mine(miner=miner, id=name), f"edges:{name}", f"graph:{GRAPH}")
        found.append(rows_of(made, mixer))
    assert found[0] == found[1]


def test_synco_that_makes_nothing_is_refused():
    with pytest.raises(ValueError, match="at least one type"):
        Synco(counts=(0, 0, 0, 0, 0, 0))
