"""The Mine stage: every rule against DuckDB SQL or brute force over the same tables."""

from __future__ import annotations

import json

import numpy as np
import pyarrow as pa
import pytest

from curate.manifests.errors import CurateError, DataError
from curate.manifests.schema import EDGES, Role
from curate.stages.mining.base import Decisions, Miner
from curate.stages.mining.false_negatives.topk_threshold import TopkThreshold
from curate.stages.mining.negatives.hard import Hard
from curate.stages.mining.negatives.random import Random
from curate.stages.mining.positives.knn import Knn
from curate.stages.mining.positives.label import Label
from curate.stages.mining.positives.self_aug import SelfAug
from curate.stages.mining.stage import Mine

GRAPH = "graph:image>image"
IMAGE = "vectors:image"


def edges(artifact, role=None):
    table = pa.concat_tables(artifact.tables()).to_pylist()
    return [row for row in table if role is None or row["role"] == role]


def pairs(artifact, role):
    return {(row["anchor_id"], row["other_id"]) for row in edges(artifact, role)}


def mine(world, miner, name, *needs, seed=0):
    return world.run(Mine(miner=miner, id=name, seed=seed), f"edges:{name}", *needs)


@pytest.mark.parametrize("mutual", [False, True])
@pytest.mark.parametrize("k", [1, 5, 500])
def test_knn_equals_brute_force(make_world, mutual, k):
    world = make_world().build()
    found = mine(world, Knn(k=k, mutual=mutual), "knn", GRAPH)
    ids, _ = world.neighbors()
    near = [[j for j in row[:k] if j >= 0] for row in ids.tolist()]
    expected = {(i, j) for i, row in enumerate(near) for j in row if not mutual or i in near[j]}
    assert pairs(found, "positive") == expected
    refused = {(i, j) for i, row in enumerate(near) for j in row} - expected
    assert pairs(found, "refused") == refused
    assert {row["reason"] for row in edges(found, "refused")} <= {"mutuality"}
    cosines = world.cosines()
    for row in edges(found):
        i, j = row["anchor_id"], row["other_id"]
        assert row["similarity"] == cosines[i, j]
        assert ids[i, row["rank"]] == j


def test_knn_min_similarity_gives_its_reason(make_world):
    world = make_world().build()
    found = mine(world, Knn(k=9, min_similarity=0.6, mutual=True), "knn", GRAPH)
    for row in edges(found):
        if row["similarity"] < np.float32(0.6):
            assert row["reason"] == "min_similarity"
        else:
            assert row["reason"] in ("", "mutuality")


def test_a_sample_without_a_vector_has_no_neighbours_and_is_nobodys(make_world):
    world = make_world().build()
    found = mine(world, Knn(k=20), "knn", GRAPH)
    assert not [row for row in edges(found) if 7 in (row["anchor_id"], row["other_id"])]


def test_edges_have_the_published_schema_and_order(make_world):
    world = make_world().build()
    found = mine(world, Knn(k=5, mutual=True), "knn", GRAPH)
    for table in found.tables():
        assert table.schema.equals(EDGES)
        keys = list(zip(table["anchor_id"].to_pylist(), table["rank"].to_pylist(), strict=True))
        assert keys == sorted(keys)
    assert {row["miner"] for row in edges(found)} == {"knn"}
    assert {row["space"] for row in edges(found)} == {"image>image"}


def test_self_aug_fills_only_what_is_missing(make_world):
    world = make_world().build()
    knn = mine(world, Knn(k=3, mutual=True), "knn", GRAPH)
    filled = mine(world, SelfAug(only_missing=True), "self_aug", "edges:knn")
    have = {a for a, _ in pairs(knn, "positive")}
    assert 0 < len(have) < len(world)
    assert pairs(filled, "positive") == {(i, i) for i in range(len(world)) if i not in have}
    plain = mine(world, SelfAug(), "self_aug-2", "edges:knn")
    assert pairs(plain, "positive") == {(i, i) for i in range(len(world))}
    assert edges(plain)[0]["similarity"] is None


LABEL_SQL = """
    select a.id as a, b.id as b,
           len(list_intersect(a.labels, b.labels)) as shared,
           len(list_distinct(list_concat(a.labels, b.labels))) as either
    from samples a join samples b
      on a.split = b.split and a.group_id <> b.group_id and {same}
"""
SAME = {
    "label": "a.labels[1] = b.labels[1]",
    "labels": "len(list_intersect(a.labels, b.labels)) > 0",
}


