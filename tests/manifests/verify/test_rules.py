"""The rules of miners: a run of all of them is sound, and each broken edge is named."""

import numpy as np
import pytest
from broken import checks_of_broken_edge
from runs import curate, vector_config, vector_corpus

from curate.manifests.explain import explain
from curate.manifests.verify import render, verify


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("rules")
    corpus = vector_corpus(folder / "corpus", rows=400)
    vectors = np.load(corpus / "image.npy")
    noise = np.random.default_rng(5).normal(size=vectors.shape) * 0.6
    np.save(corpus / "caption.npy", (vectors + noise).astype(np.float32))
    spaces = {
        name: {"of": name, "encoder": "array", "path": str(corpus / f"{name}.npy")}
        for name in ("image", "caption")
    }
    config = vector_config(
        corpus,
        folder / "config.yaml",
        spaces=spaces,
        neighbors={"image>image": {"k": 24}, "caption>caption": {"k": 20}},
        positives=[
            {"miner": "knn", "k": 3, "mutual": True, "hub_cap": 3, "max_similarity": 0.95},
            {"miner": "k_reciprocal", "count": 2, "max_distance": 0.5},
            {"miner": "consensus", "k": 6, "votes": 2, "count": 12},
            {"miner": "consensus", "normalise": "z", "agree": "max", "count": 2},
            {"miner": "label", "count": 1},
        ],
        false_negatives=[
            {"miner": "guide", "k": 12, "margin": 0.05},
            {"miner": "zones", "low": 0.45, "high": 0.75, "between": "soften"},
            {"miner": "k_reciprocal", "k": 8},
            {"miner": "label", "k": 14, "action": "review"},
        ],
        negatives=[
            {"miner": "simans", "ranks": [14, 24]},
            {"miner": "quantile", "ranks": [2, 24]},
            {"miner": "unremix", "ranks": [2, 24]},
            {"miner": "bcl"},
        ],
        output={"negatives": 16, "positives": 8},
    )
    curate("run", config, "-o", folder / "out", "--ray", "off")
    return folder / "out"


def test_a_run_of_all_miners_is_sound(whole):
    result = verify(whole)
    assert result.ok, render(result)
    assert result.checked["re-ranked pairs"] > 0


def test_every_edge_is_explained(whole):
    for key in ("item-0001", "item-0042", "item-0300"):
        facts = explain(whole, key)
        miners = {edge["miner"] for edge in facts["edges"]}
        assert {"consensus", "guide", "simans", "bcl", "k_reciprocal"} <= miners
        for edge in facts["edges"]:
            assert edge["why"], edge
            assert "None" not in edge["why"], edge


BREAKS = [
    # (miner, role or reason of the edge, change, check)
    ("knn", "positive", {"similarity": 0.97}, "max-similarity"),
    ("knn", "hub_cap", {"reason": "", "role": "positive"}, "hub-cap"),
    ("knn", "mutuality", {"reason": "", "role": "positive"}, "mutual"),
    ("k_reciprocal", "positive", {"corrected_similarity": 0.4}, "distance"),
    ("k_reciprocal-2", "distance", {"corrected_similarity": 0.9}, "refusal"),
    ("consensus", "positive", {"corrected_similarity": 0.3}, "agreement"),
    ("consensus", "agreement", {"reason": "", "role": "positive"}, "agreement"),
    ("consensus-2", "positive", {"corrected_similarity": 3.9}, "agreement"),
    ("guide", "below_positive", {"similarity": 0.99}, "refusal"),
    ("zones", "threshold", {"similarity": 0.6}, "refusal"),
    ("zones", "false_negative", {"similarity": 0.1}, "threshold"),
    ("label-2", "other_label", {"reason": "", "role": "false_negative"}, "label"),
    ("simans", "negative", {"reason": "not_drawn", "role": "refused"}, "draw"),
    ("simans", "rank", {"reason": "", "role": "negative"}, "rank-window"),
    ("quantile", "negative", {"valid_from": 0.99}, "valid-from"),
    ("quantile", "not_chosen", {"reason": "", "role": "negative"}, "quantile"),
    ("unremix", "negative", {"weight": 3.0}, "weight"),
    ("unremix", "negative", {"reason": "not_chosen", "role": "refused"}, "importance"),
    ("bcl", "negative", {"weight": 3.0}, "weight"),
]


@pytest.mark.parametrize(("miner", "which", "change", "check"), BREAKS)
def test_a_broken_edge_is_named(whole, tmp_path, miner, which, change, check):
    found, said = checks_of_broken_edge(whole, tmp_path / "out", miner, which, change)
    assert check in found, said
