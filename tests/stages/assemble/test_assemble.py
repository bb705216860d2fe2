"""Pair rows against a plain loop over the edges, and guarantees as SQL over the published files."""

from __future__ import annotations

import json

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from curate.manifests.schema import EDGES, NEIGHBORS, PAIRS
from curate.stages.assemble.assemble import Assemble, MinerRef
from curate.stages.assemble.final import FinalEdges, FinalNeighbors, FinalPairs, FinalSamples
from curate.stages.assemble.rows import Lengths, choose_lists
from curate.stages.assemble.table import ROLES, EdgeRows
from curate.stages.mining.false_negatives.topk_threshold import TopkThreshold
from curate.stages.mining.negatives.hard import Hard
from curate.stages.mining.negatives.random import Random
from curate.stages.mining.positives.knn import Knn
from curate.stages.mining.positives.label import Label
from curate.stages.mining.positives.self_aug import SelfAug
from curate.stages.mining.stage import Mine

GRAPH, IMAGE = "graph:image>image", "vectors:image"
MINERS = (
    ("knn", Knn(k=4, mutual=True)),
    ("label", Label(count=3, by="labels")),
    ("self_aug", SelfAug(only_missing=True)),
    ("fn", TopkThreshold(k=8, threshold=0.75)),
    ("fn-2", TopkThreshold(k=12, threshold=0.8, action="review")),
    ("hard", Hard(ranks=(2, 20), max_ratio=0.95, count=3)),
    ("random", Random(count=5)),
)
SETTINGS = {"negatives": 5, "false_negatives": 6}


def assembled(world, miners=MINERS, **settings):
    earlier: list[str] = []
    for name, miner in miners:
        needs = (GRAPH, IMAGE, *earlier) if miner.graph_names else tuple(earlier)
        world.run(Mine(miner=miner, id=name), f"edges:{name}", *needs)
        earlier.append(f"edges:{name}")
    refs = tuple(MinerRef(id=n, places=m.positive_capacity) for n, m in miners)
    captions = [key for key in ("vectors:caption",) if key in world.made]
    stage = Assemble(miners=refs, **{**SETTINGS, **settings})
    return world.run(stage, "assemble", *earlier, *captions)


def rows_of(artifact, suffix):
    tables = [artifact.table(part, suffix=suffix) for part in artifact.parts]
    return pa.concat_tables(tables).to_pylist()


def expected_row(edges, names, p, k, f):
    """What the docstring says, edge by edge."""
    positives, masked, kinds = {}, {}, {}
    for edge in edges:
        other = edge["other_id"]
        if edge["role"] == "positive" and other not in positives:
            positives[other] = edge
        if edge["role"] == "false_negative" and edge["action"] in ("eliminate", "attract"):
            masked.setdefault(other, edge)
    negatives = {}
    for edge in edges:
        other = edge["other_id"]
        if edge["role"] == "negative" and other not in {*positives, *masked}:
            negatives.setdefault(other, edge)
    kept = list(positives.values())[:p]
    nearest = sorted(masked.values(), key=lambda e: (-e["similarity"], e["other_id"]))
    spare = [e for e in list(positives.values())[p:] if e["other_id"] not in masked]
    spare = [e for e in spare if e["other_id"] != e["anchor_id"]]
    never = [e["other_id"] for e in [*nearest, *spare][:f]]
    chosen = list(negatives.values())[:k]
    for edge in [*kept, *chosen]:
        kinds[edge["other_id"]] = names.index(edge["miner"])
    return kept, chosen, sorted(never), kinds


def pad(values, length, fill):
    return [*values, *[fill] * (length - len(values))]


