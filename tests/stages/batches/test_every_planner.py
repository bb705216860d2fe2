"""What every planner holds: full batches of places, each row at most once unless it says more."""

from dataclasses import replace

import numpy as np
import pytest

from curate.stages import registry
from curate.stages.batches.base import Planner

SETTINGS = {
    "random": {"size": 32},
    "kmeans": {"size": 32},
    "b3": {"size": 32, "group": 8, "skip": 5, "window": 30},
    "gcbs": {"size": 32, "depth": 30},
    "batchsampler": {"size": 32, "candidates": 60, "edges": 10},
    "grit": {"size": 32, "window": 96},
    "pk": {"size": 32},
    "jest": {"size": 16, "chunks": 4},
    "learnability": {
        "size": 16,
        "chunks": 4,
        "learner_image": "caption",
        "learner_caption": "image",
        "scale": 3.0,
    },
}
PACKAGE = "curate.stages.batches"


def planner(name, **more):
    return registry.load(name, PACKAGE, Planner)(**{**SETTINGS[name], **more})


def test_settings_are_here_for_all():
    assert sorted(SETTINGS) == registry.names(PACKAGE)


@pytest.mark.parametrize("name", SETTINGS)
def test_batches_are_full_and_rows_come_as_often_as_declared(name, pool):
    made = planner(name)
    places = made.compose(pool).places
    assert places.dtype == np.int64
    assert places.shape[1] == made.size
    assert len(places)
    assert places.min() >= 0
    assert places.max() < len(pool)
    if not made.repeats:
        assert len(np.unique(places)) == places.size
    if name not in ("jest", "learnability"):
        assert len(places) == len(pool) // made.size


@pytest.mark.parametrize("name", SETTINGS)
def test_equal_inputs_give_equal_batches_and_seeds_others(name, pool):
    made = planner(name)
    first = made.compose(pool)
    again = made.compose(pool)
    assert np.array_equal(first.places, again.places)
    assert first.facts == again.facts
    other = made.compose(replace(pool, seed=99)).places
    # GCBS has nothing to draw.
    assert np.array_equal(first.places, other) == (name == "gcbs")


@pytest.mark.parametrize("name", SETTINGS)
def test_a_pool_smaller_than_a_batch_makes_none(name, make_pool):
    settings = {} if name == "pk" else {"size": 640}
    if name in ("b3", "grit"):
        settings |= {"group": 32} if name == "b3" else {"window": 640}
    pool = make_pool(count=100, k=40)
    if name == "pk":
        pool = replace(pool, columns={"label": pool.anchors % 60})
        settings = {"size": 240}
    assert len(planner(name, **settings).compose(pool).places) == 0
