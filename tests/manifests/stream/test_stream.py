import io

import numpy as np
import pytest
import torch
from PIL import Image
from tiny_pairset import add_plan, edit, write_tiny_pairset
from torch.utils.data import DataLoader

from curate.manifests import PairStream, StateMismatch, StreamError, TooManyBadImages
from curate.manifests.errors import PairsetError, UsageError
from curate.manifests.stream import ImageTransform
from curate.manifests.stream.images import FailureBudget

# The machine may have fewer cores than a topology has workers; that is no matter here.
pytestmark = pytest.mark.filterwarnings("ignore:This DataLoader will create")
G = 24
SMALL = ImageTransform(8)


def test_an_epoch_meets_every_pair_once_with_the_right_images(tiny):
    stream = PairStream(tiny.root, 20, transform=ImageTransform(16), drop_last=False)
    assert stream.split == "train"
    seen = []
    for batch in stream:
        for at in range(len(batch)):
            if batch.valid[at]:
                sample = int(batch.sample_id[batch.anchor[at]])
                assert sample == batch.pair_id[at]
                seen.append(sample)
        one = int(batch.sample_id[0])
        pixels = np.asarray(Image.open(io.BytesIO(tiny.payloads[one])).convert("RGB"))
        assert np.array_equal((batch.images[0].permute(1, 2, 0) * 255).round().numpy(), pixels)
    assert sorted(seen) == [i for i, split in enumerate(tiny.splits) if split == "train"]


