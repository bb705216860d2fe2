import shutil

import pytest
import torch
from tiny_pairset import write_tiny_pairset

torch.set_num_threads(1)


@pytest.fixture(scope="session")
def tiny(tmp_path_factory):
    """200 samples in two tars, tables in two files each; never changed by a test."""
    root = tmp_path_factory.mktemp("tiny") / "out"
    return write_tiny_pairset(root, samples=200, files=2, tars=2, image_size=16)


@pytest.fixture
def copy(tiny, tmp_path):
    """A pairset that a test may change."""
    root = tmp_path / "out"
    shutil.copytree(tiny.root, root)
    return root


def damage(root, sample_ids):
    """Overwrite the image bytes of some samples in the tars of a pairset."""
    import pyarrow.parquet as pq

    rows = [r for p in sorted((root / "samples").glob("*")) for r in pq.read_table(p).to_pylist()]
    for sample in sample_ids:
        row = rows[sample]
        with (root / row["shard"]).open("r+b") as file:
            file.seek(row["offset"])
            file.write(b"\0" * row["size"])


@pytest.fixture(name="damage")
def damage_fixture():
    return damage
