"""What each column of pairset/1 means: one text for docs/format.md and croissant.json."""

from __future__ import annotations

from collections.abc import Mapping

from .schema import ATTRIBUTE_PREFIX

MEANINGS: Mapping[str, Mapping[str, str]] = {
    "samples": {
        "sample_id": "Dense id 0..N-1: the row number here and in every embedding file.",
        "key": "The corpus's own name of the sample; unique.",
        "shard": "Tar that holds the image: a path below the pairset, else absolute; empty without "
        "an image.",
        "offset": "First byte of the image in the shard; -1 without an image.",
        "size": "Bytes of the image; 0 without an image.",
        "sha256": "Hash of these bytes (hex).",
        "ext": "Format of the image, told from its bytes; empty without an image.",
        "width": "Pixels across, upright.",
        "height": "Pixels down, upright.",
        "caption": "The first of captions.",
        "captions": "All captions, in the corpus's order.",
        "label": "The first of labels.",
        "labels": "All labels, in the corpus's order.",
        "group_id": "Smallest sample_id of the near-duplicate group; equal means never contrast.",
        "cluster_id": "Cluster for locality and batches; null where nothing clustered the corpus.",
        "accept_rank": "Place by falling confidence in its cluster, 0 first; -1 without a cluster. "
        "Only with mask_schedules in the manifest.",
        "uid": "DataComp's 32 hex digits, where the corpus has them.",
        "split": "Split of the corpus; empty where it has none.",
    },
    "rejects": {
        "key": "The corpus's own name of the input, as far as it has one.",
        "where": "File, and member or row.",
        "code": "Why the input is no sample: one of the reject codes.",
        "message": "The same for people.",
    },
    "neighbors": {
        "sample_id": "The row that was asked about.",
        "neighbor_ids": "Nearest samples by falling similarity, ties by id; itself, its group and "
        "other splits left out; -1 behind the last.",
        "similarities": "Their cosines; 0 where the id is -1.",
    },
    "clusters": {
        "sample_id": "The row number.",
        "cluster_ids": "Cluster of the sample at each level, finest first; -1 without one.",
        "confidences": "Share of the own centroid in the softmax over all; 0 without a cluster.",
        "accept_ranks": "Place by falling confidence at each level, 0 first; -1 without a cluster.",
    },
    "edges": {
        "anchor_id": "The sample asked about.",
        "other_id": "The candidate; null where it is a text or an asset.",
        "text": "A candidate that is a caption of no sample.",
        "asset": "A candidate that is a generated file.",
        "role": "What the edge is for: one of the roles.",
        "miner": "Id of the miner in the run.",
        "space": "Graph that the candidate came from; empty for none.",
        "rank": "Place in the miner's list, from 0.",
        "similarity": "Cosine in the space; null where it was not measured.",
        "corrected_similarity": "What the list was ranked by instead, where that differs.",
        "positive_similarity": "Similarity of the positive that margins were held against.",
        "weight": "Weight of the edge.",
        "action": "What becomes of a false negative: one of the actions.",
        "valid_from": "Training progress (0..1) from which the edge holds.",
        "reason": "Why the candidate was refused: one of the reasons; empty where it was taken.",
        "round": "Round of mining, from 0.",
    },
    "selection": {
        "sample_id": "The sample that was judged.",
        "selector": "Id of the selector in the run.",
        "score": "What the selector ranks or draws by; null where it has no score for the sample.",
        "kept": "Whether the selector keeps the sample.",
        "reason": "Why it was dropped: one of the drops; empty where it is kept.",
        "witness": "The sample because of which it was dropped, where there is one.",
    },
    "pairs": {
        "pair_id": "Dense id 0..M-1: the row number.",
        "anchor_id": "sample_id of the anchor.",
        "positive_ids": "P sample ids; the anchor's own id means another view of it; -1 is empty.",
        "positive_scores": "Similarities in the miner's space; 0 where it has none.",
        "positive_weights": "Weights that sum to 1; 0 where empty.",
        "positive_kinds": "Position of the miner in `kinds` of the manifest; -1 where empty.",
        "negative_ids": "K sample ids; -1 is empty.",
        "negative_scores": "Similarities in the miner's space; 0 where it has none.",
        "negative_weights": "Weights; 0 where empty.",
        "negative_kinds": "Position of the miner in `kinds` of the manifest; -1 where empty.",
        "false_negative_ids": "F sample ids, ascending, never to be contrasted with the anchor "
        "wherever they appear in a batch; -1 behind the last.",
        "weight": "Weight of the row.",
        "group_id": "That of the anchor.",
        "cluster_id": "That of the anchor; -1 where nothing clustered the corpus.",
        "rule": "Miners that filled the row: positives|negatives|false negatives.",
        "split": "That of the anchor.",
        "positive_valid_from": "Training progress (0..1) from which each positive holds.",
        "negative_valid_from": "Training progress (0..1) from which each negative holds.",
        "false_negative_valid_from": "Training progress (0..1) from which each one is masked.",
        "soft_ids": "S sample ids of the anchor's soft target; -1 is empty.",
        "soft_targets": "The share of each; what is missing to 1 was cut off with the tail.",
        "negative_texts": "T captions that are wrong for the anchor's image; '' is padding.",
        "synthetic": "Y recipes of synthetic negatives: method, type, parents a_id and b_id (-1: "
        "none or the anchor itself), coefficient, seed; a_id -1 is padding.",
    },
}
"""By table (`neighbors` for every neighbour graph) and column, in the order of the schema."""


def meaning(table: str, column: str) -> str:
    """Return what a column of a table holds; `table` as the manifest names it.

    Raises:
        KeyError: pairset/1 has no such column.
    """
    if column.startswith(ATTRIBUTE_PREFIX):
        return f"Attribute {column.removeprefix(ATTRIBUTE_PREFIX)} of the corpus."
    return MEANINGS[table.split("/")[0]][column]
