"""The stream in the loaders and trainers of others: torch, torchdata, DDP, Accelerate, Lightning.

One job of two processes runs the three that are distributed (tests/support/ddp_job.py).
"""

import copy
import json
import subprocess
import sys

import pytest
import torch
from tiny_pairset import write_tiny_pairset
from torch.utils.data import DataLoader

from curate.manifests import ImageTransform, PairStream, StateMismatch, StreamError

pytest.importorskip("lightning")
pytest.importorskip("accelerate")
torchdata = pytest.importorskip("torchdata.stateful_dataloader")
ddp_job = pytest.importorskip("ddp_job")

pytestmark = pytest.mark.filterwarnings("ignore")
G = 24


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    tiny = tmp_path_factory.mktemp("trainers") / "out"
    return write_tiny_pairset(tiny, samples=200, image_size=16).root


def stream_of(root, **settings):
    return PairStream(root, G, seed=3, transform=ImageTransform(4), **settings)


def pairs(batches):
    return [batch.pair_id.tolist() for batch in batches]


@pytest.fixture(scope="module")
def expected(root):
    """Pair ids of the global batches of two epochs."""
    stream, out = stream_of(root), []
    for epoch in range(2):
        stream.set_epoch(epoch)
        out.append(pairs(stream))
    return out


@pytest.mark.parametrize("workers", [0, 2])
def test_dataloader(root, expected, workers):
    stream = stream_of(root)
    loader = DataLoader(
        stream, batch_size=None, num_workers=workers, persistent_workers=workers > 0
    )
    for epoch in range(2):
        stream.set_epoch(epoch)
        assert pairs(loader) == expected[epoch]
    again = stream_of(root)
    again.load_state_dict(stream.state_at(0, 3))
    loader = DataLoader(again, batch_size=None, num_workers=workers)
    assert pairs(loader) == expected[0][3:]


@pytest.mark.parametrize("workers", [0, 2])
def test_stateful_dataloader_keeps_the_state_twice_and_over_the_epoch(root, expected, workers):
    def loader_of(stream):
        return torchdata.StatefulDataLoader(stream, batch_size=None, num_workers=workers)

    states, got = [], []
    for _ in range(2):
        stream = stream_of(root)
        loader = loader_of(stream)
        if states:
            loader.load_state_dict(json.loads(json.dumps(states[-1])))
        for batch in loader:
            got.append(batch.pair_id.tolist())
            if len(got) in (3, 5):
                states.append(copy.deepcopy(loader.state_dict()))
                break
    stream = stream_of(root)
    loader = loader_of(stream)
    loader.load_state_dict(states[-1])
    got += pairs(loader)
    at_the_end = loader.state_dict()
    stream.set_epoch(1)
    assert pairs(loader) == expected[1]
    assert got == expected[0]
    stream = stream_of(root)
    loader = loader_of(stream)
    loader.load_state_dict(at_the_end)
    stream.set_epoch(1)
    assert pairs(loader) == expected[1]


def test_a_share_is_refused_by_another_stream_and_another_number_of_workers(root):
    share = iter(stream_of(root))
    next(share)
    state = share.state_dict()
    other = iter(PairStream(root, G, seed=4, transform=ImageTransform(4)))
    with pytest.raises(StateMismatch, match="seed: 3 in the state, 4 here"):
        other.load_state_dict(state)
    with pytest.raises(StateMismatch, match="one of 2 workers, 1 are here"):
        iter(stream_of(root)).load_state_dict({**state, "step": 2})


def test_a_loader_of_accelerate_is_refused_with_one_process_too(root):
    from accelerate import Accelerator

    prepared = Accelerator(cpu=True).prepare(DataLoader(stream_of(root), batch_size=None))
    with pytest.raises(StreamError, match=r"prepare\(\) the loader stream\.loader"):
        next(iter(prepared))


def test_lightning_goes_on_from_its_own_checkpoint(root, expected, tmp_path):
    import lightning

    quiet = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False}

    def fit(steps, path=None):
        module = ddp_job._Line()
        trainer = lightning.Trainer(
            accelerator="cpu", max_steps=steps, enable_checkpointing=False, **quiet
        )
        trainer.fit(module, stream_of(root).loader(2), ckpt_path=path, weights_only=False)
        trainer.save_checkpoint(tmp_path / "last.ckpt")
        return module.seen

    whole = expected[0] + expected[1]
    got = fit(3) + fit(5, tmp_path / "last.ckpt")
    assert got == whole[:5]
    got += fit(len(expected[0]) + 2, tmp_path / "last.ckpt")
    assert got == whole[: len(expected[0]) + 2]


@pytest.fixture(scope="module")
def job(root, tmp_path_factory):
    out = tmp_path_factory.mktemp("job")
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    command += ["--nproc-per-node=2", ddp_job.__file__, str(root), str(out)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr[-4000:]
    return [json.loads((out / f"{rank}.json").read_text()) for rank in range(2)]


def alone(root):
    model = ddp_job.line()
    loader = stream_of(root).loader()
    return ddp_job.train(loader, model, torch.optim.SGD(model.parameters(), 0.1))


@pytest.mark.parametrize("trainer", ["by_hand", "accelerate", "lightning"])
def test_two_ranks_train_as_one_process_does(root, expected, job, trainer):
    one, ranks = alone(root), [rank[trainer] for rank in job]
    both = [a + b for a, b in zip(*(rank["seen"] for rank in ranks), strict=True)]
    assert both == expected[0][: ddp_job.STEPS] == one["seen"]
    assert ranks[0]["weights"] == ranks[1]["weights"]
    assert ranks[0]["weights"] == pytest.approx(one["weights"], rel=1e-5)
    assert ranks[0]["state"] == ranks[1]["state"] == one["state"]


def test_ranks_are_those_of_the_launcher_and_accelerate_may_not_share_out_again(job):
    assert [rank["launched"] for rank in job] == [[0, 2], [1, 2]]
    for rank in job:
        assert len(rank["accelerate"]["refused"]) == 2
        assert all("would share out again" in text for text in rank["accelerate"]["refused"])
