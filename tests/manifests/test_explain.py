"""`explain` shows every edge of an anchor and says why in true numbers."""

import json
import re

import pyarrow.parquet as pq
import pytest
from tiny_pairset import MAX_RATIO, edit

from curate.manifests.errors import DataError, PairsetError
from curate.manifests.explain import explain
from curate.manifests.explain_text import render


def edges_of(tiny, anchor):
    table = pq.read_table(tiny.root / "edges", filters=[("anchor_id", "==", anchor)])
    return table.to_pylist()


def anchor_with(tiny, **values):
    for row in pq.read_table(tiny.root / "edges").to_pylist():
        if all(row[name] == value for name, value in values.items()):
            return row
    raise AssertionError(values)


@pytest.mark.parametrize("anchor", [0, 149, 150, 299])
def test_every_edge_of_the_anchor_is_there(tiny, anchor):
    facts = explain(tiny.root, tiny.keys[anchor])
    expected = edges_of(tiny, anchor)
    assert facts["sample_id"] == anchor
    assert len(facts["edges"]) == len(expected) > 5
    for found, edge in zip(facts["edges"], expected, strict=True):
        assert {name: found[name] for name in edge if name != "anchor_id"} == {
            name: value for name, value in edge.items() if name != "anchor_id"
        }
        assert found["other_key"] == tiny.keys[edge["other_id"]]
        assert found["other_label"] == tiny.labels[edge["other_id"]]
        assert found["why"]
    assert facts["pair"]["anchor_id"] == anchor
    assert facts["sample"]["label"] == tiny.labels[anchor]


def test_a_ratio_is_said_with_its_numbers(tiny):
    edge = anchor_with(tiny, reason="ratio")
    facts = explain(tiny.root, tiny.keys[edge["anchor_id"]])
    why = next(e["why"] for e in facts["edges"] if e["reason"] == "ratio")
    left, ratio, positive = map(float, re.findall(r"\d+\.\d+", why))
    assert why.startswith("refused: similarity")
    assert ratio == MAX_RATIO
    assert left > ratio * positive - 1e-4
    assert positive == pytest.approx(edge["positive_similarity"], abs=1e-4)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"reason": "mutuality"}, "not among its 2 nearest"),
        ({"reason": "threshold"}, "< 0."),
        ({"reason": "rank"}, "outside the window [1, 14]"),
        ({"reason": "positive", "miner": "hard"}, "a positive of the anchor"),
        ({"reason": "false_negative"}, "a false negative of it"),
        ({"role": "false_negative"}, "eliminate: similarity"),
        ({"miner": "random"}, "negative: drawn"),
        ({"miner": "self_aug"}, "another view of itself"),
        ({"miner": "knn", "role": "positive"}, "mutual"),
    ],
)
def test_reasons_in_words(tiny, values, words):
    edge = anchor_with(tiny, **values)
    facts = explain(tiny.root, tiny.keys[edge["anchor_id"]])
    found = [
        e
        for e in facts["edges"]
        if (e["miner"], e["other_id"], e["reason"])
        == (edge["miner"], edge["other_id"], edge["reason"])
    ]
    assert words in found[0]["why"]


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        ("self", "the anchor itself"),
        ("duplicate", "near-duplicate of the anchor (group"),
        ("split", "the anchor's is 'train'"),
        ("same_label", "shares a label"),
        ("other_label", "the anchor's is"),
        ("margin", "what margin allows"),
        ("max_similarity", "what max_similarity allows"),
        ("min_similarity", "< the min_similarity"),
        ("hub_cap", "other anchors that list it come first"),
        ("no_vector", "no vector"),
        ("not_drawn", "not drawn"),
        ("overflow", "was full"),
    ],
)
def test_every_other_reason_has_words(broken, tiny, reason, words):
    with edit(broken, "edges") as rows:
        at = next(i for i, row in enumerate(rows) if row["reason"] == "ratio")
        rows[at]["reason"] = reason
        anchor = rows[at]["anchor_id"]
    assert tiny.splits[anchor] == "train"
    found = [e for e in explain(broken, tiny.keys[anchor])["edges"] if e["reason"] == reason]
    assert words in found[0]["why"]


def test_the_row_lists_its_filled_places(tiny):
    facts = explain(tiny.root, tiny.keys[12])
    pair = facts["pair"]
    for role in ("positive", "negative", "false_negative"):
        listed = [p["sample_id"] for p in facts["row"] if p["role"] == role]
        assert listed == [i for i in pair[f"{role}_ids"] if i >= 0]
    taken = {(e["role"], e["other_id"]) for e in facts["edges"] if e["in_row"]}
    assert taken == {(p["role"], p["sample_id"]) for p in facts["row"]}


def test_duplicates_are_named(tiny):
    assert explain(tiny.root, tiny.keys[49])["duplicates"] == [tiny.keys[48], tiny.keys[50]]
    assert explain(tiny.root, tiny.keys[3])["duplicates"] == []


def test_text_and_json(tiny):
    facts = explain(tiny.root, tiny.keys[12])
    json.dumps(facts, allow_nan=False)
    text = render(facts)
    for title in ("Positives (", "Negatives (", "False negatives (", "Refused ("):
        assert title in text
    assert tiny.keys[12] in text
    assert len(text.splitlines()) > 2 * len(facts["edges"])


def test_an_unknown_key_names_the_nearest(tiny):
    with pytest.raises(DataError, match="'scene/00123'"):
        explain(tiny.root, "Scene/0O123")


def test_no_pairset(tmp_path):
    with pytest.raises(PairsetError):
        explain(tmp_path, "x")


def test_an_anchor_without_a_row(broken, tiny):
    with edit(broken, "pairs") as rows:
        del rows[4]
    facts = explain(broken, tiny.keys[4])
    assert facts["pair"] is None
    assert facts["row"] == []
    assert "no row in pairs" in render(facts)
