"""Packed pairs in Megatron-Energon, where it is installed (extra `peers`)."""

import subprocess
import sys

import pytest
from tiny_pairset import write_tiny_pairset

from curate.manifests.export import export

energon = pytest.importorskip("megatron.energon", reason="extra `peers`")


@energon.stateless
def as_it_is(sample):
    return sample


class Raw(energon.DefaultTaskEncoder):
    """Hand each sample on as it is."""

    cookers = (energon.Cooker(as_it_is),)


@pytest.mark.filterwarnings("ignore")
def test_energon_prepares_and_loads_every_pair(tmp_path):
    tiny = write_tiny_pairset(tmp_path / "in", samples=90, tars=2)
    out = tmp_path / "packed"
    export(tiny.root, "webdataset", out, {"pairs_per_shard": 30})
    command = [sys.executable, "-m", "megatron.energon.cli.main", "prepare", str(out)]
    command += ["--non-interactive", "--split-ratio", "1,0,0", "--sample-type", "CrudeWebdataset"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    data = energon.get_train_dataset(
        str(out), batch_size=None, shuffle_buffer_size=None, max_samples_per_sequence=None,
        worker_config=energon.WorkerConfig(rank=0, world_size=1, num_workers=0),
        task_encoder=Raw(), repeat=False,
    )  # fmt: skip
    seen = {row["__key__"].rsplit("/", 1)[-1]: row for row in energon.get_loader(data)}
    assert sorted(seen) == [f"{i:012d}" for i in range(90)]
    assert {"jpg", "json", "neg0.jpg", "pos0.jpg", "txt"} <= set(seen["000000000007"])
