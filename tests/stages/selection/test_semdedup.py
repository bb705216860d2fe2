"""semdedup against loops over pairs in float64."""

import numpy as np
import pytest

from curate.stages.selection import _clustered
from curate.stages.selection.semdedup import Semdedup


def reference(rows, codes, eps, pool=None):
    """Return scores, drops and witnesses as the paper's rule says, one pair at a time."""
    rows = rows.astype(np.float64)
    count = len(rows)
    scores, witnesses = [None] * count, [-1] * count
    drops = ["no_vector" if code < 0 else "" for code in codes]
    for cluster in set(codes.tolist()) - {-1}:
        ids = [i for i in range(count) if codes[i] == cluster and (pool is None or pool[i])]
        centre = rows[ids].sum(axis=0)
        centre /= np.linalg.norm(centre) or 1
        order = sorted(ids, key=lambda i: (round(float(rows[i] @ centre), 6), i))
        for place, j in enumerate(order):
            for i in order[:place]:
                cosine = float(rows[i] @ rows[j])
                if scores[j] is None or cosine > scores[j]:
                    scores[j], near = cosine, i
            if scores[j] is not None and scores[j] > 1 - eps:
                drops[j], witnesses[j] = "semantic_duplicate", near
    return np.array([np.nan if s is None else s for s in scores]), drops, witnesses


def witnesses(verdict):
    return np.asarray(verdict.array(verdict.parts[0], "witnesses.npy")).tolist()


def clustered_world(make_world, n=150, k=6, **changes):
    rng = np.random.default_rng(3)
    codes = rng.integers(0, k, n)
    base = rng.normal(size=(k, 8))[codes] + 0.4 * rng.normal(size=(n, 8))
    rows = np.where(np.arange(n)[:, None] == 5, 0, base)
    rows = (rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-9)).astype(np.float16)
    codes[5] = -1
    codes[9] = k + 1
    return make_world(n=n, vectors={"image": rows}, clusters={"image": codes[:, None]}, **changes)


@pytest.mark.parametrize("eps", [0.02, 0.1, 0.5])
@pytest.mark.parametrize(("block", "task_rows"), [(2048, 1 << 16), (7, 30), (1, 1)])
def test_it_is_the_rule_of_the_paper(make_world, read, monkeypatch, eps, block, task_rows):
    drops, _, scores = read
    monkeypatch.setattr(_clustered, "BLOCK", block)
    monkeypatch.setattr(_clustered, "_TASK_ROWS", task_rows)
    world = clustered_world(make_world)
    verdict = world.select(Semdedup(eps=eps))
    want = reference(world.vectors["image"], world.clusters["image"][:, 0], eps)
    np.testing.assert_allclose(scores(verdict), want[0], atol=1e-6)
    assert drops(verdict) == want[1]
    assert witnesses(verdict) == want[2]
    assert "semantic_duplicate" in want[1]
    assert drops(verdict)[9] == ""


def test_tasks_do_not_matter(make_world, monkeypatch):
    whole = clustered_world(make_world).select(Semdedup(eps=0.1))
    monkeypatch.setattr(_clustered, "_TASK_ROWS", 10)
    monkeypatch.setattr(_clustered, "BLOCK", 3)
    parts = clustered_world(make_world, part_rows=11).select(Semdedup(eps=0.1))
    assert [r["sha256"] for r in whole.receipts[0].files] == [
        r["sha256"] for r in parts.receipts[0].files
    ]


def test_a_chain_keeps_its_first_only(make_world, read):
    drops, _, _ = read
    angles = np.radians([0, 20, 40, 80])
    rows = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float16)
    # The centre lies at about 35 degrees: 80 and 0 stand first, 40 is nearest to it.
    world = make_world(n=4, vectors={"image": rows}, clusters={"image": np.zeros((4, 1), int)})
    verdict = world.select(Semdedup(eps=1 - np.cos(np.radians(21))))
    assert drops(verdict) == ["", "semantic_duplicate", "semantic_duplicate", ""]
    # 40 degrees has no kept witness: it is 40 degrees from both samples that are left.
    assert witnesses(verdict) == [-1, 0, 1, -1]
    assert verdict.receipts[0].facts["witness_dropped"] == 1


def test_one_of_many_that_are_the_same_stays(make_world, read):
    drops, kept, scores = read
    rows = np.tile(np.array([[0.6, 0.8]], np.float16), (50, 1))
    world = make_world(n=50, vectors={"image": rows}, clusters={"image": np.zeros((50, 1), int)})
    verdict = world.select(Semdedup(eps=0.01))
    assert kept(verdict) == [0]
    assert witnesses(verdict) == [-1] + [0] * 49
    assert np.isnan(scores(verdict)[0])
    assert drops(verdict)[1:] == ["semantic_duplicate"] * 49
    apart = make_world(n=50, vectors={"image": rows}, clusters={"image": np.arange(50)[:, None]})
    assert kept(apart.select(Semdedup(eps=0.01))) == list(range(50))


def test_a_cosine_of_exactly_one_less_eps_stays(make_world, read):
    _, kept, _ = read
    rows = np.full((2, 16), 0.25, np.float16)
    rows[1, :2] = -0.25
    world = make_world(n=2, vectors={"image": rows}, clusters={"image": np.zeros((2, 1), int)})
    assert kept(world.select(Semdedup(eps=0.25))) == [0, 1]
    assert kept(world.select(Semdedup(eps=0.2501))) == [0]


def test_opposite_vectors_have_no_centre_and_stay(make_world, read):
    _, kept, scores = read
    rows = np.array([[1, 0], [-1, 0]], np.float16)
    world = make_world(n=2, vectors={"image": rows}, clusters={"image": np.zeros((2, 1), int)})
    verdict = world.select(Semdedup(eps=0.5))
    assert kept(verdict) == [0, 1]
    assert scores(verdict)[1] == -1


def test_what_was_dropped_before_is_no_witness(make_world, read):
    drops, _, scores = read
    world = clustered_world(make_world)
    first = world.select(Semdedup(eps=0.3), name="first")
    pool = np.array([drop == "" for drop in drops(first)])
    second = world.select(Semdedup(eps=0.5, among="kept"), name="second", first=first)
    want = reference(world.vectors["image"], world.clusters["image"][:, 0], 0.5, pool)
    assert drops(second) == [
        drop if here else "earlier" for drop, here in zip(want[1], pool, strict=True)
    ]
    np.testing.assert_allclose(scores(second), want[0], atol=1e-6)
    assert {w for w in witnesses(second) if w >= 0} <= set(np.flatnonzero(pool).tolist())


def test_a_coarser_level_sees_more_duplicates(make_world, read):
    _, kept, _ = read
    world = clustered_world(make_world)
    fine = world.clusters["image"]
    world.clusters["image"] = np.concatenate([fine, np.minimum(fine, 0)], axis=1)
    few = kept(world.select(Semdedup(eps=0.1, level=1)))
    assert len(few) < len(kept(world.select(Semdedup(eps=0.1))))
    want = reference(world.vectors["image"], world.clusters["image"][:, 1], 0.1)
    assert few == [i for i, drop in enumerate(want[1]) if not drop]
