"""negCLIPLoss against loops; batches divide the corpus; averages over divisions."""

import math

import numpy as np
import pytest
from vector_corpus import run_stage

from curate.stages.selection.negcliploss import Negcliploss
from curate.stages.selection.stage import Measure


def loss(world, ids, t):
    a, b = (world.vectors[n].astype(np.float64) for n in ("image", "caption"))
    ids = [i for i in ids if a[i].any() and b[i].any()]
    out = {}
    for i in ids:
        rows = math.log(sum(math.exp(float(a[i] @ b[j]) / t) for j in ids))
        columns = math.log(sum(math.exp(float(a[j] @ b[i]) / t) for j in ids))
        out[i] = float(a[i] @ b[i]) - t / 2 * (rows + columns)
    return out


@pytest.mark.parametrize("t", [0.01, 0.5])
def test_one_batch_is_the_formula(make_world, read, t):
    drops, kept, scores = read
    world = make_world(n=60)
    verdict = world.select(Negcliploss(t=t, batch=100, shuffles=2, fraction=0.25))
    wanted = loss(world, range(60), t)
    own = scores(verdict)
    for i in range(60):
        assert np.isnan(own[i]) if i in (5, 11) else abs(own[i] - wanted[i]) < 1e-6
    assert kept(verdict) == sorted(sorted(wanted, key=lambda i: (-own[i], i))[:15])
    assert drops(verdict)[5] == "no_vector"


def test_batches_divide_the_corpus_and_scores_are_their_mean(make_world, read):
    _, _, scores = read
    world = make_world(n=60)
    selector = Negcliploss(batch=17, shuffles=3, t=0.1)
    verdict = world.select(selector)
    stage = Measure(selector=selector, id="it", seed=0)
    measured = run_stage(stage, world.inputs(), world.root / "again")
    assert len(measured.parts) == 12
    found = {}
    for shuffle in range(3):
        parts = measured.parts[shuffle * 4 : shuffle * 4 + 4]
        batches = [measured.array(part, "ids.npy").tolist() for part in parts]
        assert sorted(i for batch in batches for i in batch) == list(range(60))
        assert {len(batch) for batch in batches} == {15}
        for batch in batches:
            for i, value in loss(world, batch, 0.1).items():
                found.setdefault(i, []).append(value)
    assert measured.array(measured.parts[0], "ids.npy").tolist() != list(range(15))
    for i, values in found.items():
        assert abs(scores(verdict)[i] - np.mean(values)) < 1e-6


def test_bytes_do_not_depend_on_parts_but_on_the_seed(make_world, read):
    _, _, scores = read
    settings = Negcliploss(batch=20, shuffles=2)
    one = make_world(part_rows=9).select(settings)
    two = make_world(part_rows=900).select(settings)
    assert one.receipts[0].files == two.receipts[0].files
    other = make_world().select(settings, seed=1)
    assert not np.array_equal(scores(one), scores(other), equal_nan=True)


def test_nothing_to_judge(make_world, read):
    drops, _, _ = read
    world = make_world(n=3, vectors={n: np.zeros((3, 8), np.float16) for n in ("image", "caption")})
    assert drops(world.select(Negcliploss())) == ["no_vector"] * 3
