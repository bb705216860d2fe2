"""What the pages are given: samples, rows of pairs, explained anchors, the nearest of a space."""

import json
from collections import Counter

import numpy as np
import pyarrow.parquet as pq
import pytest

from curate.manifests.errors import DataError, UsageError
from curate.manifests.explain import explain
from curate.manifests.pairset import Pairset
from curate.manifests.view import Search, Viewer
from curate.manifests.view.query import Query


@pytest.fixture(scope="module")
def viewer(tiny, tmp_path_factory):
    path = tmp_path_factory.mktemp("desk") / "q.jsonl"
    texts = {"caption": lambda text: tiny.caption[len(text)].astype(np.float32)}
    return Viewer(Pairset.open(tiny.root), path, "me", Search(None, texts))


def labels_of(tiny):
    files = sorted((tiny.root / "samples").glob("*.parquet"))
    return [own for path in files for own in pq.read_table(path)["labels"].to_pylist()]


def order_of(vectors, query, leave_out=()):
    cosines = vectors.astype(np.float64) @ query.astype(np.float64)
    rows = [r for r in range(len(vectors)) if vectors[r].any() and r not in leave_out]
    return sorted(rows, key=lambda row: (-cosines[row], row)), cosines


def test_the_most_similar_to_a_sample(tiny, viewer):
    found = viewer.near_sample(Query(), "image", 12, 30)["items"]
    order, cosines = order_of(tiny.image, tiny.image[12], {12})
    assert len(found) == 30
    for item in found:
        assert item["similarity"] == pytest.approx(cosines[item["id"]], abs=1e-5)
    # Equal cosines may change places by rounding alone.
    np.testing.assert_allclose([cosines[i["id"]] for i in found], cosines[order[:30]], atol=1e-6)


def test_a_filter_holds_for_the_nearest_too(tiny, viewer):
    found = viewer.near_sample(Query(label="green", split="val"), "image", 12, 200)["items"]
    expected = {
        r for r in range(300) if (tiny.labels[r], tiny.splits[r]) == ("green", "val") and r != 12
    }
    assert {item["id"] for item in found} == expected != set()


def test_the_most_similar_to_a_text(tiny, viewer):
    row = next(r for r in range(300) if tiny.caption[r].any())
    found = viewer.near_text(Query(), "caption", "x" * row, 9)["items"]
    order, cosines = order_of(tiny.caption, tiny.caption[row])
    np.testing.assert_allclose([cosines[i["id"]] for i in found], cosines[order[:9]], atol=1e-6)
    assert all(tiny.caption[item["id"]].any() for item in found)
    with pytest.raises(UsageError, match="no texts can be looked up in 'image'; in: caption"):
        viewer.near_text(Query(), "image", "a cat", 9)


def test_a_sample_without_a_vector_is_near_to_nothing(tiny, viewer):
    row = next(r for r in range(300) if not tiny.caption[r].any())
    with pytest.raises(DataError, match="has no vector in space caption"):
        viewer.near_sample(Query(), "caption", row, 9)


def test_a_search_from_above_is_asked_and_its_order_is_not_trusted(tiny):
    asked = []

    def nearest(space, vector, count):
        asked.append((space, count))
        return np.array([9, 4, 4, 7])

    viewer = Viewer(Pairset.open(tiny.root), search=Search(nearest))
    found = viewer.near_sample(Query(), "image", 7, 10)["items"]
    cosines = tiny.image.astype(np.float64) @ tiny.image[7].astype(np.float64)
    assert [item["id"] for item in found] == sorted((4, 9), key=lambda row: -cosines[row])
    assert asked == [("image", 1000)]


def test_rows_of_pairs_have_their_places(tiny, viewer):
    found = viewer.pairs(Query(pairs=True), 0, 200)
    table = {
        row["anchor_id"]: row
        for path in sorted((tiny.root / "pairs").glob("*.parquet"))
        for row in pq.read_table(path).to_pylist()
    }
    assert [item["anchor"] for item in found["items"]] == sorted(table)[:200]
    for item in found["items"]:
        row = table[item["anchor"]]
        for role in ("positive", "negative"):
            mine = [p for p in item["places"] if p["role"] == role]
            filled = [i for i in row[f"{role}_ids"] if i >= 0]
            assert [p["sample_id"] for p in mine] == filled
            kinds = [viewer.pairset.manifest["kinds"][k] for k in row[f"{role}_kinds"] if k >= 0]
            assert [p["miner"] for p in mine] == kinds
        for place in item["places"]:
            assert found["samples"][place["sample_id"]]["key"] == tiny.keys[place["sample_id"]]


@pytest.mark.parametrize("anchor", [0, 17, 149, 150, 299])
def test_an_anchor_has_every_candidate_with_why(tiny, viewer, anchor):
    labels = labels_of(tiny)
    page = viewer.sample(anchor)
    facts = explain(tiny.root, tiny.keys[anchor])
    assert page["key"] == tiny.keys[anchor]
    shown = {(row["role"], tile["id"]): tile for row in page["rows"] for tile in row["tiles"]}
    taken = {edge["other_id"] for edge in facts["edges"] if edge["role"] != "refused"}
    for edge in facts["edges"]:
        name = (edge["role"], edge["other_id"])
        if edge["role"] == "refused" and edge["other_id"] in taken:
            assert name not in shown
            continue
        assert edge["why"] in shown[name]["why"]
        assert shown[name]["in_row"] or not edge["in_row"]
        other = edge["other_id"]
        assert shown[name]["same_label"] == bool(set(labels[anchor]) & set(labels[other]))
        if edge["role"] == "negative" and labels[anchor][0] == labels[other][0]:
            assert shown[name]["alarm"] == "same label"
    assert {tile["id"] for tile in shown.values()} <= set(page["samples"])


def test_there_is_no_sample_beyond_the_last(viewer):
    with pytest.raises(DataError, match="ids go from 0 to 299"):
        viewer.sample(300)


def test_what_there_is_to_filter_by(tiny, viewer):
    facts = viewer.about()
    assert dict(facts["splits"]) == {s: tiny.splits.count(s) for s in set(tiny.splits)}
    assert dict(facts["labels"]) == Counter(label for own in labels_of(tiny) for label in own)
    assert facts["counts"]["samples"] == facts["pictures"] == 300
    assert facts["text_spaces"] == ["caption"]
    assert facts["spaces"] == ["caption", "image"]
    json.dumps(facts, allow_nan=False)
