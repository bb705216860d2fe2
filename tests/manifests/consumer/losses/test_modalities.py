"""Losses between pictures and captions, classes, teachers, against loops in numpy."""

import dataclasses
import math

import numpy as np
import pytest
import torch

from curate.manifests import Pairset
from curate.manifests.consumer import Step, build_head
from curate.manifests.consumer.captions import captioned
from curate.manifests.consumer.columns import sample_codes
from curate.manifests.consumer.losses.all4one import feature_term, positions
from curate.manifests.consumer.losses.avid import nce
from curate.manifests.consumer.losses.clip import symmetric_infonce
from curate.manifests.consumer.losses.cloob import infoloob, retrieve
from curate.manifests.consumer.losses.soft import soft_cross_entropy
from curate.manifests.consumer.text import BUCKETS, word_ids
from curate.manifests.errors import UsageError
from curate.manifests.losses import All4One, Avid, Clip, Cloob, Cluster, Helip, Soft

N, D = 9, 5


@pytest.fixture
def two():
    """Unit rows of both sides, and who may be contrasted."""
    rng = np.random.default_rng(0)
    x, y = (rng.normal(size=(N, D)) for _ in "xy")
    x, y = (z / np.linalg.norm(z, axis=1, keepdims=True) for z in (x, y))
    allowed = rng.random((N, N)) < 0.7
    np.fill_diagonal(allowed, False)
    return x, y, allowed


def tensors(*arrays):
    return [torch.from_numpy(np.asarray(array)) for array in arrays]


def test_clip_is_the_mean_of_both_directions(two):
    x, y, allowed = two
    hard, owner = y[:3] * -1, np.array([0, 0, 4])
    found = symmetric_infonce(*tensors(x, y, allowed), torch.tensor(3.0), *tensors(hard, owner))
    for i in range(N):
        own = np.exp(3 * x[i] @ y[i])
        forth = own + sum(np.exp(3 * x[i] @ y[j]) for j in range(N) if allowed[i, j])
        forth += sum(
            np.exp(3 * x[i] @ hard[k]) for k in range(3) if owner[k] == i or allowed[i, owner[k]]
        )
        back = own + sum(np.exp(3 * x[j] @ y[i]) for j in range(N) if allowed[j, i])
        expected = -(np.log(own / forth) + np.log(own / back)) / 2
        assert float(found[i]) == pytest.approx(expected)


def test_infoloob_leaves_out_the_diagonal(two):
    x, y, _ = two
    everyone = np.ones((N, N), bool)
    found = infoloob(*tensors(x, y, everyone), 0.2)
    for i in range(N):
        rest = sum(np.exp(x[i] @ y[j] / 0.2) for j in range(N) if j != i)
        assert float(found[i]) == pytest.approx(0.2 * (np.log(rest) - x[i] @ y[i] / 0.2))
    nobody = infoloob(*tensors(x, y, ~everyone), 0.2)
    assert nobody.numpy() == pytest.approx(-(x * y).sum(1))


def test_retrieval_is_a_softmax_over_the_store(two):
    x, y, _ = two
    found = retrieve(*tensors(x, y), 4.0).numpy()
    for i in range(N):
        e = np.exp(4 * y @ x[i])
        mean = (e[:, None] * y).sum(0) / e.sum()
        assert np.allclose(found[i], mean / np.linalg.norm(mean), atol=1e-6)


def test_cloob_pairs_what_is_retrieved_from_one_store(net, place, step):
    head = build_head(Cloob(t=0.1, beta=3.0), place, 0).eval()
    pairs = captioned(net, head.tower, step)
    x, y = pairs.images.detach(), pairs.texts.detach()

    def softly(state, store):
        rows = torch.softmax(3.0 * state @ store.T, 1) @ store
        return rows / rows.norm(dim=1, keepdim=True)

    terms = infoloob(softly(x, x), softly(y, x), pairs.allowed, 0.1)
    terms = terms + infoloob(softly(y, y), softly(x, y), pairs.allowed.T, 0.1)
    assert head(net, step).item() == pytest.approx(float((pairs.weight * terms).sum()), rel=1e-5)


