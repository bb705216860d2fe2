"""The batches of two processes together are the batch of one."""

import dataclasses

import numpy as np
import pytest
import torch
from runs import curate, vector_config, vector_corpus

from curate.manifests import PairStream
from curate.manifests.consumer.company import united
from curate.manifests.consumer.distributed import Ranks
from curate.manifests.pairset import Pairset
from curate.manifests.stream import ImageTransform
from curate.manifests.stream.batch import Settings, complete, compose
from curate.manifests.stream.columns import Request, build

CPU = torch.device("cpu")


def equal(left, right, but=()):
    for item in dataclasses.fields(left):
        one, other = getattr(left, item.name), getattr(right, item.name)
        if item.name in but:
            continue
        if isinstance(one, torch.Tensor):
            assert torch.equal(one, other), item.name
            assert one.dtype == other.dtype
        elif dataclasses.is_dataclass(one):
            equal(one, other)
        else:
            assert one == other, item.name


def joined(parts):
    """What each of the processes has of the whole, images by place."""
    bare = [dataclasses.replace(part, images=part.images[:0]) for part in parts]
    found = []
    for rank, part in enumerate(parts):
        whole, company = united(bare, part.images, Ranks(rank, len(parts), CPU))
        own = [company.images[i] == rank for i in range(len(whole.sample_id))]
        assert all(company.own[i] >= 0 for i, has in enumerate(own) if has)
        at = company.own[company.own >= 0]
        assert torch.equal(part.sample_id[at], whole.sample_id[company.own >= 0])
        assert company.rows.tolist() == [r for r, p in enumerate(parts) for _ in range(len(p))]
        for row in (company.rows == rank).nonzero()[:, 0].tolist():
            members = [whole.anchor[row], *whole.positive[row], *whole.negative[row]]
            assert all(company.own[place] >= 0 for place in members if place >= 0)
        found.append((whole, company))
    return found


@pytest.mark.parametrize("world", [2, 4])
def test_streams_of_ranks_are_one_stream(tiny, world):
    def batch(rank, of):
        stream = PairStream(
            tiny.root, 16, rank=rank, world_size=of, transform=ImageTransform(8), captions=True
        )
        return next(iter(stream))

    alone = batch(0, 1)
    ranks = joined([batch(rank, world) for rank in range(world)])
    for whole, company in ranks:
        equal(whole, alone, but=("images",))
        held = (company.own >= 0).nonzero()[:, 0]
        assert torch.equal(whole.images[company.own[held]], alone.images[held])
    lowest = torch.stack([company.own >= 0 for _, company in ranks]).int().argmax(0)
    assert torch.equal(lowest, ranks[0][1].images)


def test_recipes_soft_targets_and_missing_images(tmp_path):
    corpus = vector_corpus(tmp_path / "corpus", rows=200)
    config = vector_config(
        corpus,
        tmp_path / "c.yaml",
        synthetic=[{"miner": "mochi", "mixed": 5, "with_anchor": 2}],
        soft=[{"miner": "teacher", "k": 6, "t": 0.05}],
    )
    curate("run", config, "-o", tmp_path / "out", "--ray", "off", "--no-report")
    columns = build(Pairset.open(tmp_path / "out"), Request(captions=True))
    settings = Settings(captions=True, mixes=4)
    missing = {3, 50, 51}

    def batch(rows):
        plan = compose(columns, rows, np.ones(len(rows), bool), settings)
        images = [None if i in missing else torch.full((3, 1, 1), float(i))
                  for i in plan.sample_id.tolist()]  # fmt: skip
        return complete(columns, plan, images, settings)

    rows = np.array([0, 50, 7, 8, 3, 120])
    alone = batch(rows)
    for whole, company in joined([batch(rows[:3]), batch(rows[3:])]):
        equal(whole, alone, but=("images", "bad_images"))
        at = company.own[company.own >= 0]
        pixels = whole.images[at][:, 0, 0, 0].long()
        assert torch.equal(pixels, whole.sample_id[company.own >= 0])


def test_generated_pictures_stand_behind_samples():
    def part(ids, anchor):
        n = len(anchor)
        empty = torch.zeros(n, 0)
        from curate.manifests.stream import PairBatch

        places = torch.tensor(anchor)
        return PairBatch(
            images=torch.zeros(len(ids), 3, 2, 2),
            anchor=places,
            positive=places[:, None],
            negative=places[:, None][:, :0],
            positive_weight=torch.ones(n, 1),
            negative_weight=empty,
            fn_ids=empty.long(),
            sample_id=torch.tensor(ids),
            groups=torch.tensor(ids)[:, None],
            weight=torch.ones(n),
            pair_id=torch.arange(n),
            valid=torch.ones(n, dtype=torch.bool),
        )

    parts = [part([4, 9, -2, -7], [0, 3]), part([4, 5, -7], [1, -1])]
    whole, company = joined(parts)[1]
    assert whole.sample_id.tolist() == [4, 5, 9, -2, -7]
    assert whole.anchor.tolist() == [0, 4, 1, -1]
    assert company.images.tolist() == [0, 1, 0, 0, 0]
    assert company.own.tolist() == [0, 1, -1, -1, 2]
