"""Which members of a (gathered) batch must not be contrasted with an anchor.

The pairset cannot know who will meet whom in a batch, so it stores each anchor's false negatives
and the mask is made when the batch is there. The mask is not symmetric: j may be a false negative
of i and i none of j.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

_DENSE = 16
"""A group column with more than a share of 1 / 16 of all pairs is compared, not listed."""


def false_negative_mask(
    fn_ids: Tensor,
    anchor_ids: Tensor,
    anchor_groups: Tensor,
    gathered_ids: Tensor,
    gathered_groups: Tensor,
    positive_ids: Tensor | None = None,
) -> Tensor:
    """Say for each anchor and each member of a batch whether they must not be contrasted.

    They must not when the member is the anchor itself, one of its positives, one of its listed
    false negatives, or shares a mask group with it; and never with an empty place (id -1).

    Time is O(M log M + B (F + P + C) log M + B M), memory at most three bool [B, M]; all but the
    filling of the mask is small where groups are.

    Args:
        fn_ids: int64 [B, F] sample ids, -1 padding; `PairBatch.fn_ids`.
        anchor_ids: int64 [B] sample ids.
        anchor_groups: int64 [B] or [B, C] mask groups of the anchors; -1 equals nothing.
        gathered_ids: int64 [M] sample ids of the members, in any order, repeats allowed.
        gathered_groups: int64 [M] or [M, C] mask groups of the members.
        positive_ids: int64 [B, P] sample ids, -1 padding.

    Returns:
        bool [B, M], True where the member must not be a negative of the anchor.
    """
    mask = (gathered_ids < 0)[None, :].repeat(len(fn_ids), 1)
    flat = mask.view(-1)
    lists = _banned(fn_ids, anchor_ids, positive_ids)
    flat[_Matches.of(lists, gathered_ids).keys(len(gathered_ids))] = True
    for left, right in _columns(anchor_groups, gathered_groups):
        found = _Matches.of(left[:, None], right)
        if int(found.times.sum()) * _DENSE < mask.numel():
            flat[found.keys(len(gathered_ids))] = True
        else:
            mask |= (left[:, None] == right[None, :]) & (left >= 0)[:, None]
    return mask


def false_negative_pairs(
    fn_ids: Tensor,
    anchor_ids: Tensor,
    anchor_groups: Tensor,
    gathered_ids: Tensor,
    gathered_groups: Tensor,
    positive_ids: Tensor | None = None,
) -> Tensor:
    """Return where `false_negative_mask` is true, but for empty places, as pairs of indices.

        rows, members = false_negative_pairs(...)
        logits[rows, members] = -torch.inf
        logits[:, gathered_ids < 0] = -torch.inf

    For large gathered batches with few false negatives: nothing of size B x M is made or walked.
    Where groups are large (a label of ten values is a mask group) the pairs are nearly B x M
    themselves, at 16 bytes each: take the dense mask there.

    Time is O(M log M + B (F + P + C) log M + n log n) for n pairs, memory O(n + M + B (F + P)).

    Args:
        fn_ids: int64 [B, F]; this and all others are as `false_negative_mask` takes them.
        anchor_ids: int64 [B].
        anchor_groups: int64 [B] or [B, C].
        gathered_ids: int64 [M].
        gathered_groups: int64 [M] or [M, C].
        positive_ids: int64 [B, P].

    Returns:
        int64 [2, n]: rows 0..B-1 and members 0..M-1, by row and then member, each pair once.
    """
    many = len(gathered_ids)
    lists = _banned(fn_ids, anchor_ids, positive_ids)
    keys = [_Matches.of(lists, gathered_ids).keys(many)]
    for left, right in _columns(anchor_groups, gathered_groups):
        keys.append(_Matches.of(left[:, None], right).keys(many))
    found = torch.unique(torch.cat(keys))
    rows, members = torch.div(found, max(many, 1), rounding_mode="floor"), found % max(many, 1)
    known = gathered_ids[members] >= 0
    return torch.stack([rows[known], members[known]])


def _banned(fn_ids: Tensor, anchor_ids: Tensor, positive_ids: Tensor | None) -> Tensor:
    known = [fn_ids, anchor_ids[:, None], *([] if positive_ids is None else [positive_ids])]
    return torch.cat(known, dim=1)


def _columns(left: Tensor, right: Tensor) -> list[tuple[Tensor, Tensor]]:
    lefts = left[:, None] if left.ndim == 1 else left
    rights = right[:, None] if right.ndim == 1 else right
    return [(lefts[:, at].contiguous(), rights[:, at].contiguous()) for at in range(lefts.shape[1])]


@dataclass(frozen=True)
class _Matches:
    """Which values stand in which lists: the sorted values, and each entry's span among them.

    Attributes:
        width: entries E of a list.
        order: int64 [M], the values in ascending order.
        first: int64 [B E], where the values equal to an entry start in `order`.
        times: int64 [B E], how many they are; 0 for entries below 0.
    """

    width: int
    order: Tensor
    first: Tensor
    times: Tensor

    @classmethod
    def of(cls, lists: Tensor, values: Tensor) -> _Matches:
        """Look for the entries of lists int64 [B, E] among values int64 [M]."""
        ordered, order = torch.sort(values)
        flat = lists.flatten()
        first = torch.searchsorted(ordered, flat)
        times = torch.searchsorted(ordered, flat, right=True) - first
        return cls(lists.shape[1], order, first, torch.where(flat >= 0, times, 0))

    def keys(self, many: int) -> Tensor:
        """Return i * many + j for each entry of list i that equals value j."""
        entry = torch.repeat_interleave(self.times)
        before = self.times.cumsum(0) - self.times
        at = torch.arange(len(entry), device=entry.device) - before[entry] + self.first[entry]
        row = torch.div(entry, max(self.width, 1), rounding_mode="floor")
        return row * many + self.order[at]