def test_pairs_without_a_caption_are_left_out(net, place, batch, step):
    head = build_head(Clip(), place, 0)
    captions = list(batch.captions)
    row, column = step.positive_at
    places = batch.positive[step.rows][row, column]
    for at in places[:5].tolist():
        captions[at] = "  "
    fewer = Step(dataclasses.replace(batch, captions=captions), step.settings)
    pairs = captioned(net, head.tower, fewer)
    listed = places.tolist()
    expected = [i for i in range(len(listed)) if captions[listed[i]].strip()]
    assert pairs.rows.tolist() == expected
    assert len(expected) < len(listed)
    assert float(pairs.weight.sum()) == pytest.approx(1)
    assert pairs.text_ids.tolist() == [int(batch.sample_id[listed[i]]) for i in expected]
    assert not pairs.allowed.diagonal().any()
    empty = dataclasses.replace(batch, captions=[""] * len(captions))
    loss = head(net, Step(empty, step.settings))
    loss.backward()
    assert float(loss.detach()) == 0


def test_clips_temperature_is_learned_and_bounded(net, place, step):
    head = build_head(Clip(t=0.07, least_t=0.05), place, 0).eval()
    assert float(head.scale.detach()) == pytest.approx(math.log(1 / 0.07))
    head(net, step).backward()
    assert head.scale.grad.abs() > 0
    with torch.no_grad():
        head.scale.fill_(10.0)
        bounded = head(net, step).item()
        head.scale.fill_(math.log(1 / 0.05))
        assert head(net, step).item() == pytest.approx(bounded)


def test_negative_captions_make_it_harder(net, place, batch, step):
    head = build_head(Clip(), place, 0).eval()
    texts = [["a wrong caption", "and another"]] * len(batch)
    hard = Step(dataclasses.replace(batch, negative_texts=texts), step.settings)
    assert head(net, hard).item() > head(net, step).item()


def test_nce_is_two_classes():
    rng = np.random.default_rng(1)
    pos, neg, may = rng.normal(size=4), rng.normal(size=(4, 6)), rng.random((4, 6)) < 0.6
    found = nce(*tensors(pos, neg, may), torch.tensor(1.5))
    for i in range(4):
        noise = 6 * 1.5
        expected = -np.log(np.exp(pos[i]) / (np.exp(pos[i]) + noise))
        expected -= sum(np.log(noise / (np.exp(neg[i, k]) + noise)) for k in range(6) if may[i, k])
        assert float(found[i]) == pytest.approx(expected)


def test_avid_remembers_both_sides_by_id_and_keeps_z(net, place, step):
    head = build_head(Avid(negatives=40, momentum=0.5), place, 0).eval()
    before = head.memory.clone()
    torch.manual_seed(0)
    head(net, step)
    z = head.z.clone()
    assert (z > 0).all()
    pairs = captioned(net, head.tower, step)
    head.after(net, step)
    moved = 0.5 * before[0, pairs.image_ids] + 0.5 * pairs.images.detach()
    assert torch.allclose(head.memory[0, pairs.image_ids], moved / moved.norm(dim=1, keepdim=True))
    still = torch.ones(160, dtype=torch.bool)
    still[pairs.image_ids] = False
    assert torch.equal(head.memory[0, still], before[0, still])
    assert torch.equal(head.groups[pairs.image_ids, 0], step.batch.groups[
        step.batch.anchor[step.rows][pairs.rows], 0])  # fmt: skip
    head(net, step)
    assert torch.equal(head.z, z)


