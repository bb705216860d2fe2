"""A run that selects by clusters: what the files say is the rule, and wrong verdicts are found."""

import shutil

import duckdb
import numpy as np
import pytest
from runs import curate, published, vector_config, vector_corpus
from tiny_pairset import edit

from curate.manifests.explain import explain
from curate.manifests.pairset import Pairset
from curate.manifests.verify import verify

CLUSTERS = {
    "fine": {"space": "image", "k": 12},
    "nested": {"space": "image", "levels": [24, 6, 2], "resampling": 2},
    "later": {"space": "image", "k": 8, "after": "semdedup"},
}
SELECTION = [
    {"selector": "semdedup", "clusters": "fine", "eps": 0.25},
    {"selector": "prototypes", "clusters": "later", "fraction": 0.8, "among": "kept"},
    {"selector": "dbp", "clusters": "later", "fraction": 0.7},
    {"selector": "hierarchical", "clusters": "nested", "count": 350},
    {
        "selector": "prototypes",
        "clusters": "nested",
        "level": 1,
        "fraction": 0.9,
        "within": "corpus",
    },
    {"selector": "hierarchical", "clusters": "nested", "fraction": 0.9, "pick": "closest"},
]
REASONS = {
    "semdedup": ("semantic_duplicate", "which is no nearer to their centroid"),
    "prototypes": ("prototype", "of which none nearer is kept"),
    "dbp": ("over_quota", "samples no nearer to it fill the share"),
    "hierarchical": ("not_drawn", "not drawn, with a chance of 0."),
    "hierarchical-2": ("over_quota", "samples no farther from it fill the share"),
}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("selection")
    corpus = vector_corpus(folder / "corpus", rows=400)
    changes = {"clusters": CLUSTERS, "selection": SELECTION}
    config = vector_config(corpus, folder / "c.yaml", **changes)
    curate("run", config, "-o", folder / "out", "--ray", "off", "--no-report")
    return config, folder / "out"


def verdicts(out, selector):
    return duckdb.execute(
        "select sample_id, reason, score, witness from "
        f"'{out}/selection/*.parquet' where selector = '{selector}' order by 1"
    ).fetchall()


def test_the_verifier_is_satisfied(made):
    result = verify(made[1])
    assert result.ok, result
    assert result.checked["selection scores"] >= 5 * 300


def test_a_quick_look_at_a_large_corpus_takes_some_clusters_and_members(made, monkeypatch):
    monkeypatch.setattr("curate.manifests.verify.selectors._clusters._SMALL", 10)
    monkeypatch.setattr("curate.manifests.verify.selectors._clusters._QUICK_CLUSTERS", 3)
    monkeypatch.setattr("curate.manifests.verify.selectors.semdedup._QUICK_COLUMNS", 5)
    result = verify(made[1], deep=False)
    assert result.ok, result
    assert 15 < result.checked["selection scores"] < 5 * 250


def test_each_reason_is_there_and_explained(made):
    _, out = made
    keys = Pairset.open(out).table("samples", ["key"])["key"].to_pylist()
    for selector, (reason, words) in REASONS.items():
        row = next(row for row in verdicts(out, selector) if row[1] == reason)
        facts = explain(out, keys[row[0]])
        said = next(item for item in facts["selection"] if item["selector"] == selector)
        assert words in said["why"]
        assert f"{row[2]:.4f}" in said["why"]
        if row[3] is not None:
            assert keys[row[3]] in said["why"]


def test_what_semdedup_says_is_true_of_the_published_vectors(made):
    _, out = made
    pairset = Pairset.open(out)
    rows = pairset.vectors("image").rows(np.arange(400)).astype(np.float64)
    codes = np.array([c[0] for c in pairset.table("clusters/fine")["cluster_ids"].to_pylist()])
    centres = np.stack([rows[codes == c].sum(axis=0) for c in range(12)])
    centres /= np.linalg.norm(centres, axis=1, keepdims=True)
    near = (rows * centres[codes]).sum(axis=1)
    found = verdicts(out, "semdedup")
    gone = [row for row in found if row[1]]
    assert 20 < len(gone) < 380
    for sample, _, score, witness in gone:
        assert codes[sample] == codes[witness]
        assert abs(rows[sample] @ rows[witness] - score) < 1e-6
        assert score > 0.75
        assert near[witness] <= near[sample] + 1e-7
    left = np.array([row[0] for row in found if not row[1]])
    cosines = rows[left] @ rows[left].T
    cosines[codes[left][:, None] != codes[left]] = 0
    np.fill_diagonal(cosines, 0)
    assert cosines.max() <= 0.75 + 1e-9


