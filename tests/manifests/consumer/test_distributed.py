"""Two processes that share each batch are one process with the whole batch, whatever the loss."""

import importlib.util

import pytest
import torch
from consumer_steps import in_two_processes, steps

from curate.manifests import PairStream
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


MORE = {
    "supcon": {"loss": {"pos_in_denom": "all", "t": 0.2}},
    "debiased, hard": {"loss": {"tau_plus": 0.1, "beta": 1.0}},
    "without masks": {"mask": False},
    "without hard negatives": {"hard_negatives": False},
    "batch norms": {"encoder": "resnet18", "batch_size": 8},
    "chunks": {"chunk": 5},
}
NAMES = [
    *sorted(set(KINDS) - {"soft"}),
    *MORE,
    *("towers of open_clip", "one has nothing", "one has nothing, batch norms"),
]


@pytest.fixture(scope="module")
def cases(tiny, small_clip):
    found = {kind: {"loss": {"kind": kind, **SMALL.get(kind, {})}} for kind in KINDS}
    del found["soft"]
    if importlib.util.find_spec("lightly") is None:
        found = {kind: options for kind, options in found.items() if kind not in OF_LIGHTLY}
    towers = {"encoder": f"open_clip:local-dir:{small_clip[0]}", "loss": {"kind": "clip"}}
    found |= MORE | {"towers of open_clip": {**towers, "image_px": 32}}
    root, pairs = str(tiny.root), PairStream(tiny.root, 2).pairs
    given = {name: {"root": root, "options": QUICK | own} for name, own in found.items()}
    # The last batch is at most half full: the second process holds no image.
    size = next(size for size in range(12, 40, 2) if 2 <= pairs % size <= size // 2)
    for name in ("one has nothing", "one has nothing, batch norms"):
        own = {"encoder": "resnet18"} if "norms" in name else {}
        given[name] = {"root": root, "options": {**QUICK, "batch_size": size, **own}, "last": True}
    return given


@pytest.fixture(scope="module")
def both(cases, tmp_path_factory):
    return in_two_processes(cases, tmp_path_factory.mktemp("two"))


def close(left, right, tolerance):
    assert left.keys() == right.keys()
    for name, value in left.items():
        scale = max(float(right[name].abs().max()), 1e-3)
        assert float((value - right[name]).abs().max()) <= tolerance * scale, name


@pytest.mark.parametrize("name", NAMES)
def test_two_processes_are_one(cases, both, name):
    if name not in cases:
        pytest.skip("lightly is not installed")
    first, second = (found[name] for found in both)
    alone = steps(**cases[name], ranks=None)
    assert first["losses"] == pytest.approx(alone["losses"], rel=2e-4, abs=1e-5)
    close(first["grads"], alone["grads"], 2e-3)
    assert first["losses"] == second["losses"]
    for tensor, value in first["state"].items():
        assert torch.equal(value, second["state"][tensor]), tensor