@pytest.mark.parametrize("by", ["label", "labels"])
@pytest.mark.parametrize("count", [1, 4, 60])
def test_label_takes_exactly_what_sql_allows(make_world, by, count):
    world = make_world().build()
    found = edges(mine(world, Label(count=count, by=by), "label"))
    rows = world.sql().execute(LABEL_SQL.format(same=SAME[by])).fetchall()
    allowed = {(a, b): shared / either for a, b, shared, either in rows}
    taken = {(row["anchor_id"], row["other_id"]) for row in found}
    assert len(taken) == len(found), "drawn twice"
    assert taken <= set(allowed)
    for anchor in range(len(world)):
        there = sum(a == anchor for a, _ in allowed)
        assert sum(a == anchor for a, _ in taken) == min(count, there)
    for row in found:
        weight = allowed[row["anchor_id"], row["other_id"]] if by == "labels" else 1
        assert row["weight"] == pytest.approx(weight)
        assert row["similarity"] is None


def test_label_draws_evenly(make_world):
    n = 12
    world = make_world(
        n=n, labels=[["a"]] * n, splits=["x"] * n, groups=np.array([0, 0, *range(2, n)])
    ).build()
    counts = np.zeros((n, n))
    for seed in range(600):
        for row in edges(mine_in_memory(world, Label(count=3), seed)):
            counts[row["anchor_id"], row["other_id"]] += 1
    assert counts[0, :2].sum() == 0
    expected = 600 * 3 / 10
    chi = ((counts[0, 2:] - expected) ** 2 / expected).sum()
    assert chi < 27.9, "10 places, 9 degrees of freedom, p = 0.001"
    chi = ((np.delete(counts[5], 5) - 600 * 3 / 11) ** 2 / (600 * 3 / 11)).sum()
    assert chi < 29.6


def mine_in_memory(world, miner, seed):
    worker = Mine(miner=miner, id="m", seed=seed).open(
        {key: world.made[key] for key in ("samples", "groups")}
    )
    tasks = Mine(miner=miner, id="m", seed=seed).plan(world.made)

    class Found:
        @staticmethod
        def tables():
            return [worker(task).files["parquet"] for task in tasks]

    return Found


def test_label_with_a_space_is_sorted_by_similarity(make_world):
    world = make_world().build()
    found = edges(mine(world, Label(count=5, space="image>image"), "label", IMAGE))
    cosines = world.cosines()
    last = {}
    for row in found:
        i, j = row["anchor_id"], row["other_id"]
        assert row["similarity"] == cosines[i, j]
        assert row["space"] == "image>image"
        key = (-row["similarity"], j)
        assert last.get(i, (-2, -1)) < key
        last[i] = key


def test_a_class_of_one_and_a_missing_label_have_no_positive(make_world):
    labels = [["a"], ["b"], [], ["b"], []]
    world = make_world(
        n=5, labels=labels, splits=["x"] * 5, groups=np.arange(5), k=3, part_rows=2
    ).build()
    for by in ("label", "labels"):
        found = mine(world, Label(by=by), f"label-{by}")
        assert pairs(found, "positive") == {(1, 3), (3, 1)}


def test_no_labels_at_all(make_world):
    world = make_world(n=6, labels=[[]] * 6, splits=["x"] * 6, groups=np.arange(6), k=3).build()
    for by in ("label", "labels"):
        assert edges(mine(world, Label(by=by), f"label-{by}")) == []


FN_SQL = """
    select a, b from graph g
    where rank < {k} and s >= {threshold}
      and not exists (select 1 from positives p where p.a = g.a and p.b = g.b)
      and ({mutual})
"""


@pytest.mark.parametrize("symmetrise", ["none", "and"])
@pytest.mark.parametrize(("k", "threshold"), [(1, 0.5), (10, 0.75), (500, -1.0)])
def test_topk_threshold_equals_sql(make_world, symmetrise, k, threshold):
    world = make_world().build()
    knn = mine(world, Knn(k=2, mutual=True), "knn", GRAPH)
    miner = TopkThreshold(k=k, threshold=threshold, symmetrise=symmetrise)
    found = mine(world, miner, "fn", GRAPH, "edges:knn")
    db = world.sql()
    register_positives(db, knn)
    back = f"exists (select 1 from graph r where r.a = g.b and r.b = g.a and r.rank < {k})"
    mutual = back if symmetrise == "and" else "true"
    sql = FN_SQL.format(k=k, threshold=threshold, mutual=mutual)
    assert pairs(found, "false_negative") == set(db.execute(sql).fetchall())
    looked = db.execute(f"select a, b from graph where rank < {k}").fetchall()
    assert pairs(found, "false_negative") | pairs(found, "refused") == set(looked)
    assert {row["action"] for row in edges(found, "false_negative")} <= {"eliminate"}


