"""Other pairs in the place of lost ones: which rows change, with what, and what they hold."""

import numpy as np
import pytest
import torch

from curate.manifests import PairStream, StreamError, TooManyBadImages
from curate.manifests.fingerprint import draw_uint64
from curate.manifests.stream import ImageTransform
from curate.manifests.stream.budget import FailureBudget

G = 24
SMALL = ImageTransform(4)


def stream_of(root, **settings):
    settings = {"transform": SMALL, "max_bad_fraction": 0.9, "max_bad_run": 0, **settings}
    return PairStream(root, G, on_bad_image="replace", **settings)


def test_lost_pairs_are_those_that_a_reading_of_the_table_says(tiny, copy, damage):
    bad = set(range(0, 200, 7))
    damage(copy, bad)
    stream, plain = stream_of(copy), PairStream(tiny.root, G, transform=SMALL)
    columns = plain.columns
    train = [row for row, split in enumerate(tiny.splits) if split == "train"]

    def whole(row):
        positives = [i for i in columns["positive_ids"][row].tolist() if i >= 0]
        return int(columns["anchor_id"][row]) not in bad and any(i not in bad for i in positives)

    seen = 0
    for epoch in (0, 1):
        stream.set_epoch(epoch)
        plain.set_epoch(epoch)
        for got, wanted in zip(stream, plain, strict=True):
            assert bool(got.valid.all())
            for at, row in enumerate(wanted.pair_id.tolist()):
                turn, other = 0, row
                while not whole(other):
                    draw = draw_uint64(0, np.array([row]), f"replace/{epoch}/{turn}")[0, 0]
                    other, turn = train[int(draw) % len(train)], turn + 1
                assert int(got.pair_id[at]) == other
                assert bool(got.replaced[at]) == (other != row)
                assert int(got.sample_id[got.anchor[at]]) == columns["anchor_id"][other]
                seen += other != row
    assert seen > 20


def test_a_pair_that_keeps_a_positive_stays(tiny, copy, damage):
    columns = PairStream(tiny.root, G, transform=SMALL).columns
    both = np.flatnonzero((columns["positive_ids"] >= 0).all(axis=1))
    row = next(int(r) for r in both if tiny.splits[r] == "train")
    lost, kept = columns["positive_ids"][row].tolist()
    damage(copy, [lost])
    for batch in stream_of(copy, drop_last=False):
        for at in (batch.pair_id == row).nonzero()[:, 0].tolist():
            assert not batch.replaced[at] or not batch.valid[at]
            if batch.valid[at]:
                assert batch.positive[at, 0] == -1
                assert batch.positive_weight[at, 0] == 0
                assert int(batch.sample_id[batch.positive[at, 1]]) == kept


def test_a_corpus_that_is_all_bad_ends_and_says_why(copy, damage):
    damage(copy, range(200))
    batch = next(iter(stream_of(copy, max_bad_fraction=1.0)))
    assert not batch.valid.any()
    with pytest.raises(TooManyBadImages, match="max_bad_fraction"):
        next(iter(stream_of(copy, max_bad_fraction=0.01)))


def test_a_run_of_failures_stops_whatever_the_share(copy):
    (copy / "images/part-00001.tar").unlink()
    settings = {"on_bad_image": "mask", "max_bad_fraction": 1.0, "transform": SMALL}
    with pytest.raises(TooManyBadImages, match=r"^30 reads of images failed one after the other"):
        list(PairStream(copy, 60, max_bad_run=30, **settings))
    assert len(list(PairStream(copy, 60, max_bad_run=0, **settings)))


def test_only_failures_in_a_row_count_as_a_run():
    budget = FailureBudget(1.0, run=3)
    for turn in range(10):
        budget.spend(str(turn), ValueError("x"))
        budget.spend(str(turn), ValueError("x"))
        budget.good()
    assert (budget.bad, budget.in_a_row) == (20, 0)
    budget.spend("x", ValueError())
    budget.spend("x", ValueError())
    with pytest.raises(TooManyBadImages, match="max_bad_run=3 allows fewer"):
        budget.spend("x", ValueError())
    with pytest.raises(StreamError, match="set on_bad_image='mask' or 'replace'"):
        FailureBudget(1.0, goes_on=False).spend("x", ValueError("y"))


def test_names_of_bad_images_do_not_pile_up():
    budget = FailureBudget(1.0, run=0, read=3000)
    for name in range(3000):
        budget.spend(str(name), ValueError())
    assert len(budget.named) == 1000


def test_images_are_filled_up_to_a_multiple(tiny, copy, damage):
    damage(copy, range(0, 200, 11))
    settings = {"transform": SMALL, "max_bad_fraction": 0.9, "captions": True}
    plain = PairStream(copy, G, **settings)
    for one, wide in zip(plain, PairStream(copy, G, pad_to_multiple=16, **settings), strict=True):
        used = len(one.images)
        assert len(wide.images) == len(wide.sample_id) == len(wide.groups) == len(wide.captions)
        assert len(wide.images) % 16 == 0
        assert 0 <= len(wide.images) - used < 16
        assert torch.equal(wide.images[:used], one.images)
        assert not wide.images[used:].any()
        assert (wide.sample_id[used:] == -1).all()
        assert (wide.groups[used:] == -1).all()
        assert wide.captions[:used] == one.captions
        for name in ("anchor", "positive", "negative", "weight", "fn_ids", "valid"):
            assert torch.equal(getattr(wide, name), getattr(one, name))


@pytest.mark.parametrize("epoch", [0, 1])
def test_picked_members_are_read_alone_and_the_other_positives_are_masked(tiny, epoch):
    settings = {"transform": SMALL, "seed": 5}
    whole = PairStream(tiny.root, G, **settings)
    few = PairStream(tiny.root, G, positives=1, negatives=2, **settings)
    for stream in (whole, few):
        stream.set_epoch(epoch)

    def ids(batch, name):
        named = torch.cat([batch.sample_id, torch.tensor([-1])])
        return named[getattr(batch, name)]

    picks = set()
    for one, part in zip(whole, few, strict=True):
        assert part.positive.shape == (G, 1)
        assert part.negative.shape == (G, 2)
        assert len(part.images) < len(one.images)
        needed = torch.cat([ids(part, n).flatten() for n in ("anchor", "positive", "negative")])
        assert set(part.sample_id.tolist()) == set(needed.tolist()) - {-1}
        for at in range(G):
            known = [i for i in ids(one, "positive")[at].tolist() if i >= 0]
            (shown,) = ids(part, "positive")[at].tolist()
            assert shown in known
            picks.add(known.index(shown))
            others = {i for i in known if i != shown}
            masked = {i for i in part.fn_ids[at].tolist() if i >= 0}
            assert masked == others | {i for i in one.fn_ids[at].tolist() if i >= 0}
            assert part.positive_weight[at].sum() == pytest.approx(one.positive_weight[at].sum())
            negatives = ids(part, "negative")[at].tolist()
            assert set(negatives) - {-1} <= set(ids(one, "negative")[at].tolist())
    assert picks == {0, 1}
    assert next(iter(PairStream(tiny.root, G, negatives=0, **settings))).negative.shape == (G, 0)
