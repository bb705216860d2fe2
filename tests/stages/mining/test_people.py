"""Miners of what people and oracles said, against loops over the same records and networkx."""

import json
from collections import defaultdict

import networkx as nx
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from curate.manifests.errors import DataError
from curate.manifests.people import Selections
from curate.stages.mining.false_negatives.human_centroid import HumanCentroid, running_mean
from curate.stages.mining.negatives.oracle import Oracle as OracleNegatives
from curate.stages.mining.positives.human import Human
from curate.stages.mining.positives.oracle import Oracle
from curate.stages.mining.stage import Mine

GRAPH, IMAGE = "graph:image>image", "vectors:image"


def write(path, rows):
    if str(path).endswith(".parquet"):
        pq.write_table(pa.Table.from_pylist(rows), path)
    else:
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def selections(n=120, seed=0):
    rng = np.random.default_rng(seed)
    rows = [
        {"set": f"s{rng.integers(0, 4)}", "key": f"k{i}", "round": int(rng.integers(0, 3))}
        for i in rng.permutation(n)[:50]
    ]
    return [*rows, {"set": "s0", "key": rows[7]["key"], "round": 1}, {"set": "one", "key": "k3"}]


def by_set(rows):
    sets = defaultdict(set)
    for row in rows:
        sets[row["set"]].add(int(row["key"][1:]))
    return sets


def mates(world, sets):
    """Return for each sample the others of its sets: its split, not its group."""
    found = defaultdict(set)
    for ids in sets.values():
        for a in ids:
            found[a] |= {
                b
                for b in ids
                if world.splits[a] == world.splits[b] and world.groups[a] != world.groups[b]
            }
    return found


def taken(rows, role="positive"):
    found = defaultdict(set)
    for row in rows:
        if row["role"] == role:
            found[row["anchor_id"]].add(row["other_id"])
    return found


@pytest.mark.parametrize("name", ["people.jsonl", "people.parquet"])
@pytest.mark.parametrize("count", [2, 64])
def test_members_of_one_set(make_world, tmp_path, name, count):
    rows, world = selections(), make_world().build()
    path = write(tmp_path / name, rows)
    found = taken(world.mine(Human(selections=path, count=count)))
    expected = mates(world, by_set(rows))
    for i in range(len(world)):
        assert found[i] <= expected[i]
        assert len(found[i]) == min(count, len(expected[i]))


def test_rounds_are_appended(make_world, tmp_path):
    rows, world = selections(), make_world().build()
    path = write(tmp_path / "p.jsonl", rows)
    early = [row for row in rows if row.get("round", 0) <= 1]
    found = taken(world.mine(Human(selections=path, until_round=1)))
    assert found == {a: b for a, b in mates(world, by_set(early)).items() if b}


def test_punce_weights(make_world, tmp_path):
    world, pi = make_world().build(), 0.2
    ids = list(range(1, 60, 3))
    path = write(tmp_path / "p.jsonl", [{"set": "s", "key": f"k{i}"} for i in ids])
    rows = world.mine(Human(selections=path, prior=pi))
    for i in range(len(world)):
        mine = {r["other_id"]: r["weight"] for r in rows if r["anchor_id"] == i and not r["reason"]}
        if i in ids:
            assert i not in mine
            assert set(mine.values()) <= {1.0}
            continue
        n = sum(world.splits[j] == world.splits[i] for j in ids)
        assert mine.pop(i) == pytest.approx((1 - pi) + pi / (n + 1))
        known = [r for r in rows if r["anchor_id"] == i and r["reason"]]
        assert {r["reason"] for r in known} <= {"duplicate"}
        assert set(mine) | {r["other_id"] for r in known} == {
            j for j in ids if world.splits[j] == world.splits[i]
        }
        assert all(w == pytest.approx(pi / (n + 1)) for w in mine.values())
    two = write(tmp_path / "two.jsonl", [{"set": s, "key": "k1"} for s in "ab"])
    with pytest.raises(DataError, match="`prior` is for one set"):
        world.mine(Human(selections=two, prior=pi))


def test_the_running_mean_is_the_mean():
    rng = np.random.default_rng(0)
    blocks = [rng.normal(size=(n, 5)) for n in (3, 1, 0, 8)]
    mean, count = np.zeros(5), 0
    for block in blocks:
        mean, count = running_mean(mean, count, block), count + len(block)
    np.testing.assert_allclose(mean, np.concatenate(blocks).mean(axis=0), atol=1e-12)


def test_unlabelled_neighbours_within_the_set_are_false_negatives(make_world, tmp_path):
    rows, world = selections(), make_world().build()
    path = write(tmp_path / "p.jsonl", rows)
    found = world.mine(HumanCentroid(selections=path, k=20), "m", GRAPH, IMAGE)
    sets, vectors = by_set(rows), world.vectors["image"].astype(np.float64)
    members = set().union(*sets.values())
    graph, _ = world.neighbors()
    looked = {(r["anchor_id"], r["other_id"]): r for r in found}
    assert set(looked) == {(i, j) for i in members for j in graph[i, :20].tolist() if j >= 0}
    reasons = set()
    for (i, j), row in looked.items():
        near = False
        for ids in sets.values():
            if i in ids:
                own = vectors[sorted(ids)]
                centre = own.mean(axis=0) / np.linalg.norm(own.mean(axis=0))
                near |= vectors[j] @ centre >= (own[own.any(axis=1)] @ centre).min() - 1e-12
        expected = "selected" if j in members else "" if near else "far_from_set"
        assert row["reason"] == expected
        assert row["action"] == ("review" if not expected else None)
        reasons.add(expected)
    assert reasons == {"", "selected", "far_from_set"}


