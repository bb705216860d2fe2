"""Which members of a (gathered) batch must not be contrasted with an anchor.

The pairset cannot know who will meet whom in a batch, so it stores each anchor's false negatives
and the mask is made when the batch is there. The mask is not symmetric: j may be a false negative
of i and i none of j.
"""

from __future__ import annotations

import torch
from torch import Tensor


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

    Time is O(M log M + B (F + P) log M + B M), memory two bool [B, M].

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
    mask = _listed(_banned(fn_ids, anchor_ids, positive_ids), gathered_ids)
    mask |= (gathered_ids < 0)[None, :]
    left = anchor_groups[:, None] if anchor_groups.ndim == 1 else anchor_groups
    right = gathered_groups[:, None] if gathered_groups.ndim == 1 else gathered_groups
    for column in range(left.shape[1]):
        equal = left[:, column, None] == right[None, :, column]
        mask |= equal & (left[:, column, None] >= 0)
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
    lists = _banned(fn_ids, anchor_ids, positive_ids)
    left = anchor_groups[:, None] if anchor_groups.ndim == 1 else anchor_groups
    right = gathered_groups[:, None] if gathered_groups.ndim == 1 else gathered_groups
    many = max(len(gathered_ids), 1)
    keys = [_matches(lists, gathered_ids, many)]
    keys += [
        _matches(left[:, [column]], right[:, column].contiguous(), many)
        for column in range(left.shape[1])
    ]
    found = torch.unique(torch.cat(keys))
    rows, members = torch.div(found, many, rounding_mode="floor"), found % many
    known = gathered_ids[members] >= 0
    return torch.stack([rows[known], members[known]])


def _banned(fn_ids: Tensor, anchor_ids: Tensor, positive_ids: Tensor | None) -> Tensor:
    known = [fn_ids, anchor_ids[:, None], *([] if positive_ids is None else [positive_ids])]
    return torch.cat(known, dim=1)


def _matches(lists: Tensor, values: Tensor, many: int) -> Tensor:
    """Return i * many + j for each entry of lists [B, E] at i that is >= 0 and equals values[j]."""
    ordered, order = torch.sort(values)
    flat = lists.flatten()
    first = torch.searchsorted(ordered, flat)
    times = torch.searchsorted(ordered, flat, right=True) - first
    times = torch.where(flat >= 0, times, 0)
    entry = torch.repeat_interleave(times)
    before = times.cumsum(0) - times
    at = torch.arange(len(entry), device=entry.device) - before[entry] + first[entry]
    return torch.div(entry, max(lists.shape[1], 1), rounding_mode="floor") * many + order[at]


def _listed(lists: Tensor, ids: Tensor) -> Tensor:
    """Say for lists [B, E] and ids [M] whether ids[j] stands in lists[i]: bool [B, M]."""
    known, inverse = torch.unique(ids, return_inverse=True)
    if not len(known):
        return torch.zeros(len(lists), 0, dtype=torch.bool, device=ids.device)
    place = torch.searchsorted(known, lists.contiguous()).clamp_(max=len(known) - 1)
    nowhere = len(known)
    place = torch.where((known[place] == lists) & (lists >= 0), place, nowhere)
    found = torch.zeros(len(lists), nowhere + 1, dtype=torch.bool, device=ids.device)
    found.scatter_(1, place, True)
    return found[:, inverse]