def register_positives(db, *artifacts):
    rows = [pair for artifact in artifacts for pair in pairs(artifact, "positive")]
    found = pa.table({"a": [a for a, _ in rows], "b": [b for _, b in rows]})
    db.register("_p", found)
    db.execute("create table positives as select * from _p")


def test_attract_gives_twins(make_world):
    world = make_world().build()
    miner = TopkThreshold(k=5, threshold=0.7, action="attract")
    found = mine(world, miner, "fn", GRAPH)
    assert pairs(found, "false_negative") == pairs(found, "positive") != set()
    assert {row["action"] for row in edges(found, "false_negative")} == {"attract"}
    for table in found.tables():
        anchors = table["anchor_id"].to_pylist()
        assert anchors == sorted(anchors)


HARD_SQL = """
with lists as (
  select z.id as a,
         coalesce((select min(c.s) from positives p join cosines c on c.a = p.a and c.b = p.b
                   where p.a = z.id and p.b <> z.id and p.b <> 7), 1.0)::double as s_pos
  from samples z
), judged as (
  select g.*, l.s_pos,
    exists (select 1 from positives p where p.a = g.a and p.b = g.b) as is_positive,
    exists (select 1 from fns f where f.a = g.a and f.b = g.b) as is_fn,
    rank >= {low} and s <= s_pos - (1 - {ratio}) * greatest(s_pos, 0.1)
      and s <= s_pos - {margin} and s <= {top}
      and (not {label} or len(list_intersect(x.labels, y.labels)) = 0) as passes
  from graph g join lists l on l.a = g.a join samples x on x.id = g.a join samples y on y.id = g.b
  where rank < {high}
)
select a, b, s_pos from judged where passes and not is_positive and not is_fn
qualify row_number() over (partition by a order by rank) <= {count}
"""


@pytest.mark.parametrize(
    "rules",
    [
        {"low": 0, "high": 20, "count": 4, "ratio": 0.95},
        {"low": 3, "high": 12, "count": 2, "ratio": 0.9, "margin": 0.05, "label": True},
        {"low": 0, "high": 500, "count": 100, "margin": 0.2, "top": 0.6},
        {"low": 5, "high": 6, "count": 1},
    ],
)
def test_hard_equals_sql(make_world, rules):
    world = make_world().build()
    knn = mine(world, Knn(k=3), "knn", GRAPH)
    label = mine(world, Label(count=2), "label")
    fill = mine(world, SelfAug(only_missing=True), "self_aug", "edges:knn", "edges:label")
    miner = TopkThreshold(k=6, threshold=0.8)
    earlier = ["edges:knn", "edges:label", "edges:self_aug"]
    fn = mine(world, miner, "fn", GRAPH, *earlier)
    hard = Hard(
        ranks=(rules["low"], rules["high"]),
        count=rules["count"],
        max_ratio=rules.get("ratio"),
        min_margin=rules.get("margin"),
        max_similarity=rules.get("top"),
        exclude_label=rules.get("label", False),
    )
    found = mine(world, hard, "hard", GRAPH, IMAGE, *earlier, "edges:fn")
    db = world.sql()
    register_positives(db, knn, label, fill)
    rows = pairs(fn, "false_negative")
    db.register("_f", pa.table({"a": [a for a, _ in rows], "b": [b for _, b in rows]}))
    db.execute("create table fns as select * from _f")
    sql = HARD_SQL.format(**{"ratio": 1, "margin": -9, "top": 9, "label": False, **rules})
    # ratio 1 is a cut at s_pos itself: without the rule nothing may be cut.
    if "ratio" not in rules:
        sql = sql.replace("s <= s_pos - (1 - 1) * greatest(s_pos, 0.1)", "true")
    expected = {(a, b): s for a, b, s in db.execute(sql).fetchall()}
    assert expected
    assert pairs(found, "negative") == set(expected)
    for row in edges(found, "negative"):
        least = expected[row["anchor_id"], row["other_id"]]
        assert row["positive_similarity"] == pytest.approx(least, abs=1e-6)


