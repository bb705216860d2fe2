"""A run that selects samples: what was dropped is nowhere, the graph is that of what is left."""

import json
import shutil

import duckdb
import numpy as np
import pytest
from runs import curate, published, vector_config, vector_corpus
from tiny_pairset import edit

from curate.manifests.explain import explain
from curate.manifests.inspect import inspect
from curate.manifests.pairset import Pairset
from curate.manifests.verify import verify


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("selection")
    corpus = vector_corpus(folder / "corpus", rows=400)
    rows = np.load(corpus / "image.npy")
    rng = np.random.default_rng(5)
    np.save(corpus / "caption.npy", rows + rng.normal(size=rows.shape))
    np.save(corpus / "targets.npy", rows[:5])
    (corpus / "entries.txt").write_text("thing\na 1\nnumber 17\n")
    spaces = {
        name: {"of": name, "encoder": "array", "path": str(corpus / f"{name}.npy")}
        for name in ("image", "caption")
    }
    targets = str(corpus / "targets.npy")
    selection = [
        {"selector": "filters", "max_shared": 75},
        {"selector": "top_score", "fraction": 0.8},
        {"selector": "negcliploss", "batch": 150, "fraction": 0.9, "shuffles": 3},
        {"selector": "normsim", "targets": targets, "fraction": 0.95, "among": "kept"},
        {"selector": "cupid", "targets": targets, "fraction": 0.9, "quota": 300},
        {"selector": "cit", "space": "caption", "targets": targets, "threshold": 0.0},
        {"selector": "metaclip", "entries": str(corpus / "entries.txt"), "t": 350},
    ]
    changes = {"spaces": spaces, "selection": selection, "neighbors": {"image>image": {"k": 12}}}
    config = vector_config(corpus, folder / "c.yaml", **changes)
    out = folder / "out"
    curate("run", config, "-o", out, "--ray", "off", "--no-report")
    return config, out


def kept_ids(out):
    rows = duckdb.execute(
        f"select sample_id from '{out}/selection/*.parquet' group by 1 having bool_and(kept)"
    ).fetchall()
    return {row for (row,) in rows}


def test_the_verifier_is_satisfied(made):
    result = verify(made[1])
    assert result.ok, result
    assert result.checked["selection scores"] > 1000


def test_what_was_dropped_is_in_no_pair_and_has_no_edge(made):
    _, out = made
    kept = kept_ids(out)
    assert 60 < len(kept) < 300
    used = duckdb.execute(
        "select anchor_id, positive_ids, negative_ids, false_negative_ids"
        f" from '{out}/pairs/*.parquet'"
    ).fetchall()
    assert {row[0] for row in used} == kept
    assert {i for row in used for ids in row[1:] for i in ids} - {-1} <= kept
    anchors = duckdb.execute(f"select distinct anchor_id from '{out}/edges/*.parquet'").fetchall()
    assert {row for (row,) in anchors} == kept


def test_neighbours_are_those_among_what_is_left(made):
    _, out = made
    kept = kept_ids(out)
    pairset = Pairset.open(out)
    x = pairset.vectors("image").rows(np.arange(400)).astype(np.float64)
    samples = pairset.table("samples", ["split", "group_id"])
    split, group = np.array(samples["split"].to_pylist()), samples["group_id"].to_numpy()
    allowed = (split[:, None] == split) & (group[:, None] != group)
    for i, ids in enumerate(pairset.table("neighbors/image>image")["neighbor_ids"].to_pylist()):
        if i not in kept:
            assert set(ids) == {-1}
            continue
        others = [j for j in sorted(kept) if allowed[i, j]]
        best = sorted((x[i] @ x[others].T).tolist(), reverse=True)[:12]
        found = [j for j in ids if j >= 0]
        np.testing.assert_allclose(x[i] @ x[found].T, best, atol=1e-6)


