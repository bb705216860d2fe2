"""normsim, cupid and cit against loops in float64."""

import numpy as np
import pytest

from curate.manifests.errors import DataError
from curate.stages.selection.cit import Cit
from curate.stages.selection.cupid import Cupid
from curate.stages.selection.normsim import Normsim


@pytest.fixture
def targets(tmp_path):
    rows = np.random.default_rng(9).normal(size=(7, 8)) * 3
    np.save(tmp_path / "t.npy", rows)
    return str(tmp_path / "t.npy"), rows / np.linalg.norm(rows, axis=1, keepdims=True)


def cosines(world, wanted, space="image"):
    rows = world.vectors[space].astype(np.float64)
    found = rows @ wanted.T
    found[~rows.any(axis=1)] = np.nan
    return found


@pytest.mark.parametrize("p", [2, "inf"])
def test_normsim(make_world, read, targets, p):
    _, kept, scores = read
    world = make_world(part_rows=3000)
    verdict = world.select(Normsim(targets=targets[0], p=p, fraction=0.4))
    found = cosines(world, targets[1])
    norm = [np.sqrt(sum(x * x for x in r)) if p == 2 else max(map(abs, r)) for r in found.tolist()]
    np.testing.assert_allclose(scores(verdict), norm, atol=2e-3)
    own = scores(verdict)
    ranked = sorted((i for i in range(100) if i != 5), key=lambda i: (-own[i], i))
    assert kept(verdict) == sorted(ranked[:40])


@pytest.mark.parametrize("by", ["max", "mean"])
def test_cupid(make_world, read, targets, by):
    _, kept, scores = read
    world = make_world()
    verdict = world.select(Cupid(targets=targets[0], by=by, fraction=0.15))
    found = cosines(world, targets[1])
    np.testing.assert_allclose(scores(verdict), getattr(found, by)(axis=1), atol=1e-3)
    best = np.argsort(-np.nan_to_num(scores(verdict), nan=-9), kind="stable")[:15]
    assert kept(verdict) == sorted(best.tolist())


def test_a_quota_leaves_room_for_other_targets(make_world, read, targets):
    drops, kept, scores = read
    world = make_world()
    verdict = world.select(Cupid(targets=targets[0], fraction=0.3, quota=3))
    near = np.nan_to_num(cosines(world, targets[1]), nan=-9).argmax(axis=1)
    own, left, held = scores(verdict), [], {}
    for i in sorted((i for i in range(100) if i != 5), key=lambda i: (-own[i], i)):
        held[near[i]] = held.get(near[i], 0) + 1
        if held[near[i]] <= 3:
            left.append(i)
        else:
            assert drops(verdict)[i] == "over_quota"
    assert kept(verdict) == sorted(left[:30])
    assert np.bincount(near[kept(verdict)]).max() == 3


@pytest.mark.parametrize(
    ("threshold", "ratio"), [(0.4, 0.3), (0.99, 0.07), (-1.0, 0.0), (1.0, 0.0)]
)
def test_cit(make_world, read, targets, threshold, ratio):
    drops, kept, scores = read
    world = make_world()
    selector = Cit(targets=targets[0], threshold=threshold, min_ratio=ratio, chunk=30)
    verdict = world.select(selector)
    own = scores(verdict)
    np.testing.assert_allclose(own, cosines(world, targets[1], "caption").max(axis=1), atol=1e-3)
    wanted = []
    for start in range(0, 100, 30):
        chunk = list(range(start, min(start + 30, 100)))
        there = [i for i in chunk if not np.isnan(own[i])]
        taken = [i for i in there if own[i] > threshold]
        least = int(np.ceil(ratio * len(chunk)))
        if len(taken) < least:
            taken = sorted(there, key=lambda i: (-own[i], i))[:least]
        wanted += sorted(taken)
    assert kept(verdict) == wanted
    assert drops(verdict)[11] == "no_vector"


def test_equal_scores_at_the_cut_go_by_id(make_world, read, targets):
    _, kept, _ = read
    same = np.tile(np.eye(8, dtype=np.float16)[:1], (20, 1))
    world = make_world(n=20, vectors={"image": same})
    assert kept(world.select(Cupid(targets=targets[0], fraction=0.5))) == list(range(10))
    assert kept(world.select(Cupid(targets=targets[0], quota=4, fraction=1))) == [0, 1, 2, 3]


def test_what_cannot_be_compared_is_refused(make_world, tmp_path):
    world = make_world()
    for rows, words in (
        (np.ones((2, 5)), "width 5, the space has 8"),
        (np.zeros((2, 8)), "row 0 is zero"),
        (np.zeros((0, 8)), "it has no rows"),
    ):
        np.save(tmp_path / "bad.npy", rows)
        with pytest.raises(DataError, match=words):
            world.select(Normsim(targets=str(tmp_path / "bad.npy")))


def test_other_targets_are_another_selector(tmp_path):
    path = tmp_path / "t.npy"
    np.save(path, np.eye(3))
    before = Normsim(targets=str(path)).identity()
    np.save(path, np.eye(4))
    assert Normsim(targets=str(path)).identity() != before