def test_hard_says_why_it_refused(make_world):
    world = make_world().build()
    mine(world, Knn(k=3), "knn", GRAPH)
    mine(world, TopkThreshold(k=6, threshold=0.8), "fn", GRAPH, "edges:knn")
    hard = Hard(ranks=(4, 20), max_ratio=0.9, min_margin=0.12, count=3, exclude_label=True)
    found = mine(world, hard, "hard", GRAPH, IMAGE, "edges:knn", "edges:fn")
    by_reason = {}
    for row in edges(found, "refused"):
        by_reason.setdefault(row["reason"], []).append(row)
    assert set(by_reason) == {
        "positive", "false_negative", "rank", "same_label", "ratio", "margin"
    }  # fmt: skip
    assert all(row["rank"] < 4 for row in by_reason["rank"])
    for row in by_reason["ratio"]:
        assert row["similarity"] > 0.9 * row["positive_similarity"] - 1e-6
    assert all(row["rank"] < 20 for row in edges(found))


@pytest.mark.parametrize("s_pos", [0.05, 0.0, -0.5])
def test_the_ratio_is_a_margin_below_small_positives(make_world, s_pos):
    # Anchor 0, its positive 1 at s_pos, candidates around the cut.
    cut = s_pos - 0.05 * 0.1
    values = [s_pos, cut + 0.004, cut - 0.004, -0.9]
    vectors = np.array([[1, 0], *([v, np.sqrt(1 - v * v)] for v in values)], np.float16)
    world = make_world(
        n=5, k=4, vectors={"image": vectors}, labels=[["a"], ["a"], ["b"], ["c"], ["d"]],
        splits=["x"] * 5, groups=np.arange(5),
    ).build()  # fmt: skip
    mine(world, Label(count=1), "label")
    hard = Hard(ranks=(0, 4), max_ratio=0.95, count=4)
    found = mine(world, hard, "hard", GRAPH, IMAGE, "edges:label")
    reasons = {r["other_id"]: r["reason"] for r in edges(found) if r["anchor_id"] == 0}
    assert reasons == {1: "positive", 2: "ratio", 3: "", 4: ""}


def test_in_two_spaces_the_anchors_own_vector_is_a_positive(make_world):
    world = make_world().build(("image>caption",))
    hard = Hard(space="image>caption", ranks=(0, 20), max_ratio=0.95, count=3)
    found = mine(world, hard, "hard", "graph:image>caption", IMAGE, "vectors:caption")
    cosines = world.cosines("image>caption")
    assert edges(found, "negative")
    for row in edges(found):
        own = cosines[row["anchor_id"], row["anchor_id"]]
        assert row["positive_similarity"] == pytest.approx(own, abs=1e-6)


def test_random_fills_to_count_with_nothing_forbidden(make_world):
    world = make_world(n=60).build()
    mine(world, Knn(k=4), "knn", GRAPH)
    mine(world, TopkThreshold(k=8, threshold=0.6), "fn", GRAPH, "edges:knn")
    earlier = ("edges:knn", "edges:fn")
    mine(world, Hard(ranks=(8, 20), count=3, max_ratio=0.7), "hard", GRAPH, IMAGE, *earlier)
    found = mine(world, Random(count=9), "random", *earlier, "edges:hard")
    hard = pairs(world.made["edges:hard"], "negative")
    forbidden = pairs(world.made["edges:knn"], "positive") | hard
    forbidden |= pairs(world.made["edges:fn"], "false_negative")
    drawn = edges(found, "negative")
    taken = {(row["anchor_id"], row["other_id"]) for row in drawn}
    assert len(taken) == len(drawn)
    assert not taken & forbidden
    split, group = np.array(world.splits), world.groups
    assert all(split[a] == split[b] and group[a] != group[b] for a, b in taken)
    for a in range(len(world)):
        eligible = sum(
            split[a] == split[b] and group[a] != group[b] and (a, b) not in forbidden
            for b in range(len(world))
        )
        want = 9 - sum(x == a for x, _ in hard)
        assert sum(x == a for x, _ in taken) == min(want, eligible)


def test_random_is_uniform_over_what_is_allowed(make_world):
    n = 12
    world = make_world(
        n=n, labels=[["a"]] * n, splits=["x"] * 11 + ["y"], groups=np.array([0, 0, *range(2, n)])
    ).build()
    counts = np.zeros((n, n))
    for seed in range(700):
        for row in edges(mine_in_memory(world, Random(count=4), seed)):
            counts[row["anchor_id"], row["other_id"]] += 1
    assert counts[0, [0, 1, 11]].sum() == 0
    assert counts[11].sum() == 0
    expected = 700 * 4 / 9
    chi = ((counts[0, 2:11] - expected) ** 2 / expected).sum()
    assert chi < 26.1, "9 places, 8 degrees of freedom, p = 0.001"