def test_the_last_batch_is_dropped_or_filled_with_invalid_repeats(tiny):
    pairs = tiny.splits.count("train")
    dropping = PairStream(tiny.root, G, transform=SMALL)
    filling = PairStream(tiny.root, G, transform=SMALL, drop_last=False)
    assert (len(dropping), len(filling)) == (pairs // G, pairs // G + 1)
    *whole, last = list(filling)
    assert all(bool(batch.valid.all()) for batch in whole)
    assert int(last.valid.sum()) == pairs % G
    assert float(last.weight.sum()) == pairs % G
    assert [b.pair_id.tolist() for b in dropping] == [b.pair_id.tolist() for b in whole]
    tails = set()
    for epoch in range(4):
        dropping.set_epoch(epoch)
        used = {int(pair) for batch in dropping for pair in batch.pair_id}
        assert len(used) == pairs // G * G
        tails.add(frozenset(range(200)) - used)
    assert len(tails) == 4


def test_an_early_end_goes_on_and_a_new_epoch_reaches_living_workers(tiny):
    loader = PairStream(tiny.root, G, transform=SMALL).loader(2)
    quiet = PairStream(tiny.root, G, transform=SMALL)

    def epoch_of(number):
        quiet.seek(number)
        return [batch.pair_id.tolist() for batch in quiet]

    got = []
    for batch in loader:
        got.append(batch.pair_id.tolist())
        assert loader.stream.place == (0, 0)  # a worker that starts late must still read this
        if len(got) == 3:
            break
    assert (loader.epoch, loader.batches_done) == (0, 3)
    got += [batch.pair_id.tolist() for batch in loader]
    assert got == epoch_of(0)
    assert loader.epoch == 1
    assert [batch.pair_id.tolist() for batch in loader] == epoch_of(1)
    loader.set_epoch(7)
    assert [batch.pair_id.tolist() for batch in loader] == epoch_of(7)
    loader.set_epoch(8)
    next(iter(loader))
    loader.set_epoch(8)
    assert loader.batches_done == 1
    assert len(epoch_of(0)) == len(loader)


def test_the_last_batch_of_an_epoch_is_followed_by_the_next_epoch(tiny):
    loader = PairStream(tiny.root, G, transform=SMALL).loader()
    for batch in loader:
        del batch
        if loader.state_dict()["epoch"] == 1:
            break
    assert (loader.epoch, loader.batches_done) == (1, 0)
    assert len(list(loader)) == len(loader)


def test_a_plain_dataloader_gives_the_same_batches(tiny):
    stream = PairStream(tiny.root, G, transform=SMALL)
    expected = [batch.pair_id.tolist() for batch in stream]
    loader = DataLoader(stream, batch_size=None, num_workers=2)
    assert len(loader) == len(expected)
    assert [batch.pair_id.tolist() for batch in loader] == expected
    again = PairStream(tiny.root, G, transform=SMALL)
    again.load_state_dict(stream.state_at(0, 4))
    assert again.state_dict()["samples_in_epoch"] == 4 * G
    assert [batch.pair_id.tolist() for batch in again] == expected[4:]
    assert again.state_dict() == stream.state_at(1, 0)  # as at the end of any epoch


def test_another_batch_size_goes_on_at_a_common_boundary(tiny):
    expected = [p for b in PairStream(tiny.root, 12, transform=SMALL) for p in b.pair_id.tolist()]
    other = PairStream(tiny.root, 12, transform=SMALL)
    other.load_state_dict(PairStream(tiny.root, G).state_at(0, 3))
    got = [pair for batch in other for pair in batch.pair_id.tolist()]
    assert got == expected[3 * G :]


@pytest.mark.parametrize("workers", [0, 2])
def test_bad_images_leave_the_order_and_cost_only_their_pairs(tiny, copy, damage, workers):
    bad = [4, 11, 150]
    damage(copy, bad)
    settings = {"transform": SMALL, "drop_last": False, "max_bad_fraction": 0.1}
    good = list(PairStream(tiny.root, G, **settings))
    masked = list(PairStream(copy, G, **settings).loader(workers))
    assert [b.pair_id.tolist() for b in masked] == [b.pair_id.tolist() for b in good]
    assert sum(b.bad_images for b in masked) >= 3
    for one, other in zip(good, masked, strict=True):
        ids = set(other.sample_id.tolist())
        assert set(one.sample_id.tolist()) - ids == set(one.sample_id.tolist()) & set(bad)
        for at in range(len(one)):
            anchor = int(one.pair_id[at])
            if anchor in bad:
                assert not other.valid[at]
                assert other.weight[at] == 0


def test_a_spent_budget_and_a_strict_stream_stop(copy, damage):
    damage(copy, range(0, 200, 10))
    with pytest.raises(TooManyBadImages, match=r"max_bad_fraction=0\.005"):
        list(PairStream(copy, G, transform=SMALL, max_bad_fraction=0.005))
    with pytest.raises(TooManyBadImages, match=r"^6 of \d+ reads of images failed"):
        list(PairStream(copy, G, transform=SMALL, max_bad_fraction=0.005).loader(2))
    with pytest.raises(StreamError, match=r"sample_id \d+0 \(images/part-0000\d.tar at \d+\)"):
        list(PairStream(copy, G, transform=SMALL, on_bad_image="raise"))


def test_the_budget_is_a_share_of_what_was_read():
    budget = FailureBudget(0.01, run=0)
    budget.read = 100_000
    for _ in range(1000):
        budget.spend("x", ValueError())
    with pytest.raises(TooManyBadImages, match="1001 of 100000"):
        budget.spend("x", ValueError())


def test_a_missing_shard_is_many_bad_images_and_names_itself(copy):
    (copy / "images/part-00001.tar").unlink()
    with pytest.raises(TooManyBadImages, match="part-00001"):
        list(PairStream(copy, G, transform=SMALL))


def test_a_sample_without_an_image_costs_no_budget(copy):
    with edit(copy, "samples") as rows:
        rows[3].update(shard="", offset=0, size=0)
    stream = PairStream(copy, G, transform=SMALL, max_bad_fraction=0.0, drop_last=False)
    valid = {
        p for b in stream for p, v in zip(b.pair_id.tolist(), b.valid.tolist(), strict=True) if v
    }
    assert 3 not in valid
    assert len(valid) >= 150


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"rank": 0, "world_size": 5}, "multiple of world_size=5"),
        ({"world_size": 2}, "give both, or none"),
        ({"batch_size": 0}, "positive multiple"),
        ({"rank": 2, "world_size": 2}, "rank must be in"),
        ({"order": "blok"}, "allowed: block, clusters, global, plan"),
        ({"on_bad_image": "skip"}, "allowed: 'mask', 'replace', 'raise'"),
        ({"split": "trian"}, "there are: 'train', 'val'"),
    ],
)
def test_settings_that_cannot_work_are_refused_at_once(tiny, settings, text):
    with pytest.raises(UsageError, match=text):
        PairStream(**{"root": tiny.root, "batch_size": G, **settings})


def test_a_batch_larger_than_the_split_is_refused(tiny):
    with pytest.raises(StreamError, match="not one batch"):
        PairStream(tiny.root, 10_000)
    assert len(PairStream(tiny.root, 10_000, drop_last=False)) == 1


