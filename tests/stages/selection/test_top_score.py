"""The top fraction by CLIP score, against a sort in float64; pools, ties, empty cuts."""

import numpy as np
import pytest

from curate.stages.selection.top_score import TopScore


def expected(world, fraction, pool=None):
    a, b = (world.vectors[n].astype(np.float64) for n in ("image", "caption"))
    cosine = [float(x @ y) if x.any() and y.any() else None for x, y in zip(a, b, strict=True)]
    ids = [i for i in range(len(world)) if pool is None or i in pool]
    there = sorted(
        (i for i in ids if cosine[i] is not None), key=lambda i: (-np.float32(cosine[i]), i)
    )
    return sorted(there[: int(np.floor(fraction * len(ids) + 0.5))]), cosine


@pytest.mark.parametrize("fraction", [0.0, 0.3, 0.29, 0.985, 1.0])
def test_it_keeps_the_best(make_world, read, fraction):
    drops, kept, scores = read
    world = make_world()
    verdict = world.select(TopScore(fraction=fraction))
    wanted, cosine = expected(world, fraction)
    assert kept(verdict) == wanted
    assert drops(verdict)[5] == drops(verdict)[11] == "no_vector"
    for i, value in enumerate(cosine):
        assert (
            np.isnan(scores(verdict)[i])
            if value is None
            else abs(scores(verdict)[i] - value) < 1e-7
        )
    assert verdict.receipts[0].facts["kept"] == len(wanted)


def test_ties_at_the_cut_break_by_id(make_world, read):
    _, kept, _ = read
    same = np.tile(np.eye(8, dtype=np.float16)[:1], (20, 1))
    world = make_world(n=20, vectors={"image": same, "caption": same})
    assert kept(world.select(TopScore(fraction=0.3))) == list(range(6))


def test_bytes_do_not_depend_on_parts(make_world):
    one, other = make_world(part_rows=13), make_world(part_rows=1000)
    first, second = one.select(TopScore()), other.select(TopScore())
    assert first.receipts[0].files == second.receipts[0].files


def test_only_what_came_this_far_is_judged(make_world, read):
    drops, kept, _ = read
    world = make_world()
    first = world.select(TopScore(fraction=0.5), name="a")
    second = world.select(TopScore(fraction=0.5, among="kept"), name="b", a=first)
    pool = set(kept(first))
    assert kept(second) == expected(world, 0.5, pool)[0]
    assert len(kept(second)) == 25
    assert {i for i, d in enumerate(drops(second)) if d == "earlier"} == set(range(100)) - pool
    alone = world.select(TopScore(fraction=0.5), name="b", a=first)
    assert kept(alone) == kept(first)


def test_a_sample_must_be_kept_by_all(make_world, read):
    _, kept, _ = read
    world = make_world()
    one, two = world.select(TopScore(fraction=0.5)), world.select(TopScore(fraction=0.2))
    assert np.flatnonzero(world.selected(a=one, b=two)).tolist() == kept(two)