@pytest.mark.parametrize("p", [None, 1, 3])
def test_rows_are_what_the_edges_say(make_world, p):
    world = make_world().build()
    artifact = assembled(world, positives=p)
    facts = artifact.receipts[0].facts
    places, k, f = (facts[name] for name in ("P", "K", "F"))
    assert places == (p or 7)
    edges, names = rows_of(artifact, "edges.parquet"), facts["kinds"]
    by_anchor: dict[int, list] = {}
    for edge in edges:
        by_anchor.setdefault(edge["anchor_id"], []).append(edge)
    found = {row["anchor_id"]: row for row in rows_of(artifact, "pairs.parquet")}
    assert list(found) == sorted(found)
    for anchor, row in found.items():
        kept, chosen, never, kinds = expected_row(by_anchor[anchor], names, places, k, f)
        for name, list_of, length in (("positive", kept, places), ("negative", chosen, k)):
            ids = [e["other_id"] for e in list_of]
            assert row[f"{name}_ids"] == pad(ids, length, -1)
            assert row[f"{name}_scores"] == pad([e["similarity"] or 0 for e in list_of], length, 0)
            assert row[f"{name}_kinds"] == pad([kinds[i] for i in ids], length, -1)
        assert row["false_negative_ids"] == pad(never, f, -1)
        weights = np.array([e["weight"] for e in kept])
        shares = pad(list(weights / weights.sum()), places, 0)
        assert row["positive_weights"] == pytest.approx(shares, abs=1e-6)
        assert row["negative_weights"] == pad([1] * len(chosen), k, 0)
        assert (row["weight"], row["cluster_id"]) == (1, -1)
        assert row["group_id"] == world.groups[anchor]
        assert row["split"] == world.splits[anchor]
        masks = {e["miner"] for e in by_anchor[anchor] if e["other_id"] in never}
        p_rule, n_rule, f_rule = row["rule"].split("|")
        assert p_rule.split("+") == [n for n in names if n in {e["miner"] for e in kept}]
        assert n_rule.split("+") == [n for n in names if n in {e["miner"] for e in chosen}]
        assert set(f_rule.split("+")) <= masks | {""}


def test_the_rule_names_miners_of_captions_and_of_generated_pictures():
    """Anchors 0 and 1 of 3: a picture each, a text for 1; the third has a sample only."""
    role = {"positive": ROLES.index("positive"), "negative": ROLES.index("negative")}
    edges = [  # anchor, other, miner, role
        (0, -1, 2, "positive"),
        (0, 9, 3, "negative"),
        (1, 8, 0, "positive"),
        (1, -1, 2, "positive"),
        (1, -1, 4, "negative"),
        (2, 7, 0, "positive"),
    ]
    anchors, others, kinds, roles = (np.array(column) for column in zip(*edges, strict=True))
    ones = np.ones(len(edges), np.float32)
    codes = np.array([role[name] for name in roles])
    rows = EdgeRows(anchors, others, kinds, ones, ones, codes, 0 * ones, np.arange(len(edges)))
    lists = choose_lists(rows, np.arange(3), Lengths(1, 1, 1, 0, 1, 1))
    names = ["knn", "label", "synthetic", "hard", "negclip"]
    assert lists.rules(names).to_pylist() == ["synthetic|hard|", "knn+synthetic|negclip|", "knn||"]
    some = lists.of(np.array([1]))
    assert some.rules(names).to_pylist() == ["knn+synthetic|negclip|"]
    nothing = choose_lists(rows.at(np.zeros(0, int)), np.arange(2), Lengths(1, 1, 1, 0, 1, 1))
    assert nothing.rules(names).to_pylist() == ["||", "||"]


def test_edges_keep_every_miner_in_order(make_world):
    world = make_world().build()
    artifact = assembled(world)
    edges, names = rows_of(artifact, "edges.parquet"), [name for name, _ in MINERS]
    keys = [(e["anchor_id"], names.index(e["miner"])) for e in edges]
    assert keys == sorted(keys)
    for name in names:
        mined = pa.concat_tables(world.made[f"edges:{name}"].tables()).to_pylist()
        assert [e for e in edges if e["miner"] == name] == mined


def test_facts_are_counts_of_the_rows(make_world):
    world = make_world().build()
    artifact = assembled(world, positives=2, negatives=4, false_negatives=2)
    sums: dict[str, int] = {}
    for receipt in artifact.receipts:
        for key, value in receipt.facts.items():
            if isinstance(value, int):
                sums[key] = sums.get(key, 0) + value
    rows = rows_of(artifact, "pairs.parquet")
    code = [name for name, _ in MINERS].index("random")
    assert sums["pairs"] == len(rows) == len(world)
    assert sums["edges"] == len(rows_of(artifact, "edges.parquet"))
    assert sums["random_fill"] == sum(row["negative_kinds"].count(code) for row in rows) > 0
    assert sums["negatives"] == sum(id >= 0 for row in rows for id in row["negative_ids"])
    assert sums["positive_overflow"] > 0
    assert sums["fn_truncated"] > 0
    assert sums["negative_overflow"] > 0
    labels = [x[0] if x else None for x in world.labels]
    judged = [
        labels[row["anchor_id"]] == labels[id]
        for row in rows
        for id in row["negative_ids"]
        if id >= 0 and labels[row["anchor_id"]] and labels[id]
    ]
    assert sums["negatives_judged_by_label"] == len(judged)
    assert sums["negatives_false_by_label"] == sum(judged) > 0
    assert sums["negatives_judged_by_caption"] == sums["negatives"]
    assert 0 <= sums["hard_false_by_label"] <= sums["negatives_false_by_label"]
    json.dumps([dict(r.facts) for r in artifact.receipts], allow_nan=False)