def test_two_miners_of_a_kind_draw_differently(make_world):
    world = make_world(n=200).build()
    one, two = (mine(world, Random(count=3), name) for name in ("random", "random-2"))
    assert pairs(one, "negative") != pairs(two, "negative")
    again = mine(world, Random(count=3), "random")
    assert pairs(one, "negative") == pairs(again, "negative")


@pytest.mark.parametrize("miner", [Label(count=3), Label(count=3, by="labels"), Random(count=5)])
def test_parts_of_other_sizes_give_the_same_edges(make_world, miner):
    found = [edges(mine(make_world(part_rows=rows).build(), miner, "m")) for rows in (17, 64, 500)]
    assert found[0] == found[1] == found[2] != []


def test_copies_do_not_make_self_a_neighbour(make_world):
    vectors = np.tile(np.array([[1.0, 0.0]], np.float16), (6, 1))
    world = make_world(
        n=6, k=5, vectors={"image": vectors}, labels=[[]] * 6, splits=["x"] * 6,
        groups=np.arange(6),
    ).build()  # fmt: skip
    found = mine(world, Knn(k=3), "knn", GRAPH)
    assert pairs(found, "positive") == {
        (a, b) for a in range(6) for b in [j for j in range(6) if j != a][:3]
    }


def facts(artifact, name):
    return [receipt.facts[name] for receipt in artifact.receipts]


def test_facts_count_what_happened(make_world):
    world = make_world().build()
    found = mine(world, Knn(k=5, mutual=True), "knn", GRAPH)
    assert sum(facts(found, "taken")) == len(pairs(found, "positive"))
    refused = sum(fact.get("mutuality", 0) for fact in facts(found, "refused"))
    assert refused == len(pairs(found, "refused"))
    assert sum(facts(found, "anchors")) == len(world)
    with_edges = {a for a, _ in pairs(found, "positive")}
    assert sum(facts(found, "anchors_with_edges")) == len(with_edges)
    json.dumps([dict(receipt.facts) for receipt in found.receipts], allow_nan=False)


def test_a_threshold_that_masks_nothing_is_an_error(make_world):
    world = make_world().build()
    stage = Mine(miner=TopkThreshold(threshold=0.9999), id="fn")
    found = world.run(stage, "edges:fn", GRAPH)
    with pytest.raises(DataError, match=r"threshold 0\.9999 masks none of 14,280 pairs"):
        stage.check(found)
    fine = Mine(miner=TopkThreshold(threshold=0.5), id="fn2")
    fine.check(world.run(fine, "edges:fn2", GRAPH))


def test_a_threshold_that_masks_everything_is_an_error(make_world):
    world = make_world(n=1000, k=64, dim=3, part_rows=500).build()
    stage = Mine(miner=TopkThreshold(k=64, threshold=-1.0), id="fn")
    found = world.run(stage, "edges:fn", GRAPH)
    with pytest.raises(DataError, match=r"6\.\d% are masked|\(6\.\d%\)|are masked"):
        stage.check(found)


class Broken(Miner):
    role = Role.NEGATIVE
    fault: str = "self"

    def mine(self, block):
        a = len(block.anchors)
        ids = {
            "self": block.anchors[:, None],
            "group": np.where(block.anchors == 2, 1, -1)[:, None],
            "split": np.where(block.anchors == 1, 0, -1)[:, None],
            "positive": block.positives.ids[:, :1],
            "range": np.full((a, 1), 10**6),
            "shape": np.zeros((a + 1, 1), np.int64),
        }[self.fault]
        shape = ids.shape
        return Decisions(
            ids,
            np.zeros(shape if self.fault != "reasons" else (a, 2), np.uint8),
            np.full(shape, np.nan, np.float32),
            np.zeros(shape, np.int32),
        )


@pytest.mark.parametrize(
    ("fault", "reason"),
    [("self", "self"), ("group", "duplicate"), ("split", "split"), ("positive", "positive")],
)
def test_the_gates_catch_a_careless_miner(make_world, fault, reason):
    world = make_world().build()
    mine(world, Knn(k=2), "knn", GRAPH)
    found = edges(mine(world, Broken(fault=fault), "ours", "edges:knn"))
    assert found
    assert {row["reason"] for row in found} == {reason}


@pytest.mark.parametrize("fault", ["range", "shape"])
def test_impossible_output_is_the_miners_fault(make_world, fault):
    world = make_world().build()
    with pytest.raises(CurateError, match=r"Broken\.mine returned"):
        mine(world, Broken(fault=fault), "ours")
