import shutil

import numpy as np
import pytest
import torch
from tiny_pairset import add_plan, edit, edit_manifest, write_tiny_pairset

torch.set_num_threads(1)


@pytest.fixture(scope="session")
def tiny(tmp_path_factory):
    """200 samples in two tars, tables in two files each; never changed by a test."""
    root = tmp_path_factory.mktemp("tiny") / "out"
    return write_tiny_pairset(root, samples=200, files=2, tars=2, image_size=16)


@pytest.fixture(scope="session")
def clustered(tiny, tmp_path_factory):
    """The same with seven clusters of unequal size, a few pairs in none, and a plan "b3".

    Returns:
        root, cluster of each pair, planned batches [6, 24] of pair_ids of split "train".
    """
    root = tmp_path_factory.mktemp("clustered") / "out"
    shutil.copytree(tiny.root, root)
    clusters = np.minimum(np.random.default_rng(2).geometric(0.3, 200) - 1, 6)
    clusters[::50] = -1
    for file in range(2):
        with edit(root, "pairs", file) as rows:
            for row in rows:
                row["cluster_id"] = int(clusters[row["pair_id"]])
    with edit_manifest(root) as manifest:
        manifest["cluster_id"] = {"clusters": "seven", "level": 0}
    train = [row for row, split in enumerate(tiny.splits) if split == "train"]
    batches = np.random.default_rng(5).permutation(train)[: 6 * 24].reshape(6, 24)
    add_plan(root, batches, "b3")
    return root, clusters, batches


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
