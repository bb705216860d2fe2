"""Soft targets against a softmax written out, row by row."""

import math

import numpy as np
import pytest

from curate.stages.mining.soft.teacher import SHARE_FLOOR, Teacher
from curate.stages.mining.stage import Mine


def targets(world, miner, graph="image>image"):
    vectors = {f"vectors:{name}" for name in miner.space_names}
    artifact = world.run(Mine(miner=miner, id="teacher"), "edges:t", f"graph:{graph}", *vectors)
    found = [{} for _ in range(len(world))]
    refused = [set() for _ in range(len(world))]
    for table in artifact.tables():
        for edge in table.to_pylist():
            if edge["role"] == "soft":
                found[edge["anchor_id"]][edge["other_id"]] = edge["weight"]
            else:
                assert edge["reason"] == "no_share"
                refused[edge["anchor_id"]].add(edge["other_id"])
    return found, refused


@pytest.mark.parametrize("with_self", [True, False])
@pytest.mark.parametrize(("graph", "t"), [("image>image", 0.1), ("image>caption", 0.02)])
def test_shares_are_the_softmax_of_the_list(make_world, graph, t, with_self):
    world = make_world().build((graph,))
    ids, sims = world.neighbors(graph)
    cosines = world.cosines(graph)
    query, bank = (world.vectors[name].any(axis=1) for name in graph.split(">"))
    found, refused = targets(world, Teacher(space=graph, k=7, t=t, with_self=with_self), graph)
    for i in range(len(world)):
        listed = {int(j): float(s) for j, s in zip(ids[i, :7], sims[i, :7], strict=True) if j >= 0}
        if with_self and query[i] and bank[i]:
            listed[i] = float(cosines[i, i])
        total = sum(math.exp(s / t) for s in listed.values())
        wanted = {j: math.exp(s / t) / total for j, s in listed.items()}
        assert set(found[i]) | refused[i] == set(wanted)
        for j, share in wanted.items():
            if j in found[i]:
                assert found[i][j] == pytest.approx(share, rel=1e-4)
            else:
                assert share < SHARE_FLOOR * 1.001
        if found[i]:
            assert sum(found[i].values()) == pytest.approx(1, abs=1e-4)
            assert max(found[i], key=found[i].get) == max(wanted, key=wanted.get)


def test_a_cold_teacher_names_one_sample_and_says_what_it_left_out(make_world):
    world = make_world().build()
    found, refused = targets(world, Teacher(k=5, t=1e-4, with_self=False))
    assert any(refused)
    ids, _ = world.neighbors()
    for i, row in enumerate(found):
        if row:
            assert max(row, key=row.get) == ids[i, 0]


def test_a_sample_without_a_vector_has_no_target(make_world):
    world = make_world().build()
    found, _ = targets(world, Teacher(k=5, t=0.1))
    assert not world.vectors["image"][7].any()
    assert found[7] == {}
    assert np.mean([bool(row) for row in found]) > 0.9
