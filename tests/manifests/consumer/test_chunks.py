"""Cached contrastive training has the gradients of the whole batch."""

import pytest
import torch
from consumer_steps import steps
from torch import nn

from curate.manifests.consumer.chunks import in_chunks
from curate.manifests.errors import UsageError


class Counting(nn.Module):
    """Two layers and dropout, counting the rows of each call."""

    def __init__(self, dropout):
        super().__init__()
        torch.manual_seed(0)
        self.layers = nn.Sequential(
            nn.Linear(5, 7), nn.Dropout(dropout), nn.Tanh(), nn.Linear(7, 3)
        )
        self.calls = []

    def forward(self, rows):
        self.calls.append(len(rows))
        return self.layers(rows)


def by_hand(net, rows, loss_of, chunk):
    """GradCache as in its paper: features without gradient, their gradients, chunks again."""
    states, features = [], []
    with torch.no_grad():
        for part in rows.split(chunk):
            states.append(torch.get_rng_state())
            features.append(net(part))
    cached = torch.cat(features).requires_grad_()
    loss = loss_of(cached)
    loss.backward()
    for part, state, grad in zip(rows.split(chunk), states, cached.grad.split(chunk), strict=True):
        torch.set_rng_state(state)
        (net(part) * grad).sum().backward()
    return loss.item(), [weight.grad for weight in net.parameters()]


def contrast(features):
    z = nn.functional.normalize(features, dim=1)
    logits = z[:5] @ z[5:].T / 0.2
    return nn.functional.cross_entropy(logits, torch.arange(5))


@pytest.mark.parametrize("dropout", [0.0, 0.5])
def test_it_equals_the_two_passes_of_the_paper(dropout):
    rows = torch.randn(10, 5, generator=torch.Generator().manual_seed(1))
    paper, net = Counting(dropout), Counting(dropout)
    torch.manual_seed(3)
    expected, gradients = by_hand(paper, rows, contrast, 4)
    torch.manual_seed(3)
    loss = contrast(in_chunks(net, rows, 4))
    assert net.calls == [4, 4, 2]
    loss.backward()
    assert sorted(net.calls) == sorted([4, 4, 2] * 2)
    assert loss.item() == pytest.approx(expected, abs=1e-6)
    for weight, grad in zip(net.parameters(), gradients, strict=True):
        assert torch.allclose(weight.grad, grad, atol=1e-6)


def test_without_gradients_nothing_is_done_twice():
    net, rows = Counting(0.0), torch.randn(10, 5)
    with torch.no_grad():
        found = in_chunks(net, rows, 3)
    assert net.calls == [3, 3, 3, 1]
    assert torch.allclose(found, net.layers(rows), atol=1e-6)
    in_chunks(net, rows, 0)
    assert net.calls[-1] == 10


def test_accumulated_small_batches_are_another_loss():
    rows = torch.randn(10, 5)
    net = Counting(0.0)
    halves = [torch.cat([rows[a:b], rows[5 + a : 5 + b]]) for a, b in ((0, 3), (3, 5))]
    small = [
        nn.functional.cross_entropy(
            (lambda z, n: z[:n] @ z[n:].T / 0.2)(
                nn.functional.normalize(net(half), dim=1), len(half) // 2
            ),
            torch.arange(len(half) // 2),
        )
        for half in halves
    ]
    whole = contrast(in_chunks(net, rows, 3))
    assert whole.item() > sum(small).item() / 2 + 0.1


@pytest.mark.parametrize("loss", [{}, {"kind": "moco", "queue": 48}, {"kind": "clip"}])
def test_a_step_in_chunks_is_a_step(tiny, loss):
    quick = {"batch_size": 16, "image_px": 16, "seed": 5, "projection": 32, "loss": loss}
    whole, parts = (steps(tiny.root, {**quick, "chunk": chunk}, None) for chunk in (0, 7))
    assert parts["losses"] == pytest.approx(whole["losses"], rel=1e-4)
    for name, grad in whole["grads"].items():
        scale = max(float(grad.abs().max()), 1e-3)
        assert float((parts["grads"][name] - grad).abs().max()) <= 1e-3 * scale, name


def test_batch_norms_are_refused(tiny):
    with pytest.raises(UsageError, match=r"'resnet18' has batch norms.*timm:resnet50_gn"):
        steps(tiny.root, {"encoder": "resnet18", "chunk": 4}, None)
