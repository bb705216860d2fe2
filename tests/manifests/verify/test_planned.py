"""Each guarantee of a plan's drawn negatives is broken once; the verifier must name it."""

import numpy as np
import pyarrow.parquet as pq
import pytest
from tiny_pairset import add_plan, write_tiny_pairset

from curate.manifests.verify import verify

SKIP, WINDOW, H = 3, 10, 2


@pytest.fixture
def tiny(tmp_path):
    return write_tiny_pairset(tmp_path / "out", samples=200, image_size=16)


@pytest.fixture
def plan(tiny):
    """Return batches of 8, and negatives by the rule of B3++, made by plain loops."""
    path = next((tiny.root / "neighbors/image_to_image").glob("*"))
    near = [row[SKIP : SKIP + WINDOW] for row in pq.read_table(path)["neighbor_ids"].to_pylist()]
    pairs = pq.read_table(next((tiny.root / "pairs").glob("*"))).to_pylist()
    first = np.flatnonzero(tiny.group_id == np.arange(200)).tolist()
    train = [row for row in first if tiny.splits[row] == "train"]
    batches = np.array(train[:80]).reshape(10, 8)
    drawn = np.full((10, 8, H), -1)
    for b, batch in enumerate(batches.tolist()):
        hard = sorted({j for i in batch for j in near[i] if j >= 0 and i in near[j]} - set(batch))
        for at, i in enumerate(batch):
            never = {*pairs[i]["positive_ids"], *pairs[i]["false_negative_ids"]}
            free = [j for j in hard if j not in never and tiny.group_id[j] != tiny.group_id[i]]
            chosen = (free[at:] + free[:at])[:H]
            drawn[b, at, : len(chosen)] = chosen
    assert (drawn >= 0).mean() > 0.8
    return batches, drawn, pairs, near


SETTINGS = {"skip": SKIP, "window": WINDOW, "group": 2, "graph": "image>image"}


def found(tiny, batches, drawn, **changes):
    add_plan(
        tiny.root,
        batches,
        "b3",
        "b3",
        settings=SETTINGS,
        facts={"forced": 99},
        negatives=drawn,
        **changes,
    )
    return {finding.check: finding.message for finding in verify(tiny.root).findings}


def test_right_ones_pass(tiny, plan):
    batches, drawn, _, _ = plan
    assert found(tiny, batches, drawn) == {}


def of_row(plan, tiny, wrong):
    batches, _, pairs, near = plan
    pair = pairs[batches[2, 3]]
    other_split = tiny.splits.index("val")
    hard = {j for row in near for j in row}
    return {
        "range": 200,
        "positive": next(j for j in pair["positive_ids"] if j != pair["anchor_id"]),
        "split": other_split,
        "itself": pair["anchor_id"],
        "batch": batches[2, 5],
        "easy": next(
            j
            for j in batches[-1]
            if not any(i in near[j] and j in near[i] for i in batches[2]) and j in hard
        ),
    }[wrong]


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        ("range", "no sample has"),
        ("positive", "no negative of this pair"),
        ("split", "another split"),
        ("itself", "no negative of this pair"),
        ("batch", "of the batch itself"),
        ("easy", "hard for no row"),
    ],
)
def test_wrong_ones_are_found(tiny, plan, wrong, text):
    batches, drawn, _, _ = plan
    changed = drawn.copy()
    changed[2, 3, 0] = of_row(plan, tiny, wrong)
    add_plan(tiny.root, batches, "b3", "b3", settings=SETTINGS, facts={"forced": 99},
             negatives=changed)  # fmt: skip
    messages = [f.message for f in verify(tiny.root).findings if f.check == "plan-negatives"]
    assert any(text in message for message in messages), messages


def test_twice_and_duplicates_are_found(tiny, plan):
    batches, drawn, _, _ = plan
    twice = drawn.copy()
    row = np.argwhere((drawn >= 0).all(axis=2))[0]
    twice[tuple(row)] = drawn[tuple(row)][0]
    assert "stands twice" in found(tiny, batches, twice)["plan-negatives"]


def test_a_near_duplicate_is_found(tiny, plan):
    batches, drawn, _, _ = plan
    changed = drawn.copy()
    grouped = [i for i in range(200) if tiny.group_id[i] != i and i not in batches]
    for i in grouped:
        at = np.argwhere(batches == tiny.group_id[i])
        if len(at):
            changed[tuple(at[0])][0] = i
            break
    else:
        pytest.fail("the plan holds no sample with a duplicate outside")
    assert "near-duplicate" in str(
        [f.message for f in verify_of(tiny, batches, changed) if f.check == "plan-negatives"]
    )


def verify_of(tiny, batches, drawn):
    found(tiny, batches, drawn)
    return verify(tiny.root).findings


def test_a_file_of_another_shape_or_hash_is_found(tiny, plan):
    batches, drawn, _, _ = plan
    assert "plan-negatives-shape" in found(tiny, batches, drawn[:9])
