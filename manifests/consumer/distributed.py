"""Several processes as one: each encodes its own pictures, all of them see the whole batch's loss.

A process holds a slice of the global batch. What is cheap to send (ids, groups, lists, captions)
is sent to everybody before the step, and encoded rows are gathered with their gradients; from the
projection head on, every process computes the same numbers over the whole batch. So masks, queues,
banks, batch norms of heads, Sinkhorn and cross-correlations hold across processes without code of
their own, and gradients and weights are those of one process with the whole batch. The price is
that projection heads and the loss's matrices are computed by everybody, B x M of the global batch.

A gathered row's gradient is whole on the process that encoded it, and nowhere else; it goes back
`world` times larger, and gradients are averaged over processes, as DDP does: weights before the
gather get their sum, those behind it, equal everywhere, keep theirs.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, distributed, nn
from torch.nn.modules.batchnorm import _BatchNorm

from ..errors import UsageError

_NAMES = ("RANK", "WORLD_SIZE", "LOCAL_RANK")


@dataclass(frozen=True)
class Ranks:
    """The processes of a run.

    Attributes:
        rank: this process, 0..world - 1.
        world: processes in all, at least 2.
        device: of this process.
    """

    rank: int
    world: int
    device: torch.device

    def share(self, value: Any) -> list[Any]:
        """Return what each process gives, by rank. It is pickled; every process must call."""
        found: list[Any] = [None] * self.world
        distributed.all_gather_object(found, value)
        return found

    def average(self, weights: Iterable[nn.Parameter]) -> None:
        """Replace gradients by their mean over the processes.

        A weight without a gradient anywhere keeps none, so the optimiser leaves it alone.
        """
        learned = [weight for weight in weights if weight.requires_grad]
        used = torch.tensor([weight.grad is not None for weight in learned], dtype=torch.float32)
        used = used.to(self.device)
        distributed.all_reduce(used, distributed.ReduceOp.MAX)
        some = [weight for weight, one in zip(learned, used.tolist(), strict=True) if one]
        for kind in {weight.dtype for weight in some}:
            same = [weight for weight in some if weight.dtype == kind]
            flat = torch.cat(
                [w.new_zeros(w.numel()) if w.grad is None else w.grad.flatten() for w in same]
            )
            distributed.all_reduce(flat)
            parts = flat.div_(self.world).split([weight.numel() for weight in same])
            for weight, part in zip(same, parts, strict=True):
                weight.grad = part.view_as(weight)

    @contextmanager
    def own_draws(self) -> Iterator[None]:
        """Let what an encoder draws (dropout) be of this process alone.

        Processes encode different numbers of rows; what the loss draws afterwards is the same
        everywhere, and the same as in one process whose encoder draws nothing.
        """
        seed = torch.initial_seed()
        devices = [self.device] if self.device.type == "cuda" else []
        with torch.random.fork_rng(devices=devices):
            torch.manual_seed(seed + self.rank)
            yield


@dataclass(frozen=True)
class Holders:
    """Which process holds each of n rows.

    Attributes:
        ranks: the processes.
        of: int64 [n], ranks.
    """

    ranks: Ranks
    of: Tensor

    @property
    def own(self) -> Tensor:
        """The rows that this process holds: bool [n]."""
        return self.of == self.ranks.rank

    def __getitem__(self, which: Tensor) -> Holders:
        return Holders(self.ranks, self.of[which])

    def joined(self, *others: Holders) -> Holders:
        """Return the holders of these rows and of others behind them."""
        return Holders(self.ranks, torch.cat([self.of, *(other.of for other in others)]))

    def gather(self, rows: Tensor) -> Tensor:
        """Return all n rows, [n, d], with gradients, from this process's, [m, d], in order."""
        return _Gather.apply(rows, self.of, self.ranks)  # pyright: ignore[reportReturnType]


def encoded(holders: Holders | None, encode: Callable[[], Tensor]) -> Tensor:
    """Return all rows, [n, d], where `encode` makes those that this process holds.

    Args:
        holders: of the n rows; None where there is one process.
        encode: makes [m, d].
    """
    if holders is None:
        return encode()
    with holders.ranks.own_draws():
        own = encode()
    return holders.gather(own)


class _Gather(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, rows: Tensor, holders: Tensor, ranks: Ranks) -> Tensor:
        ctx.holders, ctx.ranks = holders, ranks
        counts = torch.bincount(holders, minlength=ranks.world).tolist()
        longest = max(counts)
        # Collectives want one shape: short parts are filled up, and cut again.
        filled = rows.new_zeros(longest, rows.shape[1])
        filled[: len(rows)] = rows
        parts = [torch.empty_like(filled) for _ in counts]
        distributed.all_gather(parts, filled)
        by_rank = torch.cat([part[:count] for part, count in zip(parts, counts, strict=True)])
        whole = torch.empty_like(by_rank)
        whole[torch.argsort(holders, stable=True)] = by_rank
        return whole

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None]:
        return grads[0][ctx.holders == ctx.ranks.rank] * ctx.ranks.world, None, None


