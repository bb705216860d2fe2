"""Coverage, labels, groups and rejects, against loops over the whole tables."""

from collections import Counter

import pytest
from tiny_pairset import edit, write_tiny_pairset

from curate.manifests.pairset import Pairset
from curate.manifests.report.corpus import scan_rejects, scan_samples


@pytest.fixture(scope="module")
def facts(pairset):
    return scan_samples(pairset, 0)


def test_coverage_counts_what_is_there(facts, rows):
    samples = rows("samples")
    found = {item.what: (item.samples, item.detail) for item in facts.coverage}
    captions = sum(len(s["captions"]) for s in samples)
    assert found == {
        "image": (600, ""),
        "caption": (sum(bool(s["captions"]) for s in samples), f"{captions:,} captions"),
        "label": (600, "9 distinct"),
        "attribute camera (string)": (_there(samples, "attr_camera"), "3 distinct"),
        "attribute lat (float)": (_there(samples, "attr_lat"), "40.01 to 45.99"),
        "attribute time (time)": (600, "2024-05-01 12:00 to 2024-05-01 21:59"),
    }


def _there(samples, name):
    return sum(sample[name] is not None for sample in samples)


def test_labels_are_counted(facts, rows):
    counts = Counter(label for s in rows("samples") for label in s["labels"])
    assert facts.labels == sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    assert facts.distinct_labels == len(counts)


def test_groups_and_their_members(facts, rows):
    members = {}
    for sample in rows("samples"):
        members.setdefault(sample["group_id"], []).append(sample["sample_id"])
    several = {g: m for g, m in members.items() if len(m) > 1}
    sizes = Counter(len(m) for m in several.values())
    assert facts.groups.sizes == [(str(size), sizes[size]) for size in sorted(sizes)]
    assert facts.groups.groups == len(several)
    assert facts.groups.grouped == sum(map(len, several.values()))
    assert len(facts.groups.examples) >= 5
    for size, shown in facts.groups.examples:
        assert several[shown[0]][:6] == shown
        assert size == len(several[shown[0]])
    assert facts.groups.examples[0][0] == max(sizes)


def test_a_large_group_shows_its_first_members(tmp_path):
    tiny = write_tiny_pairset(tmp_path, samples=60)
    with edit(tiny.root, "samples") as rows:
        for row in rows[20:40]:
            row["group_id"] = 20
    facts = scan_samples(Pairset.open(tiny.root), 0)
    assert facts.groups.examples[0] == (20, [20, 21, 22, 23, 24, 25])
    assert facts.groups.sizes[-1] == ("16–31", 1)


def test_rejects_are_counted_with_three_examples_each(tmp_path):
    tiny = write_tiny_pairset(tmp_path, samples=40)
    with edit(tiny.root, "rejects") as rows:
        rows += [dict(rows[0], key=f"more/{i}") for i in range(9)]
    facts = scan_rejects(Pairset.open(tiny.root))
    assert facts.rows == 14
    assert facts.codes[0] == ("truncated_image", 11)
    assert facts.codes[1:] == [("duplicate_key", 1), ("empty_file", 1), ("not_an_image", 1)]
    assert [key for key, _, _ in facts.examples["truncated_image"]] == ["bad/0", "bad/4", "more/0"]
