"""Two processes that share each batch are one process with the whole batch, whatever the loss."""

import importlib.util
import json
import os
import subprocess
import sys

import pytest
import torch
from consumer_steps import free_port, in_two_processes, steps

from curate.manifests import PairStream
from curate.manifests.consumer import TrainOptions, train
from curate.manifests.consumer.checkpoint import NAME, load_checkpoint
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
    *("towers of open_clip", "one has nothing", "one has nothing, batch norms", "recipes"),
]


@pytest.fixture(scope="module")
def cases(tiny, small_clip, tmp_path_factory):
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
    given["recipes"] = {"root": root, "options": {**QUICK, "loss": {"t": 0.2}}, "mixed": True}
    folder = str(tmp_path_factory.mktemp("goes on"))
    given["goes on"] = {"root": root, "options": {**QUICK, "folder": folder}}
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


def test_one_process_goes_on_from_what_two_have_done(cases, both):
    root, options = cases["goes on"].values()
    found = {}
    for name, folder in (("resumed", options["folder"]), ("undisturbed", None)):
        asked = TrainOptions(
            **{**options, "folder": folder, "device": "cpu", "evaluate": 0, "log_every": 1}
        )
        found[name] = train(root, asked).losses
    assert [step for step, _ in found["resumed"]] == [3, 4]
    for one, other in zip(found["resumed"], found["undisturbed"][2:], strict=True):
        assert one == pytest.approx(other, rel=1e-3)


def torchrun(processes, *arguments):
    return subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", f"--nproc-per-node={processes}",
         f"--master-port={free_port()}", "-m", "curate.pipeline.cli", "train", *arguments],
        capture_output=True, text=True, timeout=200, check=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip


@pytest.mark.slow
def test_torchrun_trains_as_one_process_does(tiny, tmp_path):
    quick = ("--batch-size", "16", "--px", "16", "--device", "cpu", "--evaluate", "30", "--json")
    done = torchrun(2, str(tiny.root), "-d", str(tmp_path / "two"), "--steps", "4", *quick)
    said = json.loads(done.stdout)
    assert (said["world"], said["rank"]) == (2, 0)
    assert done.stderr.count("training to 4") == 1
    options = {**QUICK, "projection": 128, "steps": 4, "seed": 0, "evaluate": 30}
    options |= {"device": "cpu", "lr": 1e-3}
    alone = train(tiny.root, TrainOptions(**options, folder=tmp_path / "one"))
    assert said["losses"][-1][1] == pytest.approx(alone.losses[-1][1], rel=1e-3)
    assert said["knn_before"] == alone.knn_before
    one, two = (load_checkpoint(tmp_path / n / NAME) for n in ("one", "two"))
    assert one["stream"] == two["stream"]
