"""Milliseconds of the mask of a gathered batch: dense, sparse, and by comparing column by column.

    OMP_NUM_THREADS=1 python benchmarks/masks.py [--anchors 4096] [--gathered 32768] [--repeat 5]

Ids of the members are drawn from a pairset of a hundred million samples of which the lists name
those nearby, as a cluster-ordered batch would; a hundredth of the members are repeats, a hundredth
padding. Groups: one near-duplicate group for each sample, and for the second table a label of a
thousand values besides. All three must say the same. Bytes are those of the result.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import torch
from torch import Tensor

from curate.manifests import false_negative_mask, false_negative_pairs

SAMPLES = 100_000_000
COLUMNS = ("F", "pairs masked", "dense ms", "sparse ms", "by columns ms", "dense / sparse")
HEAD = "\n".join(
    f"| {' | '.join(row)} |"
    for row in ((*COLUMNS, "dense MB", "sparse MB"), ["---"] * (len(COLUMNS) + 2))
)


def members(anchors: int, gathered: int, listed: int, labels: int) -> tuple[Tensor, ...]:
    """Return fn_ids, anchor_ids, anchor_groups, gathered_ids, gathered_groups, positive_ids."""
    draw = torch.Generator().manual_seed(0)
    ids = torch.randperm(SAMPLES // 100, generator=draw)[:gathered] + SAMPLES // 2
    ids[: gathered // 100] = ids[gathered // 2 : gathered // 2 + gathered // 100]
    groups = [ids // 2]
    if labels:
        groups.append(torch.randint(0, labels, (gathered,), generator=draw))
    ids[-gathered // 100 :] = -1
    group = torch.stack(groups, 1)
    group[ids < 0] = -1
    own = ids[:anchors]

    def others(width: int) -> Tensor:
        near = torch.randint(-50, 50, (anchors, width), generator=draw)
        empty = torch.rand(anchors, width, generator=draw) < 0.3
        return torch.where(empty, -1, own[:, None] + near)

    return others(listed), own, group[:anchors], ids, group, others(2)


def by_columns(fn: Tensor, own: Tensor, groups: Tensor, ids: Tensor, every: Tensor, pos: Tensor):  # noqa: ANN201
    """Compare each column of the lists with all members."""
    mask = (ids < 0)[None, :].expand(len(own), -1).clone()
    for column in torch.cat([fn, own[:, None], pos], dim=1).T:
        mask |= (column[:, None] == ids[None, :]) & (column >= 0)[:, None]
    for left, right in zip(groups.T, every.T, strict=True):
        mask |= (left[:, None] == right[None, :]) & (left >= 0)[:, None]
    return mask


def milliseconds(work: Callable[[], Tensor], repeat: int) -> tuple[float, Tensor]:
    """Return the median time of a call, and what it returned."""
    times = []
    for _ in range(repeat):
        begun = time.perf_counter()
        result = work()
        times.append(1e3 * (time.perf_counter() - begun))
    return statistics.median(times), result


def main() -> None:
    """Measure and print the tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--anchors", type=int, default=4096)
    parser.add_argument("--gathered", type=int, default=32768)
    parser.add_argument("--repeat", type=int, default=5)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    for labels in (0, 1000):
        group = f"a label of {labels} values" if labels else "near-duplicates alone"
        print(f"\nB = {asked.anchors}, M = {asked.gathered}, P = 2, groups: {group}")
        print(HEAD)
        for listed in (8, 32):
            given = members(asked.anchors, asked.gathered, listed, labels)
            dense, mask = milliseconds(lambda: false_negative_mask(*given), asked.repeat)  # noqa: B023
            sparse, pairs = milliseconds(lambda: false_negative_pairs(*given), asked.repeat)  # noqa: B023
            plain, reference = milliseconds(lambda: by_columns(*given), 1)  # noqa: B023
            again = (given[3] < 0)[None, :].repeat(asked.anchors, 1)
            again[pairs[0], pairs[1]] = True
            if not (torch.equal(mask, reference) and torch.equal(again, reference)):
                raise SystemExit("the masks differ")
            times = [f"{time:.0f}" for time in (dense, sparse, plain)]
            sizes = [f"{size / 1e6:.1f}" for size in (mask.nbytes, pairs.nbytes)]
            row = [f"{listed}", f"{pairs.shape[1]:,}", *times, f"{dense / sparse:.1f}", *sizes]
            print(f"| {' | '.join(row)} |")


if __name__ == "__main__":
    main()
