"""Which anchors are shown, and when a negative looks false."""

import pytest

from curate.manifests.report.choice import choose, resemblance, shares_label
from curate.manifests.report.fills import scan_pairs
from curate.manifests.report.similarity import Interesting, scan_edges


def sample(labels=(), captions=()):
    return {"labels": list(labels), "captions": list(captions)}


@pytest.mark.parametrize("count", [1, 7, 24, 200])
def test_anchors_are_chosen_once_each_and_always_the_same(pairset, count):
    interesting = scan_edges(pairset, 0).interesting
    drawn = scan_pairs(pairset, count, 0).drawn
    chosen = choose(pairset, interesting, drawn, count)
    assert len({item.anchor for item in chosen}) == count
    assert chosen == choose(pairset, interesting, drawn, count)
    at_random = sum(item.why == "drawn at random" for item in chosen)
    assert at_random >= count // 3


def test_every_kind_of_anchor_is_there_and_is_what_it_says(pairset, rows):
    edges = rows("edges")
    facts = scan_edges(pairset, 0)
    chosen = choose(pairset, facts.interesting, scan_pairs(pairset, 24, 0).drawn, 24)
    whys = {item.why.split(":")[0] for item in chosen}
    assert whys >= {
        "drawn at random",
        "a negative that may be false",
        "false negatives were masked",
        "a candidate was refused",
    }
    for item in chosen:
        mine = [e for e in edges if e["anchor_id"] == item.anchor]
        if item.why == "false negatives were masked":
            assert any(e["role"] == "false_negative" for e in mine)
        if item.why.startswith("a candidate was refused: "):
            assert item.why.split(": ")[1] in {e["reason"] for e in mine}


def test_a_pairset_without_edges_shows_random_anchors(pairset):
    chosen = choose(pairset, Interesting(), [5, 6, 7, 8], 3)
    assert [item.anchor for item in chosen] == [5, 6, 7]


@pytest.mark.parametrize(
    ("anchor", "other", "said"),
    [
        (sample(["dog", "x"]), sample(["dog", "y"]), "same label"),
        (sample(["dog", "x"]), sample(["cat", "x"]), ""),
        (sample([], ["A dog runs on the beach"]), sample([], ["a dog runs on a beach."]), "near"),
        (sample([], ["a dog runs on the beach"]), sample([], ["a man reads a newspaper"]), ""),
        (sample([], ["a dog"]), sample([], ["a dog"]), ""),
        (sample(), sample(), ""),
    ],
)
def test_resemblance(anchor, other, said):
    found = resemblance(anchor, other, labels_tell=True)
    assert found.startswith(said) if said == "near" else found == said


def test_one_label_for_all_tells_nothing():
    assert resemblance(sample(["photo"]), sample(["photo"]), labels_tell=False) == ""


def test_labels_in_common():
    assert shares_label(sample(["a", "b"]), sample(["b"])) is True
    assert shares_label(sample(["a"]), sample(["b"])) is False
    assert shares_label(sample(["a"]), sample()) is None
