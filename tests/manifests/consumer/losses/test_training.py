"""Every kind of loss trains: it falls, and a stopped run ends as an undisturbed one."""

import importlib.util

import pytest
import torch

from curate.manifests.consumer import TrainOptions, train
from curate.manifests.consumer.checkpoint import NAME, load_checkpoint
from curate.manifests.errors import Interrupted
from curate.manifests.losses import KINDS

SMALL = {
    "moco": {"queue": 48},
    "adco": {"bank": 40},
    "nnclr": {"hidden": 64},
    "all4one": {"hidden": 64, "layers": 1},
    "dino": {"outputs": 64},
    "swav": {"prototypes": 12},
    "avid": {"negatives": 32},
    "cluster": {"column": "label", "contrast": 0.5},
}
RATES = {"dino": 5e-4}
"""Learning rates; at 2e-3 DINO's loss falls by less than its noise in so few steps."""
OF_LIGHTLY = {"barlow_twins", "vicreg", "dino", "swav"}
FILLS = {"moco": 5, "adco": 5, "dino": 10}
"""Steps after which a queue is full (a denominator that grows lets a loss rise), or DINO's centre,
which starts at 0, is near the mean."""


@pytest.fixture(params=sorted(set(KINDS) - {"soft"}))
def kind(request):
    if request.param in OF_LIGHTLY and importlib.util.find_spec("lightly") is None:
        pytest.skip("lightly is not installed")
    return request.param


def options(kind, **more):
    quick = {"batch_size": 16, "image_px": 16, "device": "cpu", "evaluate": 0, "seed": 5}
    loss = {"kind": kind, **SMALL.get(kind, {})}
    return TrainOptions(**{**quick, "log_every": 1, "loss": loss, "projection": 32, **more})


def test_a_stopped_run_ends_with_the_same_weights(tiny, tmp_path, kind):
    ended = {}
    for name in ("undisturbed", "stopped"):
        given = options(kind, steps=4, folder=tmp_path / name, save_every=2)

        def stop(event, name=name):
            if name == "stopped" and event["event"] == "step" and event["step"] == 3:
                raise KeyboardInterrupt

        try:
            train(tiny.root, given, stop)
        except Interrupted:
            train(tiny.root, given)
        body = load_checkpoint(tmp_path / name / NAME)
        ended[name] = {**body["model"], **{f"head.{k}": v for k, v in body["head"].items()}}
    assert ended["stopped"].keys() == ended["undisturbed"].keys()
    for name, value in ended["stopped"].items():
        assert torch.equal(value, ended["undisturbed"][name]), name


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_loss_falls(tiny, kind):
    given = options(kind, steps=50, batch_size=24, lr=RATES.get(kind, 2e-3), projection=64)
    result = train(tiny.root, given)
    losses = [loss for _, loss in result.losses]
    begun = FILLS.get(kind, 0)
    assert sum(losses[-8:]) < sum(losses[begun : begun + 8])