def test_clusters_after_a_selector_are_those_of_what_it_keeps(made):
    _, out = made
    manifest = Pairset.open(out).manifest
    kept = sum(not row[1] for row in verdicts(out, "semdedup"))
    assert manifest["clusters"]["later"]["drawn"] == kept
    assert manifest["clusters"]["later"]["after"] == "semdedup"
    assert manifest["clusters"]["fine"]["drawn"] == 400


@pytest.mark.slow
def test_workers_do_not_matter(made, tmp_path):
    config, out = made
    curate("run", config, "-o", tmp_path / "again", "--ray", "off", "--no-report")
    assert published(tmp_path / "again") == published(out)


@pytest.mark.parametrize(
    ("selector", "reason", "change", "check"),
    [
        ("semdedup", "semantic_duplicate", {"score": 0.9999}, "selection-score"),
        ("semdedup", "semantic_duplicate", {"score": 0.7}, "cut"),
        ("semdedup", "semantic_duplicate", {"witness": None}, "witness"),
        ("semdedup", "semantic_duplicate", {"witness": "nearer"}, "witness"),
        ("semdedup", "semantic_duplicate", {"witness": "elsewhere"}, "witness"),
        (
            "semdedup",
            "semantic_duplicate",
            {"kept": True, "reason": "", "witness": None, "score": None},
            "duplicates",
        ),
        ("semdedup", "", {"kept": False, "reason": "no_vector"}, "no-vector"),
        ("prototypes", "prototype", {"score": 0.2}, "selection-score"),
        ("prototypes", "prototype", {"kept": True, "reason": ""}, "fraction"),
        ("prototypes", "swap", {}, "cut"),
        ("prototypes-2", "swap", {}, "cut"),
        ("dbp", "over_quota", {"score": 0.2}, "selection-score"),
        ("dbp", "over_quota", {"kept": True, "reason": ""}, "fraction"),
        ("dbp", "swap", {}, "cut"),
        ("dbp", "shift", {}, "shares"),
        ("hierarchical", "not_drawn", {"kept": True, "reason": ""}, "fraction"),
        ("hierarchical", "not_drawn", {"score": 0.5}, "selection-score"),
        ("hierarchical", "shift", {}, "balance"),
        ("hierarchical-2", "swap", {}, "cut"),
    ],
)
def test_a_wrong_verdict_is_found(made, tmp_path, selector, reason, change, check):
    _, out = made
    broken = tmp_path / "broken"
    shutil.copytree(out, broken, ignore=shutil.ignore_patterns(".store"))
    with edit(broken, "selection") as rows:
        mine = [row for row in rows if row["selector"] == selector]
        if reason in ("swap", "shift"):
            _swap(out, mine, shift=reason == "shift")
        else:
            row = next(row for row in mine if row["reason"] == reason and row["score"] is not None)
            row.update(_meant(out, row, change))
    assert f"{check} in selection" in verify(broken).failed


def _clusters(out, selector):
    item = next(i for i in Pairset.open(out).manifest["selection"] if i["id"] == selector)
    name, level = item["settings"]["clusters"], item["settings"]["level"]
    ids = Pairset.open(out).table(f"clusters/{name}", ["cluster_ids"])["cluster_ids"].to_pylist()
    return np.array([row[level] for row in ids])


def _meant(out, row, change):
    """Name a witness of another cluster, or one of the same that stands behind."""
    if change.get("witness") not in ("nearer", "elsewhere"):
        return change
    codes = _clusters(out, "semdedup")
    same = codes == codes[row["sample_id"]]
    if change["witness"] == "elsewhere":
        return {"witness": int(np.flatnonzero(~same)[0])}
    rows = Pairset.open(out).vectors("image").rows(np.arange(400)).astype(np.float64)
    near = rows @ rows[same].sum(axis=0)
    return {"witness": int(np.argmax(np.where(same, near, -np.inf)))}


def _swap(out, mine, shift):
    """Let one dropped sample stay for a kept one: of the same cluster, or many of another."""
    codes = _clusters(out, mine[0]["selector"])
    groups = {}
    for row in mine:
        if row["reason"] != "earlier":
            groups.setdefault(codes[row["sample_id"]], {True: [], False: []})[row["kept"]].append(
                row
            )
    if not shift:
        pairs = next(g for g in groups.values() if g[True] and g[False])
        moved = [(pairs[True][0], pairs[False][0])]
    else:
        full = max(groups, key=lambda c: len(groups[c][False]))
        other = max((c for c in groups if c != full), key=lambda c: len(groups[c][True]))
        count = min(len(groups[full][False]), len(groups[other][True]), 5)
        moved = list(zip(groups[other][True], groups[full][False][:count], strict=False))
    for kept, gone in moved:
        fields = ("kept", "reason")
        values = [(kept[f], gone[f]) for f in fields]
        kept.update(dict(zip(fields, (b for _, b in values), strict=True)))
        gone.update(dict(zip(fields, (a for a, _ in values), strict=True)))