def test_no_images_and_no_pairset(tmp_path):
    write_tiny_pairset(tmp_path / "vectors", samples=40, with_images=False)
    with pytest.raises(StreamError, match="holds no images"):
        PairStream(tmp_path / "vectors", 4)
    with pytest.raises(PairsetError):
        PairStream(tmp_path, 4)


def test_without_splits_all_pairs_are_streamed(copy):
    for table in ("pairs", "samples"):
        for file in range(2):
            with edit(copy, table, file) as rows:
                for row in rows:
                    row["split"] = ""
    stream = PairStream(copy, G)
    assert (stream.split, stream.pairs) == (None, 200)


def test_a_transform_of_another_kind_is_refused(tiny):
    with pytest.raises(StreamError, match="float32 tensor"):
        next(iter(PairStream(tiny.root, G, transform=lambda image, draw: torch.zeros(3))))


def test_normalising_transform(tiny):
    image = Image.new("RGB", (20, 10), (255, 0, 51))
    out = ImageTransform(4, mean=(0.5, 0.5, 0.2), std=(0.5, 0.25, 0.1))(image)
    assert out.shape == (3, 4, 4)
    assert torch.allclose(out[:, 0, 0], torch.tensor([1.0, -2.0, 0.0]), atol=1e-6)


@pytest.fixture
def planned(tiny, copy):
    """A pairset with a plan of six batches, and the pair_ids of each."""
    train = [row for row, split in enumerate(tiny.splits) if split == "train"]
    batches = np.random.default_rng(5).permutation(train)[: 6 * G].reshape(6, G)
    add_plan(copy, batches, "b3")
    add_plan(copy, batches[:, ::-1], "gcbs")
    return copy, batches


def test_a_plan_is_walked_batch_by_batch_in_another_order_each_epoch(planned):
    root, batches = planned
    stream = PairStream(root, order="plan", plan="b3", transform=SMALL)
    assert (stream.batch_size, stream.split, len(stream)) == (G, "train", 6)
    walks = []
    for epoch in range(3):
        stream.set_epoch(epoch)
        got = [batch.pair_id.tolist() for batch in stream]
        assert sorted(got) == sorted(batches.tolist())
        walks.append([batches.tolist().index(batch) for batch in got])
    assert len(set(map(tuple, walks))) == 3


def test_a_block_order_meets_every_pair_once(tiny):
    stream = PairStream(tiny.root, 20, order="block", window=2, transform=SMALL, drop_last=False)
    seen = [
        pair
        for batch in stream
        for pair, valid in zip(batch.pair_id.tolist(), batch.valid.tolist(), strict=True)
        if valid
    ]
    assert sorted(seen) == [i for i, split in enumerate(tiny.splits) if split == "train"]


def test_a_state_of_another_order_or_plan_is_refused(planned):
    root, _ = planned

    def stream(**settings):
        return PairStream(root, G, transform=SMALL, **settings)

    state = stream(order="plan", plan="b3").state_at(1, 2)
    assert state["order"] == {"algo": "feistel4-v1", "mode": "plan:b3"}
    for other, name in [
        (stream(), "global"),
        (stream(order="plan", plan="gcbs"), "plan:gcbs"),
        (stream(order="block", window=8), "block:8"),
    ]:
        with pytest.raises(StateMismatch, match=f"order: 'plan:b3' in the state, '{name}' here"):
            other.load_state_dict(state)
    again = stream(order="plan", plan="b3")
    again.load_state_dict(state)
    assert again.place == (1, 2)


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"order": "plan"}, "go together"),
        ({"plan": "b3"}, "go together"),
        ({"order": "plan", "plan": "b4"}, "no plan 'b4'; it has: b3, gcbs"),
        ({"order": "plan", "plan": "b3", "batch_size": 12}, "is of batch_size 24"),
        ({"order": "plan", "plan": "b3", "split": "val"}, "is of split 'train'"),
        ({"order": "plan", "plan": "b3", "rank": 0, "world_size": 5}, "multiple of world_size=5"),
        ({"order": "block", "window": 0, "batch_size": 8}, "window=0"),
        ({"order": "global"}, "batch_size=0"),
    ],
)
def test_plans_that_cannot_be_walked_are_refused(planned, settings, text):
    with pytest.raises(UsageError, match=text):
        PairStream(planned[0], **settings)
