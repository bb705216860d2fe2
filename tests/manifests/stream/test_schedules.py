"""Masks that grow with progress, against the rule pair by pair on a published run."""

import json

import duckdb
import numpy as np
import pytest
import torch
from runs import curate, vector_config, vector_corpus

from curate.manifests.pairset import Pairset
from curate.manifests.stream.columns import Request, build
from curate.manifests.stream.masks import false_negative_mask
from curate.manifests.stream.schedules import accepted_groups


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    folder = tmp_path_factory.mktemp("schedules")
    corpus = vector_corpus(folder / "corpus", rows=300)
    config = vector_config(
        corpus,
        folder / "c.yaml",
        clusters={"c": {"space": "image", "k": 12}},
        positives=[{"miner": "self_aug"}],
        false_negatives=[{"miner": "ifnd", "clusters": "c", "first": 0.1, "last": 0.9}],
        negatives=[],
        output={"negatives": 0, "false_negatives": 4},
    )
    curate("run", config, "-o", folder / "out", "--ray", "off", "--no-report")
    return folder / "out"


@pytest.fixture(scope="module")
def columns(out):
    return build(Pairset.open(out), Request())


@pytest.mark.parametrize("progress", [0.0, 0.2, 0.5, 1.0])
def test_pairs_are_masked_exactly_when_both_are_accepted(out, columns, progress):
    rows = duckdb.sql(
        f"select cluster_id, accept_rank from '{out}/samples/*.parquet' order by sample_id"
    ).fetchall()
    limit = int(np.floor((0.1 + 0.8 * progress) * 300))
    ids = np.arange(300)
    groups = torch.from_numpy(accepted_groups(columns.arrays, ids, progress))
    at, none = torch.from_numpy(ids), torch.zeros(300, 0, dtype=torch.int64)
    mask = false_negative_mask(none, at, groups, at, groups).numpy()
    count = 0
    for i, (cluster, rank) in enumerate(rows):
        for j, (other, later) in enumerate(rows):
            want = i == j or (cluster == other and rank < limit and later < limit)
            assert mask[i, j] == want
            count += want
    assert count > 300


def test_exactly_the_share_is_accepted_and_the_set_only_grows(columns):
    before = np.zeros(300, bool)
    for progress in np.linspace(0, 1, 41):
        accepted = accepted_groups(columns.arrays, np.arange(300), progress)[:, 0] >= 0
        assert accepted.sum() == int(np.floor((0.1 + (0.9 - 0.1) * progress) * 300))
        assert (accepted | ~before).all()
        before = accepted


def test_a_pairset_without_schedules_has_no_such_groups(columns):
    arrays = {name: a for name, a in columns.arrays.items() if not name.startswith("schedule")}
    assert accepted_groups(arrays, np.arange(5), 1.0).shape == (5, 0)


def test_the_manifest_names_the_columns(out):
    (entry,) = json.loads((out / "manifest.json").read_text())["mask_schedules"]
    assert (entry["from"], entry["to"], entry["ranked"]) == (0.1, 0.9, 300)