def test_soft_cross_entropy_is_a_loop():
    rng = np.random.default_rng(2)
    listed, others = rng.uniform(-1, 1, (4, 3)), rng.uniform(-1, 1, (4, 5))
    targets = np.array([[0.5, 0.3, 0.1], [0.6, 0, 0.2], [0, 0, 0], [0, 0, 1]])
    may = rng.random((4, 5)) < 0.7
    found = soft_cross_entropy(*tensors(listed, targets, others, may), 0.3)
    for i in range(4):
        here = [j for j in range(3) if targets[i, j] > 0]
        total = sum(np.exp(listed[i, j] / 0.3) for j in here)
        total += sum(np.exp(others[i, j] / 0.3) for j in range(5) if may[i, j])
        share = targets[i] / max(targets[i].sum(), 1e-12)
        expected = -sum(share[j] * np.log(np.exp(listed[i, j] / 0.3) / total) for j in here)
        assert float(found[i]) == pytest.approx(expected, abs=1e-9)


def test_a_soft_target_counts_what_was_seen(net, place, batch, step):
    head = build_head(Soft(momentum=0.0), place, 0)
    with pytest.raises(UsageError, match="section `soft`"):
        head(net, step)
    n = len(batch)
    ids = torch.full((n, 2), -1)
    ids[step.rows, 0] = step.positives().ids
    unseen = next(i for i in range(160) if i not in set(batch.sample_id.tolist()))
    ids[step.rows, 1] = unseen
    targets = torch.full((n, 2), 0.5)
    given = Step(dataclasses.replace(batch, soft_ids=ids, soft_targets=targets), step.settings)
    first = head(net, given).item()
    alone = dataclasses.replace(batch, soft_ids=ids[:, :1], soft_targets=targets[:, :1])
    assert first == pytest.approx(head(net, Step(alone, step.settings)).item())
    head.seen[unseen] = True
    assert head(net, given).item() != pytest.approx(first)


def test_classes_come_from_a_column(tiny, net, place, step):
    head = build_head(Cluster(column="label"), place, 0)
    z = net.project(step.anchors().images).detach()
    logits = head.classifier(z).detach().double().numpy()
    names = list(dict.fromkeys(tiny.labels))
    losses = []
    for i, sample in enumerate(step.anchors().ids.tolist()):
        own = names.index(tiny.labels[sample])
        losses.append(np.log(np.exp(logits[i]).sum()) - logits[i, own])
    weight = step.batch.weight[step.rows].numpy()
    expected = np.average(losses, weights=weight)
    assert head(net, step).item() == pytest.approx(expected, rel=1e-5)
    both = build_head(Cluster(column="label", contrast=2.0), place, 0)
    assert both(net, step).item() > expected
    with pytest.raises(UsageError, match="0 values: nothing to classify"):
        build_head(Cluster(), place, 0)


def test_a_column_of_samples_as_numbers(tiny):
    pairset = Pairset.open(tiny.root)
    assert sample_codes(pairset, "group_id").tolist() == tiny.group_id.tolist()
    cameras = sample_codes(pairset, "attr_camera").tolist()
    assert [code == -1 for code in cameras] == [i % 7 == 0 for i in range(160)]
    assert max(cameras) == 2
    with pytest.raises(UsageError, match="no column 'place'"):
        sample_codes(pairset, "place")
    with pytest.raises(UsageError, match="integers or texts"):
        sample_codes(pairset, "attr_lat")


def test_all4one_features_and_positions():
    rng = np.random.default_rng(3)
    a, b = rng.normal(size=(20, 4)), rng.normal(size=(20, 4))
    left, right = (x / np.linalg.norm(x, axis=0) for x in (a, b))
    c = left.T @ right
    on = np.mean([(c[i, i] - 1) ** 2 for i in range(4)])
    off = np.mean([c[i, j] ** 2 for i in range(4) for j in range(4) if i != j])
    expected = 10 * (np.sqrt(on) / 2 + np.sqrt(off) / 2)
    assert float(feature_term(*tensors(a, b))) == pytest.approx(expected)
    table = positions(5, 6).numpy()
    for at in range(5):
        for i in range(3):
            angle = at / 10000 ** (2 * i / 6)
            assert table[at, 2 * i] == pytest.approx(np.sin(angle), abs=1e-6)
            assert table[at, 2 * i + 1] == pytest.approx(np.cos(angle), abs=1e-6)