def test_each_dropped_sample_says_why(made):
    _, out = made
    pairset = Pairset.open(out)
    keys = pairset.table("samples", ["key"])["key"].to_pylist()
    rows = pairset.table("selection").to_pylist()
    seen = set()
    for row in rows:
        if row["kept"] or (row["selector"], row["reason"]) in seen:
            continue
        seen.add((row["selector"], row["reason"]))
        facts = explain(out, keys[row["sample_id"]])
        said = next(item for item in facts["selection"] if item["selector"] == row["selector"])
        assert said["why"].startswith(f"dropped by {row['selector']}: ")
        assert facts["pair"] is None
        assert facts["edges"] == []
    assert {name for name, _ in seen} >= {"filters", "top_score", "negcliploss", "cit", "metaclip"}
    assert ("normsim", "earlier") in seen
    text = curate("explain", out, keys[rows[0]["sample_id"]]).stdout
    assert "selection: " in text


def test_counts_are_those_of_the_table(made):
    _, out = made
    counted = duckdb.execute(
        f"select selector, count(*) filter (kept), count(*) filter (not kept)"
        f" from '{out}/selection/*.parquet' group by 1"
    ).fetchall()
    facts = inspect(out)
    found = {(name, item["kept"], item["dropped"]) for name, item in facts["selection"].items()}
    assert found == set(counted)
    assert "Selection of samples" in curate("inspect", out).stdout
    assert 'selection"' in json.dumps(json.loads((out / "croissant.json").read_text()))


@pytest.mark.parametrize(
    ("selector", "change", "check"),
    [
        ("filters", {"kept": False, "reason": "few_words"}, "filter in selection"),
        ("top_score", {"score": 0.123}, "selection-score in selection"),
        ("top_score", {"kept": False, "reason": "below_cut"}, "fraction in selection"),
        ("negcliploss", {"score": 0.9}, "selection-score in selection"),
        ("normsim", {"score": 9.0}, "selection-score in selection"),
        ("cupid", {"kept": False, "reason": "below_cut"}, "fraction in selection"),
        ("cit", {"kept": False, "reason": "below_threshold"}, "accepted in selection"),
        ("metaclip", {"score": 0.001}, "selection-score in selection"),
        ("metaclip", {"kept": False, "reason": ""}, "refusal in selection"),
        ("cupid", {"witness": 4000}, "id-range in selection"),
        ("cit", {"kept": False, "reason": "below_threshold"}, "not-selected in pairs"),
        ("cit", {"kept": False, "reason": "below_threshold"}, "not-selected in edges"),
        (
            "cit",
            {"kept": False, "reason": "below_threshold"},
            "not-selected in neighbors/image>image",
        ),
    ],
)
def test_a_wrong_verdict_is_found(made, tmp_path, selector, change, check):
    _, out = made
    broken = tmp_path / "broken"
    shutil.copytree(out, broken, ignore=shutil.ignore_patterns(".store"))
    used = kept_ids(out)
    with edit(broken, "selection") as rows:
        mine = [row for row in rows if row["selector"] == selector and row["sample_id"] in used]
        # All of them: a rule that draws some rows looks at one of these.
        for row in mine if "score" in change else mine[:1]:
            row.update(change)
    assert check in verify(broken).failed


def test_workers_do_not_matter_and_another_cut_embeds_nothing_again(made, tmp_path):
    config, out = made
    before = published(out)
    curate("run", config, "-o", tmp_path / "again", "--ray", "off", "--no-report")
    assert published(tmp_path / "again") == before
    done = curate(
        *("run", config, "-o", tmp_path / "again", "--ray", "off", "--no-report"),
        *("--set", "selection.1.fraction=0.7"),
    )
    assert "vectors:image: kept" in done.stderr
    assert "select:filters: kept" in done.stderr
    assert "select:top_score: kept" not in done.stderr


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"selector": "filter"}, "Did you mean 'filters'?"),
        ({"selector": "filters", "min_sides": 3}, "selection[0].min_sides: unknown key."),
        ({"selector": "top_score", "fraction": 2}, "selection[0].fraction: input should be less"),
        ({"selector": "cit"}, "selection[0].targets: this key is needed"),
        ({"selector": "top_score", "spaces": "a>b"}, "selector top_score needs spaces: a"),
    ],
)
def test_a_wrong_entry_is_refused_before_any_work(made, tmp_path, entry, message):
    config, _ = made
    body = {**json.loads(config.read_text()), "selection": [entry]}
    path = tmp_path / "c.yaml"
    path.write_text(json.dumps(body))
    done = curate("run", path, "-o", tmp_path / "out", check=False)
    assert done.returncode == 2
    assert message in done.stderr
