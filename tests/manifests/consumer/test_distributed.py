"""Two processes that share each batch are one process with the whole batch, whatever the loss."""

import importlib.util

import pytest
import torch
from consumer_steps import in_two_processes, steps

from curate.manifests.losses import KINDS

SMALL = {
    "moco": {"queue": 48},
    "adco": {"bank": 40},
    "nnclr": {"hidden": 64},
    "all4one": {"hidden": 64, "layers": 1, "dropout": 0.1},
    "dino": {"outputs": 64},
    "swav": {"prototypes": 12},
    "avid": {"negatives": 32},
    "cluster": {"column": "label", "contrast": 0.5},
}
OF_LIGHTLY = {"barlow_twins", "vicreg", "dino", "swav"}
QUICK = {"batch_size": 16, "image_px": 16, "seed": 5, "projection": 32, "steps": 4}


def cases(root):
    found = {kind: {"loss": {"kind": kind, **SMALL.get(kind, {})}} for kind in KINDS}
    del found["soft"]
    if importlib.util.find_spec("lightly") is None:
        found = {kind: options for kind, options in found.items() if kind not in OF_LIGHTLY}
    found["supcon"] = {"loss": {"pos_in_denom": "all", "t": 0.2}}
    found["debiased, hard"] = {"loss": {"tau_plus": 0.1, "beta": 1.0}}
    found["without masks"] = {"mask": False}
    found["without hard negatives"] = {"hard_negatives": False}
    found["batch norms"] = {"encoder": "resnet18", "batch_size": 8}
    return {name: {"root": str(root), "options": {**QUICK, **o}} for name, o in found.items()}


@pytest.fixture(scope="module")
def both(tiny, tmp_path_factory):
    given = cases(tiny.root)
    return given, in_two_processes(given, tmp_path_factory.mktemp("two"))


def close(left, right, tolerance):
    assert left.keys() == right.keys()
    for name, value in left.items():
        if value.is_floating_point():
            scale = max(float(right[name].abs().max()), 1e-3)
            assert float((value - right[name]).abs().max()) <= tolerance * scale, name
        else:
            assert torch.equal(value, right[name]), name


def test_two_processes_are_one(both):
    given, (first, second) = both
    for name, case in given.items():
        alone = steps(case["root"], case["options"], None)
        assert first[name]["losses"] == pytest.approx(alone["losses"], rel=2e-4, abs=1e-5), name
        close(first[name]["grads"], alone["grads"], 2e-3)
        assert first[name]["losses"] == second[name]["losses"], name
        for tensor, value in first[name]["state"].items():
            assert torch.equal(value, second[name]["state"][tensor]), (name, tensor)
