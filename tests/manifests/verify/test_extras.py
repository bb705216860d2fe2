"""The columns that not every pairset has: a sound run passes, every hand-made damage is named."""

import shutil

import pytest
from runs import curate, vector_config, vector_corpus
from tiny_pairset import edit

from curate.manifests.explain import explain
from curate.manifests.explain_text import render
from curate.manifests.inspect import inspect
from curate.manifests.pairset import Pairset
from curate.manifests.verify import verify


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    root = tmp_path_factory.mktemp("extras")
    corpus = vector_corpus(root / "corpus", rows=200)
    config = vector_config(
        corpus,
        root / "c.yaml",
        synthetic=[{"miner": "mochi"}, {"miner": "synco"}, {"miner": "sscl", "mixed": 2}],
        soft=[{"miner": "teacher", "k": 6, "t": 0.05}],
    )
    curate("run", config, "-o", root / "out", "--ray", "off", "--no-report")
    return root / "out"


@pytest.fixture
def copy(made, tmp_path):
    shutil.copytree(made, tmp_path / "out", ignore=shutil.ignore_patterns(".store"))
    return tmp_path / "out"


def test_a_sound_run_passes(made):
    result = verify(made)
    assert result.ok, result.findings
    counts = Pairset.open(made).counts
    assert (counts["S"], counts["Y"]) == (7, 18 + 15 + 2)
    assert "T" not in counts
    row = Pairset.open(made).table("pairs").to_pylist()[3]
    assert len(row["soft_ids"]) == len(row["soft_targets"]) == 7
    assert len(row["synthetic"]) == 35
    assert {item["method"] for item in row["synthetic"]} == {"mochi", "synco", "sscl"}
    assert any(entry["role"] == "soft" for entry in inspect(made)["similarities"])


def test_explain_tells_of_them(made):
    facts = explain(made, "item-0021")
    text = render(facts)
    assert "Soft target" in text
    assert "of it (similarity" in text
    assert "Synthetic negatives (35 recipes)" in text
    soft = [edge for edge in facts["edges"] if edge["role"] == "soft"]
    assert soft
    assert all(edge["in_row"] for edge in soft)


def damage(row, change):
    kind, value = change
    if kind.startswith("soft"):
        row[kind][0] = value
        return
    place = next(
        at
        for at, item in enumerate(row["synthetic"])
        if item["a_id"] >= 0 and (item["method"], item["type"]) == ("mochi", 1)
    )
    item = dict(row["synthetic"][place])
    item[kind] = (
        item["b_id"] if value == "other" else row["anchor_id"] if value == "self" else value
    )
    row["synthetic"][place] = item


@pytest.mark.parametrize(
    ("change", "check"),
    [
        (("soft_targets", 0.5), "unexplained"),
        (("soft_targets", -0.5), "weight"),
        (("soft_targets", 1.5), "weight-sum"),
        (("soft_ids", 99999), "unexplained"),
        (("coef", 1.7), "recipe"),
        (("type", 9), "recipe"),
        (("method", "magic"), "recipe"),
        (("b_id", -1), "recipe"),
        (("a_id", "other"), "recipe"),
        (("a_id", 12345), "id-range"),
        (("a_id", "self"), "group-contrasted"),
        (("a_id", -1), "padding"),
    ],
    ids=str,
)
def test_damage_is_named_with_its_row(copy, change, check):
    at = 5
    with edit(copy, "pairs", 0) as rows:
        damage(rows[at], change)
    found = [(f.check, f.row) for f in verify(copy).findings]
    assert (check, at) in found, found


def test_a_parent_that_is_a_positive_is_named(copy):
    with edit(copy, "pairs", 0) as rows:
        row = next(row for row in rows if row["positive_ids"][0] not in (-1, row["anchor_id"]))
        place = next(at for at, item in enumerate(row["synthetic"]) if item["a_id"] >= 0)
        row["synthetic"][place] = {**row["synthetic"][place], "a_id": row["positive_ids"][0]}
        at = rows.index(row)
    found = [(f.check, f.row) for f in verify(copy).findings]
    assert ("false-negative-contrasted", at) in found
