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
        "neighbor_ids": "Nearest samples by falling (corrected) similarity, ties by id; itself, "
        "its group and other splits left out; -1 behind the last.",
        "similarities": "Their cosines; 0 where the id is -1.",
        "query_mean": "r(x) of a hub correction: mean cosine of the sample, as a query, with its "
        "nearest in the bank; null where the graph is not corrected.",
        "bank_mean": "r(y) of a hub correction: mean cosine of the sample, as a candidate, with "
        "its nearest queries; null where the graph is not corrected.",
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
        "rule": "Miners that filled the row: positives|negatives|false negatives, generated "
        "pictures and hard captions included.",
        "split": "That of the anchor.",
        "positive_valid_from": "Training progress (0..1) from which each positive holds.",
        "negative_valid_from": "Training progress (0..1) from which each negative holds.",
        "false_negative_valid_from": "Training progress (0..1) from which each one is masked.",
        "soft_ids": "S sample ids of the anchor's soft target; -1 is empty.",
        "soft_targets": "The share of each; what is missing to 1 was cut off with the tail.",
        "negative_texts": "T captions that are wrong for the anchor's image; '' is padding.",
        "synthetic": "Y recipes of synthetic negatives: method, type, parents a_id and b_id (-1: "
        "none or the anchor itself), coefficient, seed; a_id -1 is padding.",
        "positive_asset_ids": "A ids of `assets`, no sample ids: generated positives; -1 is empty.",
        "positive_asset_valid_from": "Training progress (0..1) from which each of them holds.",
    },
    "assets": {
        "asset_id": "Dense id 0..: the row number here.",
        "key": "SECTION/ANCHOR-NUMBER; column `asset` of `edges`.",
        "anchor_id": "sample_id of the sample that it was made from.",
        "shard": "Tar below the pairset that holds the picture.",
        "offset": "First byte of the picture in the shard.",
        "size": "Bytes of the picture.",
        "sha256": "Hash of these bytes (hex).",
        "width": "Pixels across.",
        "height": "Pixels down.",
        "generator": "Name of the generator.",
        "recipe": "JSON: the numbers that decided it, its seed, and the random sample beside it.",
        "similarity": "Cosine to the anchor in the frozen space; null without a vector.",
        "hardness": "1 - similarity.",
        "nearest_id": "Nearest sample of the anchor's split outside its near-duplicate group.",
        "nearest_similarity": "Its cosine to the asset.",
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


MANIFEST_KEYS: Mapping[str, str] = {
    "format": "`pairset/1`.",
    "manifest_id": "The name of these pairs: sha256 over all the rest of this file.",
    "created_by": "Package and version that wrote it.",
    "config": "The whole resolved config, defaults included: see config.md.",
    "config_sha256": "Hash of `config`.",
    "corpus.source": "Where the corpus stands.",
    "corpus.reader": "Class that read it.",
    "corpus.fingerprint": "Changes when reader, settings or files of the corpus change.",
    "corpus.inputs": "Inputs seen: samples and rejects together.",
    "versions": "Versions of packages that can change a result.",
    "tables.TABLE[].path": "A file of a table, below the pairset; TABLE is `samples`, `pairs`, "
    "`edges`, `rejects` or `neighbors/QUERY>BANK`.",
    "tables.TABLE[].rows": "Rows of the file.",
    "tables.TABLE[].first_row": "Number of its first row in the table.",
    "tables.TABLE[].bytes": "Bytes of the file.",
    "tables.TABLE[].sha256": "Hash of the file.",
    "embeddings.SPACE.of": "What was embedded: image, caption or another modality.",
    "embeddings.SPACE.dim": "Numbers a vector.",
    "embeddings.SPACE.dtype": "`float16`; rows are unit vectors, all zero where there is none.",
    "embeddings.SPACE.encoder": "Settings and weights hash of the encoder, or the array's files.",
    "embeddings.SPACE.missing": "Samples without a vector.",
    "embeddings.SPACE.files[]": "Path, rows, first_row, bytes, sha256 of each .npy file.",
    "index.SPACE.type": "FAISS type of the searchable index.",
    "index.SPACE.metric": "`inner_product`.",
    "index.SPACE.exact": "Whether neighbours were found by comparing all pairs.",
    "index.SPACE.nlist": "Lists of an inverted file; 0 for a flat index.",
    "index.SPACE.nprobe": "Lists that a query looks into; inverted files only.",
    "index.SPACE.probe_recall": "Recall that these lists reached on a probe; inverted files only.",
    "index.SPACE.dim": "Numbers a vector.",
    "index.SPACE.vectors": "Vectors in the index.",
    "index.SPACE.equal_rows": "Rows whose vector an earlier row has too.",
    "index.SPACE.k": "Neighbours that count in the recall.",
    "index.SPACE.min_recall": "Recall that was asked.",
    "index.SPACE.seed": "Seed of training sample and probe.",
    "index.SPACE.files[]": "Path, bytes, sha256 of each file.",
    "neighbors.GRAPH.query": "Space of the anchors.",
    "neighbors.GRAPH.bank": "Space of what they find.",
    "neighbors.GRAPH.k": "Length of the lists.",
    "neighbors.GRAPH.min_recall": "Recall that was asked.",
    "neighbors.GRAPH.exact": "Whether all pairs were compared.",
    "neighbors.GRAPH.short_rows": "Samples with a vector and fewer than k neighbours.",
    "neighbors.GRAPH.recall": "Measured against exact search: value, k, queries, and the 95 % "
    "interval low, high.",
    "neighbors.GRAPH.hubness": "How unevenly samples are listed: skewness, top1_share, max, "
    "orphans.",
    "neighbors.GRAPH.correction": "Corrected graphs only: by, k, weight, split, seed, reference "
    "(rows at most) and the rows of both, miners whose edges it corrects, and hubness before and "
    "after on a probe.",
    "images[]": "Path, bytes, sha256 of each tar that the pairset holds itself.",
    "kinds": "Ids of the miners; the position is the code in `positive_kinds`, `negative_kinds`.",
    "miners[].id": "Name of the miner in this run.",
    "miners[].miner": "The miner: see config.md.",
    "miners[].role": "What it takes: positive, negative or false_negative.",
    "miners[].fidelity": "exact, exact+hook, frozen-detector or surrogate.",
    "miners[].paper": "Where the rule comes from.",
    "miners[].settings": "All its settings.",
    "miners[].space": "Its graph; empty for none.",
    "miners[].allows_self": "Whether it may take the anchor itself, as another view of it.",
    "miners[].facts": "What it reports: anchors, taken, anchors_with_edges, refused (by reason), "
    "and numbers of its own, such as non_self_rate, gini or conflicts.",
    "mixers[]": "Mixers of the run: id, miner, method, count, fidelity, paper, settings.",
    "clusters": "Sets of clusters by name: what was clustered, and how even they are.",
    "cluster_id": "The set and level in column `cluster_id` of `samples`; null for none.",
    "mask_schedules": "Rules by which clusters stop masking as training goes on.",
    "fidelity": "Fidelity class by miner id.",
    "attributes": "Name and type (string, float, time) of the corpus's attributes.",
    "groups.threshold": "Similarity from which two images are near-duplicates.",
    "groups.groups": "Groups of two or more.",
    "groups.grouped_samples": "Samples in them.",
    "groups.largest": "Samples of the largest.",
    "groups.leaks": "Groups with samples in more than one split.",
    "groups.tightened": "Groups that were cut again with a stricter threshold.",
    "thresholds.GRAPH": "Calibration of a graph: attract, eliminate, curve, truth, judged, why.",
    "quality": "Counts of fills and overflows, rejects by code, and false_negative_rate: value, "
    "low, high (95 % interval), source (label, caption, unknown), judged.",
    "mask_groups": "Columns of `samples` in which equal values mean: never contrast.",
    "loss": "What the trainer must do: see config.md.",
    "order.algo": "Algorithm that orders an epoch.",
    "order.rows_per_block": "Rows that stay together in block order.",
    "plans[]": "Batch plans: name, planner, fidelity, paper, settings, path, bytes, sha256, "
    "batches, size, split, blocks, repeats, pairs_left_out, facts; and negatives (path, bytes, "
    "sha256, count) where it drew some: int64 [batches, size, count] of sample_id, -1 padding.",
    "parents": "manifest_id of the pairset of the round before; empty in round 0.",
    "round": "Number of the mining round, 0 for the first; column `round` of `edges`.",
    "counts.samples": "Rows of `samples`.",
    "counts.rejects": "Rows of `rejects`.",
    "counts.edges": "Rows of `edges`.",
    "counts.pairs": "Rows of `pairs`.",
    "counts.P": "Positives a row.",
    "counts.K": "Negatives a row.",
    "counts.F": "False negatives a row.",
    "counts.V": "1 where `*_valid_from` stands in `pairs`, else 0 or not there.",
    "counts.S": "Soft targets a row; 0 or not there without.",
    "counts.T": "Hard captions a row; 0 or not there without.",
    "counts.Y": "Synthetic negatives a row; 0 or not there without.",
    "documents[]": "Path, bytes, sha256 of README.md, croissant.json, images/sizes.json.",
    "assets": "Generated pictures by name: generator, settings, how many passed, their space.",
    "selection": "What each selector kept and dropped, with its settings and facts.",
}
"""What the keys of manifest.json mean. GRAPH, SPACE, TABLE stand for names, [] for each entry."""
