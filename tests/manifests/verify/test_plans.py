"""Each guarantee of a plan of batches is broken once; the verifier must name it."""

import numpy as np
import pytest
from tiny_pairset import add_plan, write_tiny_pairset

from curate.manifests.verify import verify


@pytest.fixture
def tiny(tmp_path):
    return write_tiny_pairset(tmp_path / "out", samples=200, image_size=16)


def train(tiny):
    return np.array([row for row, split in enumerate(tiny.splits) if split == "train"])


def found(tiny):
    result = verify(tiny.root)
    return {finding.check for finding in result.findings}


def test_a_right_plan_passes(tiny):
    add_plan(tiny.root, train(tiny)[:144].reshape(6, 24))
    assert found(tiny) == set()


@pytest.mark.parametrize(
    ("change", "check"),
    [
        (lambda b, tiny: np.put(b, 3, -1), "plan-ids"),
        (lambda b, tiny: np.put(b, 3, 200), "plan-ids"),
        (lambda b, tiny: np.put(b, 3, tiny.splits.index("val")), "plan-split"),
        (lambda b, tiny: np.put(b, 3, b.flat[4]), "plan-repeat"),
        (lambda b, tiny: np.put(b, 3, b.flat[30]), "plan-multiplicity"),
    ],
)
def test_wrong_members_are_found(tiny, change, check):
    batches = train(tiny)[:144].reshape(6, 24).copy()
    change(batches, tiny)
    add_plan(tiny.root, batches)
    assert check in found(tiny)


@pytest.mark.parametrize(
    ("changes", "check"),
    [
        ({"batches": 5}, "plan-shape"),
        ({"size": 12}, "plan-shape"),
        ({"pairs_left_out": 1}, "plan-left-out"),
        ({"sha256": "0" * 64}, "sha256"),
    ],
)
def test_wrong_entries_are_found(tiny, changes, check):
    add_plan(tiny.root, train(tiny)[:144].reshape(6, 24), **changes)
    assert check in found(tiny)


def test_a_plan_that_nobody_lists_is_a_stray(tiny):
    (tiny.root / "plans").mkdir()
    np.save(tiny.root / "plans/x.npy", np.zeros((1, 2), np.int64))
    assert found(tiny) == {"stray-file"}


def pk(tiny, uses):
    """Batches of three labels with four rows each; `uses` numbers of the labels, a row a batch."""
    labels = np.array(tiny.labels)[train(tiny)]
    names = sorted(set(labels))
    members = [train(tiny)[labels == name] for name in names]
    turns = [0] * len(names)
    batches = []
    for batch in uses:
        rows = []
        for code in batch:
            rows += [members[code][(turns[code] + i) % len(members[code])] for i in range(4)]
            turns[code] += 4
        batches.append(rows)
    return np.array(batches)


def test_classes_come_k_times_and_evenly(tiny):
    settings = {"by": "label", "samples": 4}
    even = pk(tiny, [(0, 1, 2), (3, 4, 5), (0, 2, 4), (1, 3, 5)])
    add_plan(tiny.root, even, "pk", "pk", settings=settings, repeats=True)
    assert found(tiny) == set()
    odd = even.copy()
    odd[1, 2] = even[0, 2]
    add_plan(tiny.root, odd, "pk-2", "pk", settings=settings, repeats=True)
    assert found(tiny) == {"plan-pk"}


def test_uneven_classes_are_found(tiny):
    settings = {"by": "label", "samples": 4}
    uneven = pk(tiny, [(0, 1, 2), (3, 4, 5), (0, 1, 2), (0, 1, 2)])
    add_plan(tiny.root, uneven, "pk", "pk", settings=settings, repeats=True)
    assert found(tiny) == {"plan-balance"}


def test_first_neighbours_in_a_group_are_found(tiny):
    import pyarrow.parquet as pq

    path = next((tiny.root / "neighbors/image_to_image").glob("*"))
    near = np.array(pq.read_table(path)["neighbor_ids"].to_pylist())
    settings = {"skip": 3, "group": 4, "graph": "image>image"}
    rows = train(tiny)
    barred = {(a, int(b)) for a in rows for b in near[a, :3]}
    barred |= {(b, a) for a, b in barred}
    free, groups = rows.tolist(), []
    while len(groups) < 12:
        group = []
        for row in list(free):
            if all((row, other) not in barred for other in group):
                group.append(row)
                free.remove(row)
            if len(group) == 4:
                break
        groups.append(group)
    good = np.array(groups).reshape(6, 8)
    add_plan(tiny.root, good, "b3", "b3", settings=settings, facts={"forced": 0})
    assert found(tiny) == set()
    bad = good.copy()
    partner = next(int(b) for b in near[good[0, 0]] if b in free)
    bad[0, 1] = partner
    bad_near = any((int(bad[0, 0]), partner) == pair for pair in barred)
    add_plan(tiny.root, bad, "b3-2", "b3", settings=settings, facts={"forced": 0})
    assert ("plan-barred" in found(tiny)) == bad_near


def test_shares_of_super_batches_are_counted(tiny):
    rows = train(tiny)[:40].reshape(2, 20)
    share = {"filter_ratio": 0.75}
    add_plan(tiny.root, rows, "jest", "jest", settings=share, facts={"super_batch": 80})
    assert found(tiny) == set()
    more = train(tiny)[:60].reshape(3, 20)
    add_plan(tiny.root, more, "jest-2", "jest", settings=share, facts={"super_batch": 80})
    assert found(tiny) == {"plan-share"}