def test_anchors_without_a_positive_get_no_row(make_world):
    world = make_world().build()
    artifact = assembled(world, (("knn", Knn(k=2, mutual=True)), ("random", Random(count=4))))
    rows = rows_of(artifact, "pairs.parquet")
    have = {e["anchor_id"] for e in rows_of(artifact, "edges.parquet") if e["role"] == "positive"}
    assert [row["anchor_id"] for row in rows] == sorted(have)
    missing = sum(r.facts["anchors_without_positive"] for r in artifact.receipts)
    assert missing == len(world) - len(have) > 0


def test_a_row_of_self_aug_alone(make_world):
    world = make_world(n=20).build()
    artifact = assembled(world, (("self_aug", SelfAug()),), negatives=0, false_negatives=0)
    for row in rows_of(artifact, "pairs.parquet"):
        assert row["positive_ids"] == [row["anchor_id"]]
        assert row["positive_weights"] == [1]
        assert row["negative_ids"] == row["false_negative_ids"] == []
        assert row["rule"] == "self_aug||"


def test_attracted_false_negatives_are_positives_with_places(make_world):
    world = make_world().build()
    miners = (
        ("self_aug", SelfAug()),
        ("fn", TopkThreshold(k=3, threshold=0.7, action="attract")),
    )
    artifact = assembled(world, miners)
    rows = rows_of(artifact, "pairs.parquet")
    assert artifact.receipts[0].facts["P"] == 4
    assert any(sum(i >= 0 for i in row["positive_ids"]) == 4 for row in rows)
    assert any(
        i in row["positive_ids"] for row in rows for i in row["false_negative_ids"] if i >= 0
    )


FINALS = {
    "samples": (FinalSamples, ("samples", "groups")),
    "pairs": (FinalPairs, ("assemble",)),
    "edges": (FinalEdges, ("assemble",)),
}


def publish(world, rows_per_file=50):
    out = {}
    for name, (stage, _) in FINALS.items():
        out[name] = world.run(
            stage(rows_per_file=rows_per_file), f"final_{name}", assemble="assemble"
        )
    stage = FinalNeighbors(graph="image>image", rows_per_file=rows_per_file)
    out["neighbors"] = world.run(stage, "final_neighbors", graph=GRAPH)
    return out


def glob(artifact):
    return f"'{artifact.path}/*.parquet'"


GUARANTEES = {
    "positives and negatives are apart": """
        select 1 from pairs where list_has_any(
          list_filter(positive_ids, lambda x: x >= 0), negative_ids)""",
    "false negatives and negatives are apart": """
        select 1 from pairs where list_has_any(
          list_filter(false_negative_ids, lambda x: x >= 0), negative_ids)""",
    "no anchor is its own negative or false negative": """
        select 1 from pairs where list_contains(negative_ids, anchor_id)
          or list_contains(false_negative_ids, anchor_id)""",
    "self is a positive only by self_aug": """
        select 1 from pairs, unnest(range(1, len(positive_ids) + 1)) as t(i)
        where positive_ids[i] = anchor_id and positive_kinds[i] <> 2""",
    "every positive and negative has an edge of its miner": """
        with named as (
          select anchor_id, unnest(positive_ids) as other, unnest(positive_kinds) as kind,
                 'positive' as role from pairs
          union all
          select anchor_id, unnest(negative_ids), unnest(negative_kinds), 'negative' from pairs)
        select 1 from named n where other >= 0 and not exists (
          select 1 from edges e where e.anchor_id = n.anchor_id and e.other_id = n.other
            and e.role = n.role and e.miner = kind_name(n.kind))""",
    "every false negative has an edge": """
        with named as (select anchor_id, unnest(false_negative_ids) as other from pairs)
        select 1 from named n where other >= 0 and not exists (
          select 1 from edges e where e.anchor_id = n.anchor_id and e.other_id = n.other
            and e.role in ('false_negative', 'positive'))""",
    "no id comes twice in a list": """
        select 1 from pairs where
          len(list_distinct(list_filter(positive_ids, lambda x: x >= 0)))
            <> len(list_filter(positive_ids, lambda x: x >= 0))
          or len(list_distinct(list_filter(negative_ids, lambda x: x >= 0)))
            <> len(list_filter(negative_ids, lambda x: x >= 0))""",
    "padding comes last": """
        select 1 from pairs, unnest(range(2, len(negative_ids) + 1)) as t(i)
        where negative_ids[i] >= 0 and negative_ids[i - 1] < 0""",
    "splits and groups never mix": """
        select 1 from edges e join samples a on a.sample_id = e.anchor_id
          join samples b on b.sample_id = e.other_id
        where e.role <> 'refused' and e.anchor_id <> e.other_id
          and (a.split <> b.split or a.group_id = b.group_id)""",
    "weights of positives sum to one": """
        select 1 from pairs where abs(list_sum(positive_weights) - 1) > 1e-5""",
    "pair ids are dense": """
        select 1 from (select pair_id, row_number() over (order by anchor_id) - 1 as n from pairs)
        where pair_id <> n""",
}


