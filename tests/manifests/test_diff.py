"""`diff` against a comparison by keys in plain Python sets."""

import json

import numpy as np
import pandas as pd
import pytest
from runs import curate, vector_config, vector_corpus

from curate.manifests.diff import diff, render
from curate.manifests.errors import PairsetError
from curate.manifests.overlap import Overlap


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Two runs: the second has other samples, in another order, and other settings."""
    folder = tmp_path_factory.mktemp("diff")
    corpus = vector_corpus(folder / "corpus", rows=200)
    curate("run", vector_config(corpus, folder / "a.yaml"), "-o", folder / "a", "--ray", "off")
    lines = (corpus / "table.jsonl").read_text().splitlines()
    vectors = np.load(corpus / "image.npy")
    order = np.random.default_rng(0).permutation(200)[:170]
    lines = [lines[row] for row in order]
    extra = [json.dumps({"key": f"new-{i}", "label": "class-0", "split": "train", "camera": "c"})
             for i in range(15)]  # fmt: skip
    other = folder / "other"
    other.mkdir()
    (other / "table.jsonl").write_text("\n".join([*extra[:5], *lines, *extra[5:]]) + "\n")
    noise = np.random.default_rng(1).normal(size=(15, vectors.shape[1]))
    np.save(other / "image.npy", np.concatenate([noise[:5], vectors[order], noise[5:]]))
    changes = {
        "neighbors": {"image>image": {"k": 12}},
        "negatives": [
            {"miner": "hard", "space": "image>image", "ranks": [2, 12], "max_ratio": 0.95}
        ],
        "positives": [{"miner": "knn", "space": "image>image", "k": 3}],
        "output": {"negatives": 6},
    }
    curate("run", vector_config(other, folder / "b.yaml", **changes), "-o", folder / "b",
           "--ray", "off")  # fmt: skip
    return folder / "a", folder / "b"


@pytest.fixture(scope="module")
def facts(runs):
    return diff(*runs)


class Run:
    """Everything of a run by key, in Python."""

    def __init__(self, root):
        self.keys = pd.read_parquet(root / "samples")["key"].tolist()
        self.pairs = pd.read_parquet(root / "pairs").to_dict("records")
        self.graph = pd.read_parquet(root / "neighbors" / "image_to_image").to_dict("records")
        self.edges = pd.read_parquet(root / "edges")
        self.kinds = json.loads((root / "manifest.json").read_text())["kinds"]

    def lists(self, column):
        return {
            self.keys[row["anchor_id"]]: [self.keys[i] for i in row[column] if i >= 0]
            for row in self.pairs
        }

    def places(self, role):
        return {
            (self.keys[row["anchor_id"]], self.keys[other], self.kinds[kind])
            for row in self.pairs
            for other, kind in zip(row[f"{role}_ids"], row[f"{role}_kinds"], strict=True)
            if other >= 0
        }


def overlap(left, right, k):
    shares, first, equal = [], [], []
    for key in left.keys() & right.keys():
        a, b = left[key][:k], right[key][:k]
        if a or b:
            shares.append(len(set(a) & set(b)) / max(len(a), len(b)))
            first.append(bool(a) and bool(b) and a[0] == b[0])
            equal.append(a == b)
    return len(shares), np.mean(first), np.mean(shares), np.mean(equal)


@pytest.mark.parametrize(
    ("name", "column", "k"),
    [
        ("positives", "positive_ids", 3),
        ("negatives", "negative_ids", 4),
        ("false_negatives", "false_negative_ids", 8),
    ],
)
def test_overlaps_are_those_of_sets_of_keys(runs, facts, name, column, k):
    left, right = (Run(root).lists(column) for root in runs)
    found = facts["pairs"][name]
    assert found["k"] == k
    want = overlap(left, right, k)
    assert found["anchors"] == want[0]
    keys = ("overlap_at_1", "overlap_at_k", "equal_lists")
    assert [found[key] for key in keys] == pytest.approx(want[1:], abs=1e-6)
    assert 0 < found["overlap_at_k"] < 1
    assert facts["pairs"]["anchors"] == len(left.keys() & right.keys())
    assert facts["pairs"]["only_a"] == len(left.keys() - right.keys())
    assert facts["pairs"]["only_b"] == len(right.keys() - left.keys())


def test_neighbours_and_miners(runs, facts):
    a, b = map(Run, runs)
    left, right = (
        {r.keys[row["sample_id"]]: [r.keys[i] for i in row["neighbor_ids"] if i >= 0]
         for row in r.graph}
        for r in (a, b)
    )  # fmt: skip
    found = facts["neighbors"]["image>image"]
    want = overlap(left, right, 12)
    assert found["overlap_at_k"] == pytest.approx(want[2], abs=1e-6)
    for miner, role in (("knn", "positive"), ("hard", "negative"), ("random", "negative")):
        places = [{p for p in r.places(role) if p[2] == miner} for r in (a, b)]
        told = facts["miners"][miner]
        assert told["places"] == {
            "a": len(places[0]),
            "b": len(places[1]),
            "both": len(places[0] & places[1]),
        }
        for side, run in (("a", a), ("b", b)):
            edges = run.edges[run.edges.miner == miner]
            assert told["taken"][side] == (edges.role != "refused").sum()
            assert told["refused"][side] == (edges.role == "refused").sum()
    assert facts["miners"]["label"]["taken"]["b"] == 0


def test_samples_by_key_and_config_by_dotted_key(runs, facts):
    a, b = (set(Run(root).keys) for root in runs)
    samples = facts["samples"]
    assert samples["common"] == len(a & b) == 170
    assert samples["added"] == {"count": 15, "keys": samples["added"]["keys"]}
    assert set(samples["added"]["keys"]) <= b - a
    assert len(samples["added"]["keys"]) == 10
    assert samples["removed"]["count"] == 30
    assert set(diff(*runs, keys=30)["samples"]["removed"]["keys"]) == a - b
    config = facts["config"]
    assert config["changed"]["neighbors.image>image.k"] == [16, 12]
    assert config["changed"]["negatives[0].ranks"] == [[3, 16], [2, 12]]
    assert config["only_a"]["positives[1].miner"] == "label"
    assert not facts["same"]


def test_a_run_beside_itself(runs):
    found = diff(runs[0], runs[0])
    assert found["same"]
    assert found["config"] == {"changed": {}, "only_a": {}, "only_b": {}}
    assert found["samples"]["removed"] == {"count": 0, "keys": []}
    for name in ("positives", "negatives", "false_negatives"):
        assert found["pairs"][name]["overlap_at_k"] == 1
        assert found["pairs"][name]["equal_lists"] == 1
    assert "no difference" in render(found)
    assert "The two are the same" in render(found)


def test_it_is_the_same_backwards(runs, facts):
    back = diff(runs[1], runs[0])
    assert back["pairs"]["negatives"] == facts["pairs"]["negatives"]
    assert back["samples"]["added"]["count"] == facts["samples"]["removed"]["count"]


def test_lists_with_unknown_and_empty_places():
    overlap = Overlap(3)
    left = np.array([[5, -2, -1], [-1, -1, -1], [-2, 7, 8], [-1, -1, -1]])
    right = np.array([[5, -1, -1], [-1, -1, -1], [7, 1, 8], [4, -1, -1]])
    overlap.add(left, right)
    facts = overlap.facts()
    assert facts["anchors"] == 3
    assert facts["overlap_at_1"] == pytest.approx(1 / 3, abs=1e-6)
    assert facts["overlap_at_k"] == pytest.approx((1 / 2 + 2 / 3 + 0) / 3, abs=1e-6)
    assert facts["equal_lists"] == 0
    assert Overlap(3).facts()["overlap_at_k"] is None


def test_the_command(runs):
    done = curate("diff", *runs)
    assert "neighbors.image>image.k" in done.stdout
    assert "neighbours image>image" in done.stdout
    facts = json.loads(curate("diff", *runs, "--json", "--keys", 2).stdout)
    assert len(facts["samples"]["added"]["keys"]) == 2
    done = curate("diff", runs[0], runs[0].parent, check=False)
    assert done.returncode != 0
    assert "manifest.json" in done.stderr
    with pytest.raises(PairsetError):
        diff(runs[0], runs[0].parent)
