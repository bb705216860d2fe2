"""The benchmark of outcome on a few rendered pictures: it runs, goes on, and counts right."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_pairset import write_tiny_pairset

from curate.manifests.consumer import Augmentation, StepSettings

SCRIPTS = Path(__file__).parents[2] / "benchmarks" / "outcome"
NAMES = ("arms", "captions", "corpora", "features", "frozen", "heads", "resnet18", "results")


@pytest.fixture
def load(monkeypatch):
    """Import a script as it would import its neighbours."""
    monkeypatch.syspath_prepend(str(SCRIPTS))
    yield __import__
    for name in NAMES:
        sys.modules.pop(name, None)


def test_an_interval_is_students(load):
    mean, half = load("results").interval([1.0, 2.0, 6.0])
    # t(0.975, 2) = 4.30265 by any table; the deviation of 1, 2, 6 is sqrt(7).
    assert (mean, half) == pytest.approx((3.0, 4.30265 * np.sqrt(7 / 3)), rel=1e-5)
    assert np.isnan(load("results").interval([1.0])[1])


def test_a_gain_is_taken_seed_by_seed(load):
    # The two arms swing by 10 together; one is 1 above the other but for a rest of 0.1.
    control = {0: 50.0, 1: 60.0, 2: 70.0, 9: 0.0}
    gain, half = load("results").difference({2: 71.1, 0: 51.0, 1: 60.9}, control)
    assert gain == pytest.approx(1.0)
    assert half == pytest.approx(4.30265 * 0.1 / np.sqrt(3), rel=1e-4)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    root = tmp_path_factory.mktemp("tiny") / "out"
    return write_tiny_pairset(root, samples=80, image_size=16)


def test_views_are_of_the_right_sample_and_of_two_kinds(load, tiny):
    heads, features = load("heads"), load("features")
    views = torch.arange(4.0)[:, None, None] + torch.zeros(4, 80, 1)
    ids = torch.arange(80.0)[None, :, None] + torch.zeros(4, 80, 1)
    labels = torch.arange(80)
    bank = features.Bank(ids[0], torch.cat([views, ids], 2), labels, labels, labels[:0])
    stream = heads.IdStream(tiny.root, 16)
    seen = {0: set(), 1: set()}
    for epoch in range(3):
        for batch in stream:
            settings = StepSettings(Augmentation())
            step = heads.FeatureStep(batch, settings, epoch, bank=bank)
            for first, shown in ((0, step.anchors()), (1, step.positives()), (1, step.negatives())):
                assert shown.images[:, 1].tolist() == shown.ids.tolist()
                seen[first] |= set(shown.images[:, 0].tolist())
            anchors = batch.sample_id[batch.anchor[step.rows]]
            assert step.anchors().ids.tolist() == anchors.tolist()
    assert seen == {0: {0.0, 2.0}, 1: {1.0, 3.0}}


def test_a_linear_probe_is_a_least_squares_fit(load):
    heads, features = load("heads"), load("features")
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, 300)
    rows = np.eye(3, 5)[labels] * 2 + rng.normal(size=(300, 5))
    split = torch.arange(200), torch.arange(200, 300)
    bank = features.Bank(torch.zeros(300, 1), torch.zeros(0, 300, 1), torch.tensor(labels), *split)
    found = heads.linear_accuracy(bank, torch.tensor(rows, dtype=torch.float32))
    left = np.c_[rows, np.ones(300)]
    weights = np.linalg.lstsq(left[:200], np.eye(3)[labels[:200]], rcond=None)[0]
    # The probe's penalty is small: it may differ from plain least squares in a few rows of 100.
    assert found == pytest.approx(
        ((left[200:] @ weights).argmax(1) == labels[200:]).mean(), abs=0.03
    )
    assert found > 0.6


ARMS = ("augmentation", "labels", "augmentation, t = 0.2", "mochi")


def run(load, monkeypatch, work, seeds):
    sizes = {"train": 60, "test": 40, "views": 2, "steps": 3, "batch": 16, "seeds": seeds}
    words = [word for name, value in sizes.items() for word in (f"--{name}", str(value))]
    words += ["--corpus", "sample", "--work", str(work), "--arms", *ARMS]
    monkeypatch.setattr(sys, "argv", ["frozen.py", *words])
    load("frozen").main()
    return load("results").Results(work / "results.jsonl").lines


def test_the_frozen_form_goes_on_and_repeats(load, monkeypatch, tmp_path, capsys):
    first = run(load, monkeypatch, tmp_path, 1)
    assert [line["key"]["arm"] for line in first] == list(ARMS)
    labels = next(line for line in first if line["key"]["arm"] == "labels")
    assert labels["pairs"]["positives"] == 1.0
    assert all(0 <= line["knn"] <= 1 for line in first)

    # A line that was cut off is made anew, bit for bit; whole ones are left alone.
    path = tmp_path / "results.jsonl"
    kept = path.read_text().splitlines()
    path.write_text("\n".join([*kept[:-1], kept[-1][:20]]))
    again = run(load, monkeypatch, tmp_path, 2)
    assert sorted((line["key"]["arm"], line["key"]["seed"]) for line in again) == sorted(
        (arm, seed) for arm in ARMS for seed in (0, 1)
    )
    mochi = next(line for line in again if line["key"] == first[-1]["key"])
    assert (mochi["knn"], mochi["linear"]) == (first[-1]["knn"], first[-1]["linear"])
    assert "| MoCHi |" in capsys.readouterr().out
