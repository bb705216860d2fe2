"""Templates of captions, against a plain loop over words."""

from collections import Counter
from itertools import permutations

import numpy as np
import pyarrow as pa
import pytest

from curate.stages.mining.templates import Templates

ORDERS = list(permutations(["a", "man", "horse", "tree", "the"]))
RUNS = "a dog runs across the field|a man rides a horse|two boats on a lake|a red bus in town"


def corpus():
    """120 samples: plain captions, image numbers, photographers, names only, equal ones, none."""
    rows = []
    for i in range(120):
        kind = i % 8
        if kind < 3:
            text = RUNS.split("|")[i % 4]
            rows.append([f"{text} {'near' if i % 5 else 'under'} the {['tree', 'hill'][i % 2]}"])
        elif kind == 3:
            rows.append([f"Image of IMG_{1000 + i}.JPG"])
        elif kind == 4:
            rows.append([f"Photo by surname{i}, copyright {i}", "photo by anna"])
        elif kind == 5:
            rows.append([f"name{i} other{i}"])
        elif kind == 6:
            rows.append([f"Image of {i}", " ".join(ORDERS[i])])
        else:
            rows.append([[], [""], ["?!"]][i // 8 % 3])
    return rows


def by_hand(rows, limit):
    def words(text):
        plain = "".join(c if c.isalnum() else " " for c in text.lower())
        return plain.split()

    uses = Counter(w for row in rows for w in {w for text in row for w in words(text)})

    def template(text):
        out = []
        for word in words(text):
            gap = uses[word] <= 3 or any(c.isdigit() for c in word)
            if not (gap and out[-1:] == ["_"]):
                out.append("_" if gap else word)
        gaps, rest = out.count("_"), len(out) - out.count("_")
        return None if gaps and (rest < 2 or rest < gaps) else tuple(out)

    names = [{template(text) for text in row} for row in rows]
    counts = Counter(name for row in names for name in row if name is not None)
    shared = {name for name, count in counts.items() if count > limit}
    return [bool(row) and row <= shared for row in names]


def parts_of(rows, size):
    return [
        lambda s=s: pa.chunked_array([pa.array(rows[s : s + size], pa.list_(pa.string()))])
        for s in range(0, len(rows), size)
    ]


@pytest.mark.parametrize("limit", [1, 5, 12, 40, 1000])
@pytest.mark.parametrize("size", [7, 500])
def test_flags_equal_the_loop(limit, size):
    rows = corpus()
    flags, facts = Templates(limit=limit).flags(parts_of(rows, size))
    expected = by_hand(rows, limit)
    assert flags.astype(bool).tolist() == expected
    assert facts["flagged"] == sum(expected)


def test_what_is_flagged_is_junk_and_what_is_not_says_something():
    rows = corpus()
    flags = Templates(limit=10).flags(parts_of(rows, 50))[0].astype(bool)
    kind = np.arange(120) % 8
    assert flags[kind == 3].all(), "image numbers"
    assert flags[kind == 4].all(), "photographers"
    assert not flags[kind == 5].any(), "names alone are no template"
    assert not flags[kind == 6].any(), "one caption of its own is enough"
    assert [bool(flags[i]) for i in range(120) if rows[i] == []] == [False] * 5


def test_a_corpus_without_captions_has_none():
    flags, facts = Templates(limit=1).flags(parts_of([[] for _ in range(9)], 4))
    assert not flags.any()
    assert facts == {"templates": 0, "flagged": 0, "largest": 0}
    assert Templates(limit=1).flags([])[0].shape == (0,)
