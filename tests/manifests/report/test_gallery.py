"""Cards show what `edges` says of their anchors, and pictures are those of the corpus."""

import base64
import io

import numpy as np
import pytest
from PIL import Image
from tiny_pairset import write_tiny_pairset

from curate.manifests.pairset import Pairset
from curate.manifests.reasons import WORDS
from curate.manifests.report.choice import Chosen
from curate.manifests.report.gallery import SHOWN, Album, make_cards, read_edges, shown_ids
from curate.manifests.schema import Reason


@pytest.fixture(scope="module")
def cards(pairset):
    anchors = list(range(0, 600, 7))
    edges = read_edges(pairset, anchors)
    album = Album(pairset, shown_ids(edges, anchors), frozenset(anchors), 10**8)
    made = make_cards(album, [Chosen(anchor, "why") for anchor in anchors], edges, True)
    return dict(zip(anchors, made, strict=True))


def row_of(card, role):
    return next((row for row in card.rows if row.role == role), None)


def test_tiles_are_the_taken_edges(cards, rows, tiny):
    truth = {}
    for edge in rows("edges"):
        truth.setdefault((edge["anchor_id"], edge["role"]), []).append(edge)
    for anchor, card in cards.items():
        for role in ("positive", "negative", "false_negative"):
            wanted = truth.get((anchor, role), [])
            row = row_of(card, role)
            shown = row.tiles if row else []
            keys = [tiny.keys[e["other_id"]] for e in wanted]
            assert [tile.key for tile in shown] == keys[: SHOWN[role]]
            assert (row.more if row else 0) == max(len(keys) - SHOWN[role], 0)
            for tile, edge in zip(shown, wanted, strict=False):
                assert tile.similarity == edge["similarity"]
                rank = f" #{edge['rank']}" if edge["space"] else ""
                assert tile.said[0][0] == f"{edge['miner']}{rank}"


def test_refused_are_those_that_nobody_took(cards, rows, tiny):
    for anchor, card in cards.items():
        mine = [e for e in rows("edges") if e["anchor_id"] == anchor] if anchor < 70 else []
        if not mine:
            continue
        taken = {e["other_id"] for e in mine if e["role"] != "refused"}
        wanted = {e["other_id"] for e in mine} - taken
        row = row_of(card, "refused")
        shown = {tile.key for tile in row.tiles} if row else set()
        assert shown <= {tiny.keys[i] for i in wanted}
        assert len(shown) + (row.more if row else 0) == len(wanted)
        assert ("refused" in card.flags) == bool(wanted)


def test_labels_alarms_and_flags(cards, rows, tiny):
    samples = {s["key"]: s for s in rows("samples")}
    for card in cards.values():
        mine = samples[card.key]
        for row in card.rows:
            for tile in row.tiles:
                if tile.key == card.key:
                    continue
                theirs = samples[tile.key]
                assert tile.label == bool(set(mine["labels"]) & set(theirs["labels"]))
                if row.role == "negative" and mine["label"] == theirs["label"]:
                    assert tile.alarm == "same label"
                if row.role != "negative":
                    assert tile.alarm == ""
        alarmed = any(tile.alarm for row in card.rows for tile in row.tiles)
        assert ("suspicious" in card.flags) == alarmed
        assert ("masked" in card.flags) == (row_of(card, "false_negative") is not None)


def test_pictures_are_small_and_those_of_the_sample(cards, tiny):
    for anchor in (0, 70, 595):
        thumb = cards[anchor].thumbnail
        head, data = thumb.uri.split(",")
        assert head == "data:image/webp;base64"
        made = Image.open(io.BytesIO(base64.b64decode(data))).convert("RGB")
        source = Image.open(io.BytesIO(tiny.payloads[anchor])).convert("RGB")
        assert made.size == source.size == (thumb.width, thumb.height)
        off = np.asarray(made, np.float64) - np.asarray(source, np.float64)
        assert np.abs(off).mean() < 12


def test_large_pictures_are_made_small(tmp_path):
    tiny = write_tiny_pairset(tmp_path, samples=30, image_size=300)
    album = Album(Pairset.open(tiny.root), [1, 2], frozenset([1]), 10**8)
    assert album.thumbnail(1).width == 168
    assert album.thumbnail(2).width == 112


def test_the_budget_is_kept_and_the_first_come_first(pairset):
    free = Album(pairset, range(200), frozenset(), 10**8)
    costs = [len(free.thumbnail(i).uri) for i in range(200)]
    tight = Album(pairset, range(200), frozenset(), sum(costs[:50]))
    kept = [bool(tight.thumbnail(i).uri) for i in range(200)]
    assert kept == [True] * 50 + [False] * 150
    assert tight.thumbnail(60).note == "left out: page size"


def test_pictures_that_stand_twice_count_twice(pairset):
    once = Album(pairset, [5], frozenset(), 10**8)
    size = len(once.thumbnail(5).uri)
    assert Album(pairset, [5, 5], frozenset(), 2 * size).thumbnail(5).uri
    assert not Album(pairset, [5, 5], frozenset(), 2 * size - 1).thumbnail(5).uri


def test_a_picture_that_is_gone_or_damaged_leaves_a_note(tmp_path):
    tiny = write_tiny_pairset(tmp_path, samples=30, tars=2)
    (tiny.root / "images/part-00000.tar").unlink()
    path = tiny.root / "images/part-00001.tar"
    path.write_bytes(b"\0" * path.stat().st_size)
    album = Album(Pairset.open(tiny.root), [0, 29], frozenset(), 10**8)
    assert album.thumbnail(0).note == "not readable: FileNotFoundError"
    assert album.thumbnail(29).note == "not readable: ImageError"
    assert album.thumbnail(0).uri == album.thumbnail(29).uri == ""


def test_every_reason_has_words():
    assert set(WORDS) == {str(reason) for reason in Reason if reason}
