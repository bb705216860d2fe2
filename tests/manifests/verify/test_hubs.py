"""A run with corrected graphs is sound; verify sees what is changed in means, order and edges."""

import json
import shutil

import numpy as np
import pyarrow.parquet as pq
import pytest
from runs import curate, published, vector_config, vector_corpus
from tiny_pairset import edit, edit_manifest

from curate.manifests.inspect import inspect, render
from curate.manifests.verify import render as render_findings
from curate.manifests.verify import verify

GRAPHS = {
    "image>image": {"k": 16, "correct": "nnn", "correct_k": 20, "correct_alpha": 0.5},
    "image>words": {"k": 12, "correct": "csls"},
    "words>words": {"k": 12},
}


def write_config(folder, **changes):
    corpus = vector_corpus(folder / "corpus", rows=400)
    rng = np.random.default_rng(1)
    images = np.load(corpus / "image.npy")
    words = images + rng.normal(size=images.shape) + 2 * rng.normal(size=images.shape[1])
    np.save(corpus / "words.npy", words.astype(np.float32))
    spaces = {
        name: {"of": of, "encoder": "array", "path": str(corpus / f"{name}.npy")}
        for name, of in (("image", "image"), ("words", "text"))
    }
    negatives = [
        {"miner": "hard", "space": "image>image", "ranks": [3, 16], "max_ratio": 0.95},
        {"miner": "hard", "space": "image>words", "ranks": [0, 12], "count": 2},
    ]
    settings = {"spaces": spaces, "neighbors": GRAPHS, "negatives": negatives, **changes}
    return vector_config(corpus, folder / "c.yaml", **settings)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("hubs")
    curate("run", write_config(folder), "-o", folder / "out", "--ray", "off")
    return folder / "out"


@pytest.fixture
def copy(run, tmp_path):
    return shutil.copytree(run, tmp_path / "out", ignore=shutil.ignore_patterns(".store"))


def checks(root):
    return {(finding.check, finding.table) for finding in verify(root).findings}


def test_a_corrected_run_is_sound_and_says_what_it_did(run):
    result = verify(run)
    assert result.ok, render_findings(result)
    assert result.checked["hub means"] == 3 * 128
    assert result.checked["corrected similarities"] > 1000
    told = json.loads((run / "manifest.json").read_text())["neighbors"]
    assert told["image>words"]["correction"]["miners"] == ["hard-2"]
    assert set(told["image>image"]["correction"]["miners"]) == {"knn", "topk_threshold", "hard"}
    assert told["image>image"]["correction"]["k"] == 20
    assert told["image>words"]["correction"]["split"] == "train"
    assert "correction" not in told["words>words"]
    facts = inspect(run)["neighbors"]["image>words"]
    assert facts["correct"] == "csls"
    assert facts["skewness_after"] < facts["skewness_before"]
    assert "skewness_after" in render(inspect(run))
    assert "corrected for hubs by csls" in (run / "report.html").read_text()


def test_edges_say_the_corrected_similarity(run):
    edges = pq.read_table(run / "edges").to_pandas()
    means = pq.read_table(run / "neighbors" / "image_to_words").to_pandas()
    rows = edges[edges.miner == "hard-2"]
    want = 2 * rows.similarity - means.query_mean.to_numpy()[rows.anchor_id]
    want -= means.bank_mean.to_numpy()[rows.other_id]
    np.testing.assert_allclose(rows.corrected_similarity, want, atol=1e-5)
    assert edges[edges.miner.isin(["label", "random"])].corrected_similarity.isna().all()
    plain = pq.read_table(run / "neighbors" / "words_to_words").to_pandas()
    assert plain.bank_mean.isna().all()


def test_groups_are_found_by_cosines(run):
    """Rows 3 and 7 of the corpus are one vector; a correction must not hide that."""
    groups = pq.read_table(run / "samples", columns=["group_id"])["group_id"].to_pylist()
    assert groups[7] == groups[3] == 3


def test_the_same_bytes_again(run, tmp_path):
    curate("run", write_config(tmp_path), "-o", tmp_path / "out", "--ray", "off")
    left, right = published(run), published(tmp_path / "out")
    same = {name for name in left if name.startswith(("neighbors/", "edges/", "pairs/"))}
    assert same
    assert {name: left[name] for name in same} == {name: right[name] for name in same}


def test_a_wrong_mean_is_seen(copy):
    with edit(copy, "neighbors/image>words") as rows:
        for row in rows:
            row["query_mean"] += 0.01
    assert ("hub-mean", "neighbors/image>words") in checks(copy)


def test_a_mean_in_a_plain_graph_is_seen(copy):
    with edit(copy, "neighbors/words>words") as rows:
        rows[5]["bank_mean"] = 0.5
    assert ("hub-mean", "neighbors/words>words") in checks(copy)


def test_an_order_by_cosines_is_seen(copy):
    with edit(copy, "neighbors/image>words") as rows:
        for row in rows:
            pairs = zip(row["similarities"], row["neighbor_ids"], strict=True)
            ranked = sorted((-similarity, other) for similarity, other in pairs)
            row["similarities"] = [-similarity for similarity, _ in ranked]
            row["neighbor_ids"] = [other for _, other in ranked]
    assert ("order", "neighbors/image>words") in checks(copy)


def test_a_wrong_corrected_similarity_is_seen(copy):
    with edit(copy, "edges") as rows:
        at = next(i for i, row in enumerate(rows) if row["miner"] == "hard-2")
        rows[at]["corrected_similarity"] += 0.01
    assert ("corrected-similarity", "edges") in checks(copy)


def test_a_reference_of_another_size_is_seen(copy):
    with edit_manifest(copy) as manifest:
        manifest["neighbors"]["image>words"]["correction"]["bank_reference"] -= 1
    assert ("hub-reference", "neighbors/image>words") in checks(copy)


def test_another_weight_is_seen(copy):
    with edit_manifest(copy) as manifest:
        manifest["neighbors"]["image>words"]["correction"]["weight"] = 0.0
    found = checks(copy)
    assert ("order", "neighbors/image>words") in found
    assert ("corrected-similarity", "edges") not in found, "csls says 2 s - r(x) - r(y)"


@pytest.mark.parametrize(
    ("graph", "message"),
    [
        ({"correct": "cls"}, "'csls' or 'nnn'"),
        ({"correct_k": 5}, "set correct too"),
        ({"correct": "csls", "correct_alpha": 0.5}, "correct_alpha belongs to nnn"),
        ({"correct": "nnn", "correct_alpha": 0}, "greater than 0"),
    ],
)
def test_wrong_settings_are_refused(tmp_path, graph, message):
    config = write_config(tmp_path, neighbors={**GRAPHS, "image>words": {"k": 12, **graph}})
    done = curate("run", config, "-o", tmp_path / "out", "--ray", "off", check=False)
    assert done.returncode == 2
    assert message in done.stderr
    assert "c.yaml:" in done.stderr
    assert "neighbors.image>words" in done.stderr