@pytest.mark.parametrize("positives", [None, 2])
def test_guarantees_hold_in_the_published_files(make_world, positives):
    world = make_world().build()
    assembled(world, positives=positives)
    final = publish(world)
    db = duckdb.connect()
    names = [name for name, _ in MINERS]
    db.execute(f"create macro kind_name(k) as {names!r}[k + 1]")
    for name, artifact in final.items():
        assert len(artifact.parts) > 1
        db.execute(f"create view {name} as select * from {glob(artifact)}")
    for text, sql in GUARANTEES.items():
        assert db.execute(sql).fetchall() == [], text
    assert db.execute("select count(*) from pairs").fetchone() == (len(world),)


def test_published_tables_have_the_published_schemas(make_world):
    world = make_world().build()
    assembled(world)
    final = publish(world)
    for name, schema in (("pairs", PAIRS), ("edges", EDGES), ("neighbors", NEIGHBORS)):
        for part in final[name].parts:
            file = pq.ParquetFile(final[name].file(part))
            assert file.schema_arrow.equals(schema)
            assert file.metadata.num_rows == final[name].receipt(part).rows
    meta = pq.ParquetFile(final["pairs"].file("part-00000")).schema_arrow.metadata
    assert meta[b"pairset.format"] == b"pairset/1"
    assert meta[b"pairset.table"] == b"pairs"
    assert (meta[b"pairset.P"], meta[b"pairset.K"], meta[b"pairset.F"]) == (b"7", b"5", b"6")
    assert json.loads(meta[b"pairset.kinds"]) == [name for name, _ in MINERS]
    samples = pa.concat_tables(final["samples"].tables())
    assert samples["group_id"].to_pylist() == world.groups.tolist()
    assert samples["cluster_id"].null_count == len(world)
    assert "position" not in samples.column_names
    ids, found = world.neighbors()
    neighbors = pa.concat_tables(final["neighbors"].tables())
    assert neighbors["neighbor_ids"].to_pylist() == ids.tolist()
    assert neighbors["similarities"].to_pylist() == found.tolist()


def test_files_do_not_depend_on_the_size_of_parts(make_world):
    digests = []
    for rows in (24, 40):
        world = make_world(part_rows=rows).build()
        assembled(world)
        final = publish(world, rows_per_file=10**6)
        digests.append([final[name].receipts[0].files[0]["sha256"] for name in final])
    assert digests[0] == digests[1]


def test_files_hold_whole_parts_up_to_the_limit(make_world):
    world = make_world(part_rows=20).build()
    inputs = {"samples": world.made["samples"], "groups": world.made["groups"]}
    tasks = FinalSamples(rows_per_file=50).plan(inputs)
    assert [len(task.spec["parts"]) for task in tasks] == [2, 2, 2]
    assert [task.spec["first"] for task in tasks] == [0, 40, 80]
    tasks = FinalSamples(rows_per_file=1).plan(inputs)
    assert [task.part for task in tasks] == [f"part-0000{i}" for i in range(6)]
