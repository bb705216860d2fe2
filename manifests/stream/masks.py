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
    banned = [fn_ids, anchor_ids[:, None]]
    if positive_ids is not None:
        banned.append(positive_ids)
    mask = _listed(torch.cat(banned, dim=1), gathered_ids)
    mask |= (gathered_ids < 0)[None, :]
    left = anchor_groups[:, None] if anchor_groups.ndim == 1 else anchor_groups
    right = gathered_groups[:, None] if gathered_groups.ndim == 1 else gathered_groups
    for column in range(left.shape[1]):
        equal = left[:, column, None] == right[None, :, column]
        mask |= equal & (left[:, column, None] >= 0)
    return mask


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
