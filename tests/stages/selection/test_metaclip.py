"""MetaCLIP against the search of its own code, and the coins against their chance."""

import numpy as np
import pytest

from curate.manifests.errors import DataError
from curate.stages.selection.metaclip import Metaclip

MARKS = [",", ".", ":", ";", "?", "!", "`"]


def holds(text, entry):
    """MetaCLIP's substring search: punctuation spaced, then " entry " in " text "."""

    def spaced(value):
        for mark in MARKS:
            value = value.replace(mark, f" {mark} ")
        return " " + " ".join(value.split()) + " "

    return spaced(entry) in spaced(text)


ENTRIES = ["dog", "red dog", "dog, cat", "a red dog", "Paris", "zebra", "cat", "", "red"]


@pytest.fixture
def world(make_world):
    rng = np.random.default_rng(3)
    words = ["a", "red", "dog", ",", "cat", "paris", "Paris.", "dogs", "red!"]
    captions = []
    for i in range(200):
        many = 0 if i % 19 == 0 else 1 + i % 3 // 2
        captions.append([" ".join(rng.choice(words, rng.integers(0, 6))) for _ in range(many)])
    return make_world(n=200, captions=captions, vectors={})


@pytest.fixture
def entries(tmp_path):
    (tmp_path / "e.txt").write_text("\n".join(ENTRIES))
    return str(tmp_path / "e.txt")


def chances(captions, entries, t):
    held = [{e for e in entries if any(holds(c, e) for c in texts)} for texts in captions]
    counts = {e: sum(e in one for one in held) for e in entries}
    return [
        1 - float(np.prod([1 - min(1, t / counts[e]) for e in one])) if one else None
        for one in held
    ], counts


@pytest.mark.parametrize("t", [1, 12, 10_000])
def test_the_chance_is_that_of_any_entry(world, read, entries, t):
    drops, _, scores = read
    verdict = world.select(Metaclip(entries=entries, t=t))
    wanted, _ = chances(world.captions, [e for e in ENTRIES if e], t)
    for i, value in enumerate(wanted):
        if value is None:
            assert drops(verdict)[i] == "no_entry"
            assert np.isnan(scores(verdict)[i])
        else:
            assert abs(scores(verdict)[i] - value) < 1e-6
            assert drops(verdict)[i] in ("", "not_drawn")
            assert value < 1 or drops(verdict)[i] == ""


def test_coins_fall_as_often_as_they_should(world, read, entries):
    drops, _, _ = read
    wanted, _ = chances(world.captions, [e for e in ENTRIES if e], 12)
    times = np.zeros(200)
    for seed in range(60):
        found = drops(world.select(Metaclip(entries=entries, t=12), seed=seed))
        times += [reason == "" for reason in found]
    for i, value in enumerate(wanted):
        chance = value or 0
        assert (
            abs(times[i] / 60 - chance) < 5 * np.sqrt(max(chance * (1 - chance), 1e-9) / 60) + 1e-9
        )


def test_the_corpus_has_words_of_its_own(world, read):
    drops, _, scores = read
    verdict = world.select(Metaclip(t=30, min_count=20))
    own = {
        w
        for texts in world.captions
        for c in texts
        for w in c.replace(".", " ").replace("!", " ").split()
    } - set(MARKS)
    held = [{w for w in own if any(holds(c, w) for c in texts)} for texts in world.captions]
    counts = {w: sum(w in one for one in held) for w in own}
    for i, one in enumerate(held):
        known = [w for w in one if counts[w] >= 20]
        if not known:
            assert drops(verdict)[i] == "no_entry"
        else:
            chance = 1 - np.prod([1 - min(1, 30 / counts[w]) for w in known])
            assert abs(scores(verdict)[i] - chance) < 1e-6


def test_case_differs_unless_asked(make_world, read, tmp_path):
    _, kept, _ = read
    world = make_world(n=2, captions=[["in PARIS"], ["in Paris"]], vectors={})
    (tmp_path / "e.txt").write_text("Paris\n")
    path = str(tmp_path / "e.txt")
    assert kept(world.select(Metaclip(entries=path))) == [1]
    assert kept(world.select(Metaclip(entries=path, ignore_case=True))) == [0, 1]


def test_parts_do_not_matter_and_identical_captions_are_drawn_one_by_one(make_world, read):
    _, kept, _ = read
    one = make_world(n=400, captions=[["the same"]] * 400, vectors={}, part_rows=7)
    two = make_world(n=400, captions=[["the same"]] * 400, vectors={}, part_rows=900)
    first, second = (w.select(Metaclip(t=40)) for w in (one, two))
    assert first.receipts[0].files == second.receipts[0].files
    assert 45 < len(kept(first)) < 110


def test_no_captions_at_all(make_world, read):
    drops, _, _ = read
    world = make_world(n=4, captions=[[], [""], [" "], ["..."]], vectors={})
    assert set(drops(world.select(Metaclip(min_count=1)))) == {"no_entry"}


def test_an_empty_file_is_refused(world, tmp_path):
    (tmp_path / "none.txt").write_text("\n \n")
    with pytest.raises(DataError, match="holds no entry"):
        world.select(Metaclip(entries=str(tmp_path / "none.txt")))
