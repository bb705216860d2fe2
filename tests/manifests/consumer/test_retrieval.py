import numpy as np
import pytest
import torch
from tiny_pairset import edit, write_tiny_pairset

from curate.manifests import Pairset
from curate.manifests.consumer.retrieval import CaptionedSamples, captioned_samples, recalls


def by_loops(samples, pictures, texts, depth):
    features, ids = pictures
    places = [samples.ids.tolist().index(i) for i in ids.tolist()]
    known = [j for j, owner in enumerate(samples.owner.tolist()) if owner in places]

    def hit(query, candidates):
        right = [score for score, owner in candidates if owner == query]
        wrong = [
            score for score, owner in candidates if samples.groups[owner] != samples.groups[query]
        ]
        return sum(score >= max(right) for score in wrong) < depth

    forth = [
        hit(p, [(float(features[at] @ texts[j]), samples.owner[j]) for j in known])
        for at, p in enumerate(places)
    ]
    back = [
        hit(samples.owner[j], [(float(features[at] @ texts[j]), p) for at, p in enumerate(places)])
        for j in known
    ]
    return np.mean(forth), np.mean(back)


def test_recalls_equal_loops():
    rng = np.random.default_rng(0)
    ids = np.array([2, 5, 6, 9, 11, 12, 20, 21])
    owner = np.array([0, 0, 0, 1, 2, 2, 3, 4, 5, 5, 6, 7])
    groups = np.array([0, 0, 2, 3, 4, 5, 6, 6])
    samples = CaptionedSamples(ids, groups, ["x"] * len(owner), owner, "")
    centres = rng.normal(size=(8, 6))
    pictures = torch.nn.functional.normalize(torch.from_numpy(centres + rng.normal(size=(8, 6))))
    texts = torch.nn.functional.normalize(
        torch.from_numpy(centres[owner] + rng.normal(size=(12, 6)))
    )
    for read in (np.arange(8), np.array([0, 2, 3, 6])):
        given = (pictures[read], ids[read])
        found = recalls(samples, given, texts)
        for depth in (1, 5):
            expected = by_loops(samples, given, texts, depth)
            assert (found[f"i2t_r{depth}"], found[f"t2i_r{depth}"]) == pytest.approx(expected)
    assert 0 < found["i2t_r1"] < 1


def test_features_that_are_all_alike_find_nothing():
    ids = np.arange(20)
    samples = CaptionedSamples(ids, ids, ["x"] * 20, ids, "")
    same = torch.ones(20, 4) / 2
    assert set(recalls(samples, (same, ids), same).values()) == {0.0}
    own = torch.eye(20)
    assert set(recalls(samples, (own, ids), own).values()) == {1.0}


def test_captions_come_from_the_validation_split(tiny):
    samples = captioned_samples(Pairset.open(tiny.root), 1000, 0)
    expected = [
        i
        for i, (split, own) in enumerate(zip(tiny.splits, tiny.captions, strict=True))
        if split == "val" and own
    ]
    assert samples.split == "val"
    assert samples.ids.tolist() == expected
    assert samples.captions == [text for i in expected for text in tiny.captions[i]]
    owners = [at for at, i in enumerate(expected) for _ in tiny.captions[i]]
    assert samples.owner.tolist() == owners
    assert samples.groups.tolist() == tiny.group_id[expected].tolist()
    few = captioned_samples(Pairset.open(tiny.root), 4, 0)
    assert len(few.ids) == 4
    assert set(few.ids.tolist()) <= set(expected)


def test_samples_without_words_are_left_out(tmp_path):
    tiny = write_tiny_pairset(tmp_path / "out", samples=20, image_size=8)
    with edit(tiny.root, "samples") as rows:
        for row in rows:
            row["split"] = "train"
            row["captions"] = [[], [" ", "late"], ["a", "", "b"]][row["sample_id"] % 3]
            row["caption"] = row["captions"][0] if row["captions"] else None
    samples = captioned_samples(Pairset.open(tiny.root), 100, 0)
    assert samples.split == ""
    assert samples.ids.tolist() == list(range(2, 20, 3))
    assert samples.captions == ["a", "b"] * 6
