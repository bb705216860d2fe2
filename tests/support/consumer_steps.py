"""A few steps of the reference trainer, alone or as one of two processes; what came of them.

RANK=0 WORLD_SIZE=2 LOCAL_RANK=0 MASTER_ADDR=... python consumer_steps.py CASES.json OUT_DIR
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from curate.manifests.consumer import TrainOptions
from curate.manifests.consumer.distributed import joined_ranks
from curate.manifests.consumer.fetch import fetched
from curate.manifests.consumer.train import _Run
from curate.manifests.stream.batch import MixBatch

STEPS = 2


def steps(root, options, ranks, last=False, mixed=False):
    """Return losses, the first step's gradients, and weights and buffers after the last.

    With a folder among the options a checkpoint of that place is left in it.

    Args:
        last: begin with the last batch of the epoch, filled up with pairs that are not valid.
        mixed: give each pair recipes of synthetic negatives.
    """
    options = TrainOptions(**{"evaluate": 0, "device": "cpu", **options})
    run = _Run(root, options, lambda event: None, torch.device("cpu"), ranks)
    if last:
        stream = run.loader.stream
        stream.drop_last = False
        run.loader.load_state_dict(stream.state_at(0, len(stream) - 1))
    losses, grads = [], {}
    named = {"model": run.model, "head": run.head}
    for item, _ in zip(fetched(run.loader, run.device, ranks), range(STEPS), strict=False):
        if mixed:
            item = replace(item, batch=replace(item.batch, mixes=recipes(item.batch)))
        loss = run._update(item)
        losses.append(None if loss is None else float(loss))
        if not grads:
            grads = {
                f"{part}.{name}": weight.grad.clone()
                for part, module in named.items()
                for name, weight in module.named_parameters()
                if weight.grad is not None
            }
        run.step, run.state = run.step + 1, item.state
    run._save()
    state = {
        f"{part}.{name}": value.clone()
        for part, module in named.items()
        for name, value in module.state_dict().items()
    }
    return {"losses": losses, "grads": grads, "state": state}


def recipes(batch):
    """Two recipes a pair, of parents from anywhere in the batch: of both, and with the anchor."""
    rng, size = np.random.default_rng(0), (len(batch), 2)
    a, b = (torch.from_numpy(rng.integers(0, len(batch.sample_id), size)) for _ in "ab")
    b[:, 1] = -1
    kind, none = torch.tensor([[1, 2]]).expand(size), torch.zeros(size, dtype=torch.int64)
    return MixBatch(("mochi",), none, kind, a, b, torch.full(size, 0.3), none)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def in_two_processes(cases, folder):
    """Run cases (name -> {root, options}) in two processes; what each process saw, by name."""
    (folder / "cases.json").write_text(json.dumps(cases))
    port, children = free_port(), []
    for rank in (0, 1):
        place = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": 2, "MASTER_PORT": port}
        env = {**os.environ, "MASTER_ADDR": "127.0.0.1", "OMP_NUM_THREADS": "1"}
        env |= {name: str(value) for name, value in place.items()}
        command = [sys.executable, __file__, str(folder / "cases.json"), str(folder)]
        children.append(subprocess.Popen(command, env=env, stderr=subprocess.PIPE, text=True))
    for child in children:
        _, errors = child.communicate(timeout=200)
        assert child.returncode == 0, errors
    return [torch.load(folder / f"rank-{rank}.pt") for rank in (0, 1)]


def main():
    torch.set_num_threads(1)
    cases, folder = Path(sys.argv[1]), Path(sys.argv[2])
    with joined_ranks(torch.device("cpu")) as ranks:
        found = {
            name: steps(**case, ranks=ranks) for name, case in json.loads(cases.read_text()).items()
        }
        torch.save(found, folder / f"rank-{ranks.rank}.pt")


if __name__ == "__main__":
    main()
