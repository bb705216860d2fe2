"""Batches of a whole run: planned, published, verified, walked."""

import json

import duckdb
import numpy as np
import pytest
from runs import curate, published, vector_config, vector_corpus

BATCHES = [
    {"planner": "random", "size": 32},
    {"planner": "b3", "size": 32, "group": 8, "skip": 4, "window": 20, "negatives": 3},
    {"planner": "gcbs", "size": 32, "depth": 24},
    {"planner": "kmeans", "size": 32, "by": "attr_camera"},
    {"planner": "batchsampler", "size": 32, "candidates": 80, "edges": 8, "overlap": True},
    {"planner": "pk", "size": 24, "samples": 4},
    {"planner": "jest", "size": 16, "chunks": 4},
    {"planner": "grit", "size": 16, "window": 64},
    {"planner": "random", "size": 16, "block": 100, "block_by": "permuted"},
    {"planner": "pk", "size": 8, "samples": 4, "by": "attr_camera", "block": 200},
    {"planner": "random", "size": 10, "split": "test"},
]


def configured(corpus, path, batches=BATCHES, **changes):
    files = {name: str(corpus / f"{name}.npy") for name in ("image", "caption")}
    spaces = {n: {"of": n, "encoder": "array", "path": file} for n, file in files.items()}
    graph = {"image>image": {"k": 24}}
    return vector_config(corpus, path, spaces=spaces, neighbors=graph, batches=batches, **changes)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("plans")
    corpus = vector_corpus(folder / "corpus")
    noise = np.random.default_rng(1).normal(size=(600, 32)) * 0.5
    np.save(corpus / "caption.npy", (np.load(corpus / "image.npy") + noise).astype(np.float32))
    out = folder / "out"
    curate("run", configured(corpus, folder / "c.yaml"), "-o", out, "--ray", "off")
    plans = json.loads((out / "manifest.json").read_text())["plans"]
    return corpus, out, {plan["name"]: plan for plan in plans}


def batches_of(made, name):
    return np.load(made[1] / made[2][name]["path"])


def test_every_planner_has_its_plan(made):
    names = [*(entry["planner"] for entry in BATCHES[:8]), "random-2", "pk-2", "random-3"]
    assert list(made[2]) == names
    for name, plan in made[2].items():
        batches = batches_of(made, name)
        assert batches.dtype == np.int64
        assert batches.shape == (plan["batches"], plan["size"])
        assert plan["sha256"]
        assert plan["fidelity"]
    assert made[2]["batchsampler"]["repeats"] is True


def test_the_verifier_is_satisfied_and_inspect_shows_them(made):
    done = curate("verify", made[1], check=False)
    assert done.returncode == 0, done.stdout
    assert "planned batches" in done.stdout
    shown = json.loads(curate("inspect", made[1], "--json").stdout)["plans"]
    assert list(shown) == list(made[2])
    assert "Plans of batches" in curate("inspect", made[1]).stdout


def test_splits_never_mix_and_nothing_is_lost_unsaid(made):
    rows = duckdb.execute(
        f"select split from '{made[1]}/pairs/*.parquet' order by pair_id"
    ).fetchnumpy()["split"]
    for name, plan in made[2].items():
        batches = batches_of(made, name)
        assert set(rows[batches.reshape(-1)]) == {plan["split"]}
        left = (rows == plan["split"]).sum() - len(np.unique(batches))
        assert left == plan["pairs_left_out"]
    assert made[2]["random-3"]["split"] == "test"


def test_blocks_partition_the_rows_and_no_batch_crosses_one(made):
    plan = made[2]["random-2"]
    batches = batches_of(made, "random-2")
    assert plan["blocks"] == -(-540 // 112)  # 100 rounded up to whole batches of 16
    assert len(np.unique(batches)) == batches.size == 540 // 16 * 16
    consecutive = batches_of(made, "pk-2")
    pairs = duckdb.execute(
        f"select pair_id from '{made[1]}/pairs/*.parquet' where split = 'train' order by pair_id"
    ).fetchnumpy()["pair_id"]
    block = np.searchsorted(pairs, consecutive) // 200
    assert (block == block[:, :1]).all()
    assert made[2]["pk-2"]["blocks"] == 3


def test_hardness_is_reported_beside_random(made):
    for name in ("gcbs", "batchsampler"):
        facts = made[2][name]["facts"]
        assert facts["hardest"] > facts["hardest_random"]
        assert 0 < facts["false_negative_rate_random"] < facts["false_negative_rate"] < 1
    x = np.load(made[0] / "image.npy").astype(np.float64)
    x = (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float16).astype(np.float64)
    anchors = duckdb.execute(
        f"select anchor_id, group_id from '{made[1]}/pairs/*.parquet' order by pair_id"
    ).fetchnumpy()
    best = []
    for rows in batches_of(made, "gcbs"):
        s = x[anchors["anchor_id"][rows]]
        s = s @ s.T
        group = anchors["group_id"][rows]
        s[group[:, None] == group] = -np.inf
        best.append(s.max(axis=1))
    if made[2]["gcbs"]["batches"] <= 16:
        assert made[2]["gcbs"]["facts"]["hardest"] == pytest.approx(np.concatenate(best).mean())


def test_a_second_run_and_a_changed_size_reuse_the_rest(made, tmp_path):
    corpus, out, _ = made
    again = tmp_path / "again"
    path = configured(corpus, tmp_path / "c.yaml")
    curate("run", path, "-o", again, "--ray", "off")
    assert published(again) == published(out)
    curate("run", path, "-o", again, "--ray", "off", "--set", "batches.0.size=8")
    events = [json.loads(line) for line in (again / "run.jsonl").open()]
    last = {
        event["node"]: event["event"]
        for event in events
        if event["event"] in ("node_kept", "node_done")
    }
    fresh = {node for node, kind in last.items() if kind != "node_kept"}
    assert fresh == {"plan:random", "final_plan:random"}
    plans = json.loads((again / "manifest.json").read_text())["plans"]
    assert [plan["size"] for plan in plans][:2] == [8, 32]
    assert curate("verify", again, check=False).returncode == 0


def test_what_makes_no_batch_says_what_to_do(made, tmp_path):
    path = configured(made[0], tmp_path / "c.yaml", [{"planner": "random", "size": 4096}])
    done = curate("run", path, "-o", tmp_path / "out", "--ray", "off", check=False)
    assert done.returncode == 1
    assert "make not one batch of 4096. Take a smaller `size`" in done.stderr
