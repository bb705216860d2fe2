"""The rules of views, second banks, hard pairs and matching: sound as run, named when broken."""

import json
from itertools import permutations

import numpy as np
import pytest
from broken import checks_of_broken_edge
from runs import curate, vector_config, vector_corpus

from curate.manifests.explain import explain
from curate.manifests.verify import render, verify

NOISE = {"caption": 0.6, "image-view1": 0.5, "image-view2": 0.8}


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("variants")
    corpus = vector_corpus(folder / "corpus", rows=300)
    _write_captions(corpus / "table.jsonl")
    vectors, rng = np.load(corpus / "image.npy"), np.random.default_rng(5)
    for name, share in NOISE.items():
        noise = rng.normal(size=vectors.shape) * share
        np.save(corpus / f"{name}.npy", (vectors + noise).astype(np.float32))
    spaces = {
        name: {
            "of": "caption" if name == "caption" else "image",
            "encoder": "array",
            "path": str(corpus / f"{name}.npy"),
        }
        for name in ("image", *NOISE)
    }
    config = vector_config(
        corpus,
        folder / "config.yaml",
        spaces=spaces,
        neighbors={"image>image": {"k": 24}},
        positives=[
            {"miner": "self_aug"},
            {"miner": "knn", "space": "caption>caption", "k": 2, "templates": 20},
            {"miner": "second_bank", "second": "image-view1>image-view1", "k": 2, "k2": 6},
        ],
        false_negatives=[
            {"miner": "topk_threshold", "k": 6, "views": 2},
            {
                **{"miner": "topk_threshold", "k": 6, "views": 1, "aggregate": "mean"},
                **{"threshold": 0.75, "action": "review"},
            },
        ],
        negatives=[
            {"miner": "itm", "space": "image>caption", "ranks": [1, 20], "count": 2},
            {"miner": "helip", "pool": 90, "count": 3},
        ],
        output={"negatives": 6, "positives": 4},
    )
    curate("run", config, "-o", folder / "out", "--ray", "off")
    return folder / "out"


def _write_captions(path):
    """Give two of three samples a caption of their own, the others one of a template."""
    words = permutations(["a", "lake", "horse", "tree", "the", "town"])
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    for at, (row, own) in enumerate(zip(rows, words, strict=False)):
        row["captions"] = [" ".join(own) if at % 3 else f"Photo by author{at}"]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def test_a_run_of_all_is_sound(whole):
    result = verify(whole)
    assert result.ok, render(result)
    assert result.checked["pools of hard pairs"] > 0
    manifest = json.loads((whole / "manifest.json").read_text())
    assert set(manifest["thresholds"]) == {"image>image+max2"}
    assert {"image-view1>image", "image-view2>image"} <= set(manifest["neighbors"])


def test_every_edge_is_explained(whole):
    for key in ("item-0001", "item-0042", "item-0250"):
        facts = explain(whole, key)
        assert {"second_bank", "topk_threshold", "itm", "helip", "knn"} <= {
            edge["miner"] for edge in facts["edges"]
        }
        for edge in facts["edges"]:
            assert edge["why"], edge
            assert "None" not in edge["why"], edge


BREAKS = [
    # (miner, role or reason of the edge, change, check)
    ("topk_threshold", "false_negative", {"corrected_similarity": 0.999}, "score"),
    ("topk_threshold", "false_negative", {"corrected_similarity": 0.01}, "threshold"),
    ("topk_threshold", "threshold", {"corrected_similarity": 0.99}, "refusal"),
    ("topk_threshold", "threshold", {"other_id": 299}, "score"),
    ("topk_threshold-2", "threshold", {"reason": "", "role": "false_negative"}, "threshold"),
    ("second_bank", "positive", {"reason": "not_chosen", "role": "refused"}, "refusal"),
    ("second_bank", "not_chosen", {"reason": "", "role": "positive"}, "count"),
    ("second_bank", "not_chosen", {"other_id": 299}, "second-bank"),
    ("knn", "template", {"reason": "", "role": "positive"}, "template"),
    ("knn", "positive", {"reason": "template", "role": "refused"}, "refusal"),
    ("itm", "negative", {"reason": "not_drawn", "role": "refused"}, "draw"),
    ("itm", "rank", {"reason": "", "role": "negative"}, "rank-window"),
    ("helip", "negative", {"corrected_similarity": 0.001}, "agreement"),
    ("helip", "negative", {"other_id": 298, "corrected_similarity": 0.0}, "agreement"),
]


@pytest.mark.parametrize(("miner", "which", "change", "check"), BREAKS)
def test_a_broken_edge_is_named(whole, tmp_path, miner, which, change, check):
    found, said = checks_of_broken_edge(whole, tmp_path / "out", miner, which, change)
    assert check in found, said