def answers(seed=0):
    rng = np.random.default_rng(seed)
    kinds = np.arange(120) % 9
    rows = []
    for _ in range(300):
        a, b = rng.choice(120, 2, replace=False)
        same = kinds[a] == kinds[b]
        if same or rng.random() < 0.2:
            said = "unsure" if rng.random() < 0.1 else "yes" if same else "no"
            rows.append({"key_a": f"k{a}", "key_b": f"k{b}", "answer": said})
    # One wrong yes ties two kinds together, and a later no contradicts it.
    rows += [{"key_a": "k0", "key_b": "k1", "answer": "yes", "round": 1, "oracle": "tired"}]
    rows += [
        {"key_a": "k9", "key_b": "k0", "answer": "yes"},
        {"key_a": "k1", "key_b": "k9", "answer": "no"},
    ]
    return rows


def graph_of(rows):
    graph = nx.Graph()
    for row in rows:
        if row["answer"] == "yes":
            graph.add_edge(int(row["key_a"][1:]), int(row["key_b"][1:]))
    no = {
        frozenset((int(r["key_a"][1:]), int(r["key_b"][1:]))) for r in rows if r["answer"] == "no"
    }
    parts = list(nx.connected_components(graph))
    bad = [part for part in parts if any(pair <= part for pair in no)]
    return parts, bad, no


def test_the_closure_of_yes(make_world, tmp_path):
    rows, world = answers(), make_world().build()
    path = write(tmp_path / "a.jsonl", rows)
    found = world.mine(Oracle(answers=path))
    parts, bad, no = graph_of(rows)
    assert 0 < len(bad) < len(parts)
    expected = mates(world, dict(enumerate(part for part in parts if part not in bad)))
    assert taken(found) == {a: b for a, b in expected.items() if b}
    refused = mates(world, dict(enumerate(bad)))
    assert taken(found, "refused") == {a: b for a, b in refused.items() if b}
    facts = world.made["edges:m"].receipts[0].facts
    assert facts["components"] == len(parts)
    assert facts["conflicts"] == sum(any(pair <= part for part in bad) for pair in no)
    assert ["k1", "k9"] in facts["conflicting"]


def test_no_is_a_negative(make_world, tmp_path):
    rows, world = answers(), make_world().build()
    path = write(tmp_path / "a.jsonl", rows)
    found = world.mine(OracleNegatives(answers=path, count=100))
    parts, _, no = graph_of(rows)
    seen = set()
    for row in found:
        i, j = row["anchor_id"], row["other_id"]
        assert frozenset((i, j)) in no
        joined = any({i, j} <= part for part in parts)
        assert joined == (row["reason"] == "oracle_conflict")
        if not row["reason"]:
            assert world.splits[i] == world.splits[j]
            assert world.groups[i] != world.groups[j]
        seen.add((i, j))
    assert len(seen) == 2 * len(no)


def test_unknown_keys_are_counted_and_too_many_are_an_error(make_world, tmp_path):
    world = make_world().build()
    rows = [{"set": "s", "key": k} for k in ("k1", "k2", "k3", "who")]
    world.mine(Human(selections=write(tmp_path / "p.jsonl", rows)))
    assert world.made["edges:m"].receipts[0].facts["unknown_keys"] == 1
    rows += [{"set": "s", "key": f"who{i}"} for i in range(3)]
    with pytest.raises(DataError, match="4 of 7 keys are no keys of this corpus, such as 'who'"):
        world.mine(Human(selections=write(tmp_path / "q.jsonl", rows)))


def test_bad_files(tmp_path):
    with pytest.raises(ValueError, match="there is no such file"):
        Human(selections=str(tmp_path / "none"))
    for text, message in (
        ('{"set": "s"}\n', "record 1: key is None"),
        ('{"set": "s", "key": "k"}\nnonsense\n', "line 2: not JSON"),
        ('["s"]\n', "is not an object"),
        ('{"set": "s", "key": "k", "round": -1}\n', "round is -1"),
    ):
        (tmp_path / "p.jsonl").write_text(text)
        with pytest.raises(DataError, match=message):
            Selections.read(str(tmp_path / "p.jsonl"))
    bad = write(tmp_path / "a.jsonl", [{"key_a": "a", "key_b": "b", "answer": "maybe"}])
    with pytest.raises(DataError, match="answer 'maybe'; allowed are yes, no, unsure"):
        Oracle(answers=bad).documents()


def test_a_changed_file_is_another_result(tmp_path):
    path = write(tmp_path / "p.jsonl", selections())
    before = Mine(miner=Human(selections=path), id="human").identity()
    assert Mine(miner=Human(selections=path), id="human").identity() == before
    write(tmp_path / "p.jsonl", [*selections(), {"set": "s1", "key": "k5"}])
    assert Mine(miner=Human(selections=path), id="human").identity() != before
