"""Losses of two views against plain formulas: regression, slow copies, patches."""

import math

import numpy as np
import pytest
import torch

from curate.manifests.consumer import build_head
from curate.manifests.consumer.losses.base import Slow
from curate.manifests.consumer.losses.cpc import cut
from curate.manifests.errors import UsageError
from curate.manifests.losses import (
    KINDS,
    BarlowTwins,
    Byol,
    Cpc,
    Dino,
    Msf,
    Simsiam,
    Swav,
    Vicreg,
)


def cosine(a, b):
    return float(a @ b / (np.linalg.norm(a) * np.linalg.norm(b)))


def arrays(*tensors):
    return [tensor.detach().double().numpy() for tensor in tensors]


def averaged(values, step):
    return np.average(values, weights=step.batch.weight[step.rows].numpy())


def test_byol_is_two_minus_two_cosines_both_ways(net, place, step):
    head = build_head(Byol(hidden=16), place, 0).eval()
    anchors, positives = step.anchors().images, step.positives().images
    p, q = arrays(head.predictor(net(anchors)), head.predictor(net(positives)))
    z, y = arrays(net(anchors), net(positives))
    expected = [4 - 2 * cosine(p[i], y[i]) - 2 * cosine(q[i], z[i]) for i in range(len(p))]
    assert head(net, step).item() == pytest.approx(averaged(expected, step), rel=1e-5)


def test_byol_one_way_is_msf_of_one_neighbour(net, place, step):
    byol = build_head(Byol(hidden=16, symmetric=False), place, 0)
    msf = build_head(Msf(hidden=16), place, 7)
    msf.load_state_dict(byol.state_dict())
    assert byol(net, step).item() == msf(net, step).item() > 0


def test_msf_is_the_weighted_mean_of_its_set(net, place, whole):
    head = build_head(Msf(hidden=16), place, 0).eval()
    (predicted,) = arrays(head.predictor(net(whole.anchors().images)))
    (members,) = arrays(net(whole.positives().images))
    terms = [[] for _ in predicted]
    for row, column, member in zip(*whole.positive_at, members, strict=True):
        weight = float(whole.positive_weight[row, column])
        terms[row].append((weight, 2 - 2 * cosine(predicted[row], member)))
    assert max(map(len, terms)) > 1
    expected = [np.average([v for _, v in t], weights=[w for w, _ in t]) for t in terms]
    assert head(net, whole).item() == pytest.approx(averaged(expected, whole), rel=1e-5)


def test_no_gradient_reaches_what_is_predicted(net, place, step):
    head = build_head(Simsiam(hidden=4), place, 0)
    head(net, step).backward()
    found, net.matrix.grad = net.matrix.grad, None
    z = net(torch.cat([step.anchors().images, step.positives().images]))
    p, other = head.predictor(z), torch.cat(z.chunk(2)[::-1]).detach()
    similar = torch.nn.functional.cosine_similarity(p, other).view(2, -1).mean(0)
    (-step.mean(similar)).backward()
    assert torch.allclose(found, net.matrix.grad, atol=1e-6)
    for settings in (Byol(hidden=4), Msf(hidden=4)):
        slow = build_head(settings, place, 0)
        slow(net, step).backward()
        assert all(weight.grad is None for weight in slow.slow.parameters())


def test_simsiam_is_minus_the_mean_cosine(net, place, step):
    head = build_head(Simsiam(hidden=4), place, 0).eval()
    z, y = net(step.anchors().images), net(step.positives().images)
    p, q, z, y = arrays(head.predictor(z), head.predictor(y), z, y)
    expected = [-(cosine(p[i], y[i]) + cosine(q[i], z[i])) / 2 for i in range(len(p))]
    assert head(net, step).item() == pytest.approx(averaged(expected, step), rel=1e-5)


def test_a_slow_copy_follows_and_may_come_to_rest():
    source = torch.nn.Linear(3, 2)
    slow, resting = Slow(source, 0.9), Slow(source, 0.9, rises=True)
    before = source.weight.detach().clone()
    with torch.no_grad():
        source.weight += 1
    slow.follow(source, 0.5)
    assert torch.allclose(slow.copy.weight, before + 0.1, atol=1e-6)
    resting.follow(source, 0.5)
    momentum = 1 - 0.1 * (math.cos(math.pi / 2) + 1) / 2
    assert torch.allclose(resting.copy.weight, before + 1 - momentum, atol=1e-6)
    still = resting.copy.weight.clone()
    resting.follow(source, 1.0)
    assert torch.allclose(resting.copy.weight, still)


def test_patches_overlap_by_half():
    images = torch.arange(2 * 3 * 16 * 16, dtype=torch.float32).view(2, 3, 16, 16)
    patches = cut(images, 3)
    assert patches.shape == (2, 3, 3, 3, 8, 8)
    for row in range(3):
        for column in range(3):
            at = images[:, :, 4 * row : 4 * row + 8, 4 * column : 4 * column + 8]
            assert torch.equal(patches[:, row, column], at)
    with pytest.raises(UsageError, match="at least 8 px"):
        cut(images[:, :, :6, :6], 3)


