"""Hard captions: edits written out by hand, and properties of all edits of many captions."""

from collections import Counter

import numpy as np
import pytest
from runs import curate, vector_config, vector_corpus

from curate.manifests.explain import explain
from curate.manifests.pairset import Pairset
from curate.manifests.schema import REASON_CODE, Reason
from curate.manifests.verify import verify
from curate.stages.mining.base import Block, EdgeLists
from curate.stages.mining.negatives.negclip import Negclip


def block_of(captions, twins=None, seed=0, first=0):
    size = len(captions)
    none = EdgeLists.none(size)
    return Block(
        anchors=first + np.arange(size),
        samples=None,
        graphs={},
        vectors={},
        positives=none,
        false_negatives=none,
        negatives=none,
        seed=seed,
        captions=captions,
        twin_captions=twins or [[] for _ in captions],
    )


def made(caption, *edits, twins=(), own=(), count=64):
    """Return the texts taken and the texts refused for one caption."""
    block = block_of([[caption, *own]], [list(twins)])
    found = Negclip(count=count, edits=edits or ("swap_words", "swap_nouns", "replace")).mine(block)
    taken = found.there & (found.reasons == 0)
    assert set(found.reasons[found.there]) <= {0, REASON_CODE[Reason.TRUE_CAPTION]}
    return set(found.texts[taken]), set(found.texts[found.there & ~taken])


@pytest.mark.parametrize(
    ("caption", "edit", "wanted"),
    [
        ("a red cup on a blue box", "swap_words", {"a blue cup on a red box"}),
        ("Two men above three dogs.", "swap_words", {"Three men above two dogs."}),
        ("a red cup and a red box", "swap_words", set()),
        ("a red and blue ball", "swap_words", set()),
        ("a cup on a box", "swap_nouns", {"a box on a cup"}),
        ("A cup, on the big box!", "swap_nouns", {"A big box, on the cup!"}),
        ("a cat and a dog", "swap_nouns", set()),
        ("a cat next to the dog", "swap_nouns", set()),
        ("a man riding a horse", "swap_nouns", {"a horse riding a man"}),
        ("a box on a box", "swap_nouns", set()),
        ("the day is wet", "replace", {"the night is wet", "the day is dry"}),
        ("a Woman above", "replace", {"a Man above", "a Woman below"}),
        ("grey", "replace", None),
        ("nothing here", "replace", set()),
        ("", "replace", set()),
        ("!!! ,,", "swap_words", set()),
    ],
)
def test_edits_by_hand(caption, edit, wanted):
    taken, refused = made(caption, edit)
    assert not refused
    if wanted is None:
        assert taken
        assert "gray" not in taken
    else:
        assert taken == wanted


def test_a_true_caption_of_the_picture_or_of_its_twin_is_refused():
    swapped = "a blue cup on a red box"
    source = "a red cup on a blue box"
    assert made(source, "swap_words") == ({swapped}, set())
    assert made(source, "swap_words", twins=["A blue cup, on a red box."]) == (set(), {swapped})
    # The picture's own second caption is edited too, and gives the first one back.
    assert made(source, "swap_words", own=[swapped]) == (set(), {swapped, source})


def test_every_edit_keeps_the_words_or_changes_one():
    rng = np.random.default_rng(0)
    words = "a the two red blue big small cup box man woman on above and with sitting day".split()
    captions = [[" ".join(rng.choice(words, 9))] for _ in range(300)]
    found = Negclip(count=3).mine(block_of(captions))
    assert found.there.sum() > 500
    for row, place in zip(*np.nonzero(found.there), strict=True):
        before, after = captions[row][0].split(), found.texts[row, place].split()
        assert before != after
        moved = Counter(before) == Counter(after)
        assert moved or sum(a != b for a, b in zip(before, after, strict=True)) == 1
    taken = (found.there & (found.reasons == 0)).sum(axis=1)
    assert taken.max() == 3


def test_draws_are_even_and_belong_to_the_anchor():
    caption = ["the day is wet and the man is old"]
    block = block_of([caption] * 6000)
    found = Negclip(edits=("replace",)).mine(block)
    counts = Counter(found.texts[:, 0])
    assert len(counts) == 5  # night, dry, woman, and old gives way to young and to new
    assert max(counts.values()) / min(counts.values()) < 1.2
    later = Negclip(edits=("replace",)).mine(block_of([caption] * 10, first=40))
    assert later.texts[:, 0].tolist() == found.texts[40:50, 0].tolist()


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    root = tmp_path_factory.mktemp("negclip")
    corpus = vector_corpus(root / "corpus", rows=120)
    lines = (corpus / "table.jsonl").read_text()
    lines = lines.replace(' thing"', ' red cup on the big blue box"')
    (corpus / "table.jsonl").write_text(lines)
    config = vector_config(corpus, root / "c.yaml", negatives=[{"miner": "negclip", "count": 2}])
    curate("run", config, "-o", root / "out", "--ray", "off", "--no-report")
    return root / "out"


def test_a_run_writes_them_and_verify_and_explain_know_them(out):
    result = verify(out)
    assert result.ok, result.findings
    pairset = Pairset.open(out)
    assert pairset.counts["T"] == 2
    rows = pairset.table("pairs").to_pylist()
    assert all(len(set(row["negative_texts"])) == 2 for row in rows)
    facts = explain(out, "item-0007")
    texts = [edge for edge in facts["edges"] if edge["text"]]
    assert {edge["text"] for edge in texts if edge["in_row"]} == set(rows[7]["negative_texts"])
    assert all("wrong for the anchor" in edge["why"] for edge in texts)