def asked_world() -> int:
    """Return how many processes the environment says there are (torchrun's WORLD_SIZE), or 1."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def is_first() -> bool:
    """Say whether this process is the one that writes and prints."""
    return asked_world() == 1 or os.environ.get("RANK", "0") == "0"


@contextmanager
def joined_ranks(device: torch.device) -> Iterator[Ranks | None]:
    """Join the processes that the environment names, as torchrun starts them; None if alone.

    Args:
        device: "cuda" means the GPU of LOCAL_RANK.

    Raises:
        UsageError: a part of the environment is missing.
    """
    if distributed.is_initialized():
        yield _ranks(device)
        return
    if asked_world() == 1:
        yield None
        return
    missing = [name for name in (*_NAMES, "MASTER_ADDR", "MASTER_PORT") if name not in os.environ]
    if missing:
        raise UsageError(
            f"WORLD_SIZE={asked_world()}, but {', '.join(missing)} is not set. Start with "
            "torchrun --nproc-per-node=N -m curate.pipeline.cli train OUT, or unset WORLD_SIZE."
        )
    on_gpu = device.type == "cuda"
    if on_gpu:
        torch.cuda.set_device(local_device(device))
    distributed.init_process_group("cpu:gloo,cuda:nccl" if on_gpu else "gloo")
    try:
        yield _ranks(local_device(device))
    finally:
        distributed.destroy_process_group()


def local_device(device: torch.device) -> torch.device:
    """Return the GPU of this process where "cuda" without a number is asked for."""
    if device.type != "cuda" or device.index is not None or asked_world() == 1:
        return device
    return torch.device("cuda", int(os.environ["LOCAL_RANK"]))


def _ranks(device: torch.device) -> Ranks | None:
    world = distributed.get_world_size()
    return Ranks(distributed.get_rank(), world, device) if world > 1 else None


def share_batch_norms(module: nn.Module, device: torch.device) -> nn.Module:
    """Let batch norms of an encoder see the rows of all processes.

    On GPUs they become torch's SyncBatchNorm (timm's own where timm brings an activation along);
    gloo has none, so on a CPU they become `WholeBatchNorm`.

    Raises:
        UsageError: a CPU, and a batch norm that is not torch's own.
    """
    if not has_batch_norm(module):
        return module
    if device.type == "cuda":
        if any(type(part).__module__.startswith("timm.") for part in module.modules()):
            from timm.layers.norm_act import convert_sync_batchnorm

            return convert_sync_batchnorm(module)
        return nn.SyncBatchNorm.convert_sync_batchnorm(module)
    for parent in list(module.modules()):
        for name, child in parent.named_children():
            if isinstance(child, _BatchNorm):
                setattr(parent, name, WholeBatchNorm.like(child))
    return module


def has_batch_norm(module: nn.Module) -> bool:
    """Say whether rows of a batch change each other's features."""
    return any(isinstance(part, _BatchNorm) for part in module.modules())


class WholeBatchNorm(_BatchNorm):
    """Batch norm over the rows of all processes, on any device; slower than SyncBatchNorm."""

    @staticmethod
    def like(norm: _BatchNorm) -> WholeBatchNorm:
        """Return one with the weights and the state of another.

        Raises:
            UsageError: it is not torch's own: it may do more than normalise.
        """
        if type(norm) not in (nn.BatchNorm1d, nn.BatchNorm2d):
            raise UsageError(
                f"{type(norm).__name__} cannot be shared among processes on a CPU. Take an encoder "
                "without batch norm, GPUs, or one process."
            )
        made = WholeBatchNorm(
            norm.num_features, norm.eps, norm.momentum, norm.affine, norm.track_running_stats
        )
        made.load_state_dict(norm.state_dict())
        return made.to(next(norm.parameters(), torch.zeros(0)).device)

    def _check_input_dim(self, input: Tensor) -> None:
        if input.dim() < 2:
            raise ValueError(f"expected at least 2 dimensions, got {input.dim()}")

    def forward(self, input: Tensor) -> Tensor:
        """Return the normalised rows [n, C, ...]."""
        if not self.training:
            return super().forward(input)
        from torch.distributed.nn.functional import all_reduce

        over = [axis for axis in range(input.dim()) if axis != 1]
        shape = [1, -1, *[1] * (input.dim() - 2)]
        count = torch.tensor(float(input.numel() // input.shape[1]), device=input.device)
        distributed.all_reduce(count)
        rows = input.float()
        mean = all_reduce(rows.sum(over)) / count
        var = all_reduce((rows - mean.view(shape)).square().sum(over)) / count
        self._remember(mean.detach(), var.detach() * count / (count - 1))
        scaled = (rows - mean.view(shape)) * (var.view(shape) + self.eps).rsqrt()
        if self.affine:
            scaled = scaled * self.weight.view(shape) + self.bias.view(shape)
        return scaled.to(input.dtype)

    @torch.no_grad()
    def _remember(self, mean: Tensor, var: Tensor) -> None:
        if self.running_mean is None or self.running_var is None:
            return
        if self.num_batches_tracked is not None:
            self.num_batches_tracked += 1
        share = self.momentum
        if share is None:
            share = 1 / float(self.num_batches_tracked or 1)
        self.running_mean.lerp_(mean, share)
        self.running_var.lerp_(var, share)