class Patches(torch.nn.Module):
    """Encodes patches of any size by their mean colour and spread."""

    projection = 6

    def forward(self, given):
        images = getattr(given, "images", given)
        flat = images.flatten(2)
        return torch.nn.functional.normalize(torch.cat([flat.mean(2), flat.std(2)], 1), dim=1)


def test_cpc_against_loops(place, step):
    from curate.manifests.consumer import Place

    net, t = Patches(), 0.2
    head = build_head(Cpc(t=t, grid=3, ahead=2), Place(net, 1, 160), 0)
    anchors = step.anchors()
    n = len(anchors)
    z = net(cut(anchors.images, 3).flatten(0, 2)).view(n, 3, 3, 6)
    allowed = step.allowed(anchors.ids, anchors.groups).numpy()
    terms = []
    for ahead in (1, 2):
        for row in range(3 - ahead):
            losses = []
            for i in range(n):
                for column in range(3):
                    context = head.reader(z[i, : row + 1, column][None])[0][0, -1]
                    guess = head.predictors[ahead - 1](context).detach().numpy()
                    guess = guess / np.linalg.norm(guess)
                    scores = {
                        (j, c): guess @ z[j, row + ahead, c].numpy() / t
                        for j in range(n)
                        for c in range(3)
                        if j == i or allowed[i, j]
                    }
                    total = np.log(sum(np.exp(list(scores.values()))))
                    losses.append(total - scores[i, column])
            weight = np.repeat(step.batch.weight[step.rows].numpy(), 3)
            terms.append(np.average(losses, weights=weight))
    assert not allowed.all()
    assert head(net, step).item() == pytest.approx(np.mean(terms), rel=1e-4)
    with pytest.raises(UsageError, match="from 1 to 2"):
        build_head(Cpc(grid=3, ahead=3), place, 0)


def test_what_lightly_gives_is_asked_for_by_name(place, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "lightly.loss", None)
    for settings in (BarlowTwins(), Vicreg(), Swav(), Dino(outputs=8)):
        with pytest.raises(UsageError, match=r'pip install "curate-pairs\[controls\]"'):
            build_head(settings, place, 0)


def test_barlow_twins_and_vicreg_against_formulas(net, place, step):
    pytest.importorskip("lightly")
    a, b = arrays(net.project(step.anchors().images), net.project(step.positives().images))
    n, d = a.shape

    def standard(x):
        return (x - x.mean(0)) / np.sqrt(x.var(0) + 1e-5)

    c = standard(a).T @ standard(b) / n
    expected = sum((1 - c[i, i]) ** 2 for i in range(d))
    expected += 0.1 * sum(c[i, j] ** 2 for i in range(d) for j in range(d) if i != j)
    head = build_head(BarlowTwins(off_diagonal=0.1), place, 0)
    assert head(net, step).item() == pytest.approx(expected, rel=1e-4)

    def variance(x):
        return np.maximum(0, 1 - np.sqrt(x.var(0, ddof=1) + 1e-4)).mean()

    def covariance(x):
        cov = np.cov(x.T)
        return sum(cov[i, j] ** 2 for i in range(d) for j in range(d) if i != j) / d

    expected = 2 * np.mean((a - b) ** 2) + 3 * (variance(a) + variance(b)) / 2
    expected += 0.5 * (covariance(a) + covariance(b))
    head = build_head(Vicreg(invariance=2, variance=3, covariance=0.5), place, 0)
    assert head(net, step).item() == pytest.approx(expected, rel=1e-4)


def test_swav_swaps_balanced_codes(net, place, step):
    pytest.importorskip("lightly")
    head = build_head(Swav(t=0.2, prototypes=5, epsilon=0.1, iterations=4), place, 0)
    prototypes = head.prototypes.detach().double().numpy()
    prototypes /= np.linalg.norm(prototypes, axis=1, keepdims=True)
    scores = [
        rows @ prototypes.T
        for rows in arrays(net(step.anchors().images), net(step.positives().images))
    ]

    def codes(s):
        q = np.exp(s / 0.1).T
        q /= q.sum()
        for _ in range(4):
            q /= q.sum(1, keepdims=True) * len(q)
            q /= q.sum(0, keepdims=True) * q.shape[1]
        return (q * q.shape[1]).T

    def log_softmax(s):
        return s - np.log(np.exp(s).sum(1, keepdims=True))

    left, right = scores
    expected = -(codes(left) * log_softmax(right / 0.2)).sum(1).mean() / 2
    expected -= (codes(right) * log_softmax(left / 0.2)).sum(1).mean() / 2
    assert head(net, step).item() == pytest.approx(expected, rel=1e-4)


def test_dino_warms_its_teacher_up(place):
    pytest.importorskip("lightly")
    head = build_head(Dino(outputs=8, first_teacher_t=0.02, teacher_t=0.06, warmup=0.5), place, 0)
    found = [head.teacher_t(progress) for progress in (0, 0.25, 0.5, 1)]
    assert found == pytest.approx([0.02, 0.04, 0.06, 0.06])


def test_every_kind_is_a_module_of_its_name():
    from curate.manifests.consumer.losses import head_class

    for kind in KINDS:
        assert head_class(kind).__module__.endswith(f".{kind}")