def test_all4one_reads_neighbours_in_their_order(net, place, batch, whole):
    head = build_head(All4One(hidden=8, heads=2, dropout=0.0), place, 0).eval()
    missing = batch.positive.clone()
    weight = batch.positive_weight.clone()
    both = (batch.positive >= 0).all(1).nonzero()[0, 0]
    missing[both, 0], weight[both, 0] = -1, 0
    step = Step(
        dataclasses.replace(batch, positive=missing, positive_weight=weight), whole.settings
    )
    nearest, present = head._neighbours(step)
    at = step.rows.tolist().index(int(both))
    shown = step.positives()
    row, _ = step.positive_at
    own = net(shown.images[row == at]).detach()
    assert present[at].tolist() == [True, False]
    assert torch.allclose(nearest[at, 0], own[0])
    assert math.isfinite(head(net, step).item())
    with pytest.raises(UsageError, match="heads=3 must divide"):
        build_head(All4One(heads=3), place, 0)


def test_words_and_pairs_of_words():
    one, same, other = (word_ids(text) for text in ("A red Car!", "a red car", "car red a"))
    assert one.tolist() == same.tolist()
    assert len(one) == 5
    assert set(one[:3]) == set(other[:3])
    assert set(one[3:]) != set(other[3:])
    assert ((one >= 0) & (one < BUCKETS)).all()
    assert len(word_ids(" ?! ")) == 0


def test_helip_has_hard_pairs_for_candidates_and_a_margin_to_the_rest(net, place, step):
    head = build_head(Helip(t=0.2, margin=0.7), place, 0).eval()
    pairs = captioned(net, head.tower, step)
    hard = head.hard_pairs(net, step, pairs)
    x, y = pairs.images.detach().numpy(), pairs.texts.detach().numpy()
    u, v = hard.images.detach().numpy(), hard.texts.detach().numpy()
    batch, n, total = step.batch, len(x), 0.0
    captions, ids = batch.captions, batch.sample_id.tolist()
    places = [p for p in step.hard.tolist() if captions[p].strip()]
    assert len(places) == len(u) > 3
    rows = step.rows[pairs.rows].tolist()
    margins = 0
    for i in range(n):
        listed = [p for p in batch.negative[rows[i]].tolist() if p in places]
        masked = {*batch.fn_ids[rows[i]].tolist(), int(pairs.image_ids[i])}
        masked |= {ids[p] for p in batch.positive[rows[i]].tolist() if p >= 0}
        group = batch.groups[batch.anchor[rows[i]], 0]
        free = [h for h, p in enumerate(places)
                if ids[p] not in masked and batch.groups[p, 0] != group]  # fmt: skip
        own = [h for h in free if places[h] in listed]
        allowed = [j for j in range(n) if pairs.allowed[i, j]]
        back = [j for j in range(n) if pairs.allowed[j, i]]
        for a, b, c, seen in ((x, y, v, allowed), (y, x, u, back)):
            e = [np.exp(a[i] @ b[j] / 0.2) for j in seen]
            e += [np.exp(a[i] @ c[h] / 0.2) for h in free]
            mine = np.exp(a[i] @ b[i] / 0.2)
            loss = -np.log(mine / (mine + sum(e)))
            known = {ids[p] for p in batch.negative[rows[i]].tolist() if p >= 0}
            side = pairs.image_ids if seen is back else pairs.text_ids
            others = [j for j in seen if int(side[j]) not in known]
            if own and others:
                least = min(a[i] @ c[h] for h in own)
                margin = np.mean([max(0, a[i] @ b[j] - least) for j in others])
                margins += margin > 0
                loss += 0.7 * margin
            total += float(pairs.weight[i]) * loss / 2
    assert margins > 5
    assert float(head(net, step).detach()) == pytest.approx(total, rel=1e-4)


def test_helip_without_hard_pairs_is_clip(net, place, step):
    bare = dataclasses.replace(step.batch, negative=step.batch.negative[:, :0])
    step = Step(bare, step.settings)
    losses = [build_head(kind, place, 0).eval()(net, step) for kind in (Helip(), Clip())]
    assert float(losses[0].detach()) == pytest.approx(float(losses[1].detach()), rel=1e-5)
