import numpy as np
import pytest
import torch
from tiny_pairset import edit, write_tiny_pairset

from curate.manifests import Pairset, PairStream
from curate.manifests.consumer.evaluate import (
    LabelledSamples,
    embed,
    knn_accuracy,
    labelled_samples,
)
from curate.manifests.stream import ImageTransform


def unit(rng, rows):
    x = rng.normal(size=(rows, 5))
    return (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32)


def by_loops(features, samples, k):
    right = 0
    for query in samples.queries:
        near = sorted(
            (b for b in samples.bank if samples.groups[b] != samples.groups[query]),
            key=lambda b: -float(features[b] @ features[query]),
        )[:k]
        votes = {}
        for b in near:
            weight = np.exp(float(features[b] @ features[query]) / 0.07)
            votes[samples.labels[b]] = votes.get(samples.labels[b], 0) + weight
        right += max(votes, key=votes.__getitem__) == samples.labels[query]
    return right / len(samples.queries)


@pytest.mark.parametrize("split", ["", "val"])
def test_knn_equals_loops(split):
    rng = np.random.default_rng(3)
    features, labels = unit(rng, 400), rng.integers(0, 4, 400)
    features[:, :4] += np.eye(4, dtype=np.float32)[labels] * 0.8
    features /= np.linalg.norm(features, axis=1, keepdims=True)
    groups = np.arange(400) // 2 * 2
    bank = np.arange(0, 300)
    queries = np.arange(300, 400) if split else bank
    samples = LabelledSamples(bank, queries, labels, groups, split)
    tensor = torch.from_numpy(features)
    got = knn_accuracy(samples, (tensor[bank], bank), (tensor[queries], queries), k=7)
    expected = by_loops(features, samples, 7)
    assert got == pytest.approx(expected)
    assert 0.4 < expected < 1


def test_a_duplicate_does_not_answer_for_its_twin():
    features = torch.eye(4)[[0, 0, 1, 1]]
    samples = LabelledSamples(
        np.arange(4), np.arange(4), np.array([0, 0, 1, 1]), np.array([0, 0, 2, 2]), ""
    )
    assert knn_accuracy(samples, (features, samples.bank), (features, samples.bank), k=1) == 0


def test_queries_come_from_the_validation_split(tiny):
    samples = labelled_samples(Pairset.open(tiny.root), 1000, 0)
    assert samples.split == "val"
    assert samples.queries.tolist() == [i for i, s in enumerate(tiny.splits) if s == "val"]
    assert samples.bank.tolist() == [i for i, s in enumerate(tiny.splits) if s == "train"]
    names = np.array(tiny.labels)
    same = samples.labels[:, None] == samples.labels[None, :]
    assert np.array_equal(same, names[:, None] == names[None, :])
    of_queries = names[samples.queries]
    assert samples.chance == max((of_queries == n).mean() for n in set(of_queries.tolist()))


def test_a_limit_draws_some_by_seed(tiny):
    pairset = Pairset.open(tiny.root)
    few, again, other = (labelled_samples(pairset, 5, seed) for seed in (0, 0, 1))
    assert len(few.queries) == 5
    assert len(few.bank) == 20
    assert few.bank.tolist() == again.bank.tolist() != other.bank.tolist()


def test_without_labels_or_splits(tmp_path):
    tiny = write_tiny_pairset(tmp_path / "out", samples=60, image_size=8)
    with edit(tiny.root, "samples") as rows:
        for row in rows:
            row["split"] = ""
            row["label"] = None if row["sample_id"] % 2 else row["label"]
    samples = labelled_samples(Pairset.open(tiny.root), 1000, 0)
    assert samples.split == ""
    assert samples.queries.tolist() == samples.bank.tolist() == list(range(0, 60, 2))
    with edit(tiny.root, "samples") as rows:
        for row in rows:
            row["label"] = None
    assert labelled_samples(Pairset.open(tiny.root), 1000, 0) is None


@pytest.mark.parametrize("workers", [0, 1])
def test_embed_returns_what_it_could_read(tiny, workers):
    stream = PairStream(tiny.root, 8, transform=ImageTransform(4))
    ids = np.array([3, 50, 159])
    features, kept = embed(lambda images: images.flatten(1), stream, ids, workers)
    assert kept.tolist() == ids.tolist()
    assert features.shape == (3, 48)
