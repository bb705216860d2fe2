"""A small, valid pairset written with numpy, Pillow and the core writers, without any stage.

    tiny = write_tiny_pairset(tmp_path / "out")            # 300 samples, one file a table
    tiny = write_tiny_pairset(tmp_path, samples=900, files=3, tars=2)
    tiny.root, tiny.image, tiny.caption, tiny.labels, tiny.keys, tiny.splits, tiny.group_id

Every rule is written as a plain loop over anchors, so it can serve as a reference. To break one:

    with edit(root, "pairs") as rows: rows[7]["anchor_id"] = 3     # rows as dictionaries
    reseal(root)                                                   # counts stay, hashes follow
"""

from __future__ import annotations

import contextlib
import datetime
import hashlib
import io
import json
import tarfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
from PIL import Image, ImageDraw

from curate.manifests import schema, tables
from curate.manifests.fingerprint import canonical_json, digest, file_digest

COLOURS = {
    "red": (210, 40, 40),
    "green": (40, 170, 60),
    "blue": (40, 80, 210),
    "yellow": (230, 210, 40),
    "purple": (150, 60, 180),
    "orange": (240, 140, 30),
}
SHAPES = ("square", "circle", "stripe")
CAMERAS = ("north", "south", "attic")
KINDS = ("knn", "self_aug", "topk_threshold", "hard", "random")
MAX_RATIO = 0.95
KNN_K, FN_K, HARD_RANKS, HARD_COUNT = 2, 6, (1, 14), 3


@dataclass(frozen=True)
class Tiny:
    """A written pairset and the truth behind it."""

    root: Path
    keys: list[str]
    labels: list[str]
    splits: list[str]
    group_id: np.ndarray
    image: np.ndarray
    """float16 [N, dim]"""
    caption: np.ndarray
    """float16 [N, dim]; zero rows where a sample has no caption"""
    captions: list[list[str]]
    payloads: list[bytes]
    manifest: dict


@dataclass
class _Draft:
    root: Path
    samples: int
    files: int
    tars: int
    P: int
    K: int
    F: int
    k: int
    dim: int
    image_size: int
    png_every: int
    with_images: bool
    seed: int


def write_tiny_pairset(
    root,
    samples=300,
    files=1,
    tars=1,
    P=2,
    K=4,
    F=4,
    k=16,
    dim=32,
    image_size=32,
    png_every=0,
    with_images=True,
    seed=0,
):
    """Write a pairset into `root` and return it.

    Args:
        files: files of every table and of every space.
        tars: shards of images.
        png_every: every n-th image is a PNG; 0 for JPEGs only.
        with_images: False for a corpus of vectors only (shard "", no tars).
    """
    draft = _Draft(
        Path(root), samples, files, tars, P, K, F, k, dim, image_size, png_every, with_images, seed
    )
    draft.root.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    group_id = _groups(samples)
    classes = (rng.integers(0, len(COLOURS), samples))[group_id]
    labels = [list(COLOURS)[c] for c in classes]
    splits = ["val" if g % 10 == 7 else "train" for g in group_id]
    keys = [f"scene/{i:05d}" for i in range(samples)]
    captions = _captions(classes, group_id)
    image, caption = _vectors(draft, rng, classes, group_id, captions)
    payloads, exts, places = _images(draft, classes, group_id, keys, captions)

    graphs = {
        "image>image": neighbours(image, image, group_id, splits, k),
        "image>caption": neighbours(image, caption, group_id, splits, max(k // 2, 1)),
    }
    edges, pairs, facts = _mine(draft, graphs["image>image"], image, group_id, splits)

    rows = {
        "samples": _sample_rows(keys, places, payloads, exts, captions, labels, group_id, splits),
        "rejects": _reject_rows(),
        "edges": edges,
        "pairs": pairs,
    }
    for name, (ids, sims) in graphs.items():
        rows[f"neighbors/{name}"] = [
            {"sample_id": i, "neighbor_ids": ids[i].tolist(), "similarities": sims[i].tolist()}
            for i in range(samples)
        ]
    manifest = _manifest(draft, rows, facts, labels, caption, group_id)
    for table in rows:
        manifest["tables"][table] = _write_table(draft, table, rows[table])
    for space, vectors in (("image", image), ("caption", caption)):
        manifest["embeddings"][space]["files"] = _write_space(draft, space, vectors)
    if with_images:
        manifest["images"] = [_entry(draft.root, f"images/part-{t:05d}.tar") for t in range(tars)]
    _write_manifest(draft.root, manifest)
    return Tiny(
        draft.root, keys, labels, splits, group_id, image, caption, captions, payloads, manifest
    )


# ---------------------------------------------------------------- corpus


def _groups(samples):
    """Duplicates: 24 copies 23, 49 copies 48, 50 copies 49 (a group of three), and so on."""
    group = np.arange(samples)
    for i in range(1, samples):
        if i % 25 == 24 or i % 50 == 0:
            group[i] = group[i - 1]
    return group


def _captions(classes, group_id):
    out = []
    for i, c in enumerate(classes):
        colour, shape = list(COLOURS)[c], SHAPES[group_id[i] % len(SHAPES)]
        texts = [f"a {colour} {shape}", f"one {shape}, painted {colour}", f"{colour} thing"]
        out.append([] if i % 40 == 39 else texts[: 1 + i % 3])
    return out


def _vectors(draft, rng, classes, group_id, captions):
    centres = rng.normal(size=(len(COLOURS), draft.dim))
    noise = rng.normal(size=(draft.samples, draft.dim))
    image = (centres[classes] + 0.9 * noise)[group_id]
    image = image + 0.002 * rng.normal(size=image.shape)
    caption = (centres[classes] + 0.6 * noise)[group_id] + 0.5 * rng.normal(size=image.shape)
    caption[[not texts for texts in captions]] = 0
    return _unit16(image), _unit16(caption)


def _unit16(x):
    norm = np.linalg.norm(x, axis=1, keepdims=True)
    return (x / np.where(norm == 0, 1, norm)).astype(np.float16)


def _images(draft, classes, group_id, keys, captions):
    payloads, exts, places = [], [], []
    for i in range(draft.samples):
        kind = "png" if draft.png_every and i % draft.png_every == 0 else "jpg"
        payloads.append(_picture(draft, classes[i], int(group_id[i]), kind))
        exts.append(kind)
    if not draft.with_images:
        return payloads, exts, [("", 0, 0)] * draft.samples
    bounds = np.linspace(0, draft.samples, draft.tars + 1).astype(int)
    for t in range(draft.tars):
        name = f"images/part-{t:05d}.tar"
        path = draft.root / name
        path.parent.mkdir(exist_ok=True)
        with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as tar:
            for i in range(bounds[t], bounds[t + 1]):
                offset = _add(tar, f"{keys[i]}.{exts[i]}", payloads[i])
                places.append((name, offset, len(payloads[i])))
                if captions[i]:
                    _add(tar, f"{keys[i]}.txt", captions[i][0].encode())
    return payloads, exts, places


def _add(tar, name, data):
    info = tarfile.TarInfo(name)
    info.size = len(data)
    offset = tar.offset + 512
    tar.addfile(info, io.BytesIO(data))
    return offset


def _picture(draft, label, seed, kind):
    rng = np.random.default_rng((draft.seed, seed))
    side = draft.image_size
    page = Image.new("RGB", (side, side), tuple(rng.integers(90, 150, 3).tolist()))
    pen = ImageDraw.Draw(page)
    ink = tuple(np.clip(np.array(list(COLOURS.values())[label]) + rng.integers(-15, 16, 3), 0, 255))
    ink = tuple(int(v) for v in ink)
    x, y = rng.integers(0, side // 4 + 1, 2).tolist()
    box = (x, y, x + side * 5 // 8, y + side * 5 // 8)
    shape = SHAPES[seed % len(SHAPES)]
    if shape == "square":
        pen.rectangle(box, fill=ink)
    elif shape == "circle":
        pen.ellipse(box, fill=ink)
    else:
        pen.rectangle((0, y, side, y + side // 3), fill=ink)
    out = io.BytesIO()
    page.save(out, "PNG" if kind == "png" else "JPEG", quality=90)
    return out.getvalue()


# ---------------------------------------------------------------- graph and miners


def similarity(a, b):
    """float32 cosine of two stored float16 vectors."""
    return np.float32((a.astype(np.float32) * b.astype(np.float32)).sum(dtype=np.float32))


def neighbours(query, bank, group_id, splits, k):
    """Exact lists by brute force: ids int64 [N, k] (-1 fill) and similarities float32 [N, k]."""
    count = len(query)
    ids = np.full((count, k), -1, np.int64)
    sims = np.zeros((count, k), np.float32)
    split = np.array(splits)
    there = bank.any(axis=1)
    wide = bank.astype(np.float32)
    for i in range(count):
        if not query[i].any():
            continue
        scores = (wide * query[i].astype(np.float32)).sum(axis=1, dtype=np.float32)
        allowed = there & (group_id != group_id[i]) & (split == split[i])
        allowed[i] = False
        candidates = np.flatnonzero(allowed)
        best = candidates[np.lexsort((candidates, -scores[candidates]))][:k]
        ids[i, : len(best)], sims[i, : len(best)] = best, scores[best]
    return ids, sims


def _mine(draft, graph, image, group_id, splits):
    ids, sims = graph
    threshold = float(np.quantile(sims[:, 0], 0.75))
    edges, pairs = [], []
    truncated = filled = 0
    for a in range(draft.samples):
        decided = _positives(draft, a, ids, sims)
        least = min((e["similarity"] for e in decided if _took(e, "knn")), default=np.float32(1))
        positives = {e["other_id"] for e in decided if e["role"] == "positive"}
        decided += _false_negatives(a, ids, sims, positives, threshold)
        eliminated = [e for e in decided if e["role"] == "false_negative"]
        masked = {e["other_id"] for e in eliminated}
        decided += _hard(draft, a, ids, sims, positives, masked, least)
        chosen = [e["other_id"] for e in decided if e["role"] == "negative"]
        extra = _random(draft, a, group_id, splits, positives | masked | set(chosen))
        extra = extra[: draft.K - len(chosen)]
        filled += len(extra)
        decided += [_edge(a, o, "negative", "random", r, None) for r, o in enumerate(extra)]
        truncated += max(len(eliminated) - draft.F, 0)
        edges += decided
        pairs.append(_pair(draft, a, decided, group_id, splits))
    return edges, pairs, {"threshold": threshold, "fn_truncated": truncated, "random_fill": filled}


def _took(edge, miner):
    return edge["miner"] == miner and edge["reason"] == ""


def _edge(anchor, other, role, miner, rank, sim, reason="", **more):
    edge = {
        "anchor_id": anchor,
        "other_id": int(other),
        "text": None,
        "asset": None,
        "role": "refused" if reason else role,
        "miner": miner,
        "space": "image>image" if sim is not None else "",
        "rank": rank,
        "similarity": None if sim is None else float(sim),
        "corrected_similarity": None,
        "positive_similarity": None,
        "weight": 1.0,
        "action": None,
        "valid_from": 0.0,
        "reason": reason,
        "round": 0,
    }
    return {**edge, **more}


def _positives(draft, a, ids, sims):
    out = []
    for rank in range(min(KNN_K, draft.P, draft.k)):
        other = ids[a, rank]
        if other < 0:
            break
        mutual = a in ids[other, :KNN_K]
        out.append(
            _edge(a, other, "positive", "knn", rank, sims[a, rank], "" if mutual else "mutuality")
        )
    if not any(e["role"] == "positive" for e in out):
        out.append(_edge(a, a, "positive", "self_aug", 0, None))
    return out


def _false_negatives(a, ids, sims, positives, threshold):
    out = []
    for rank, other in enumerate(ids[a, :FN_K]):
        if other < 0:
            break
        sim, reason = sims[a, rank], ""
        if other in positives:
            reason = "positive"
        elif sim < threshold:
            reason = "threshold"
        more = {} if reason else {"action": "eliminate"}
        out.append(_edge(a, other, "false_negative", "topk_threshold", rank, sim, reason, **more))
    return out


def _hard(draft, a, ids, sims, positives, masked, least):
    out, taken = [], 0
    cut = float(least) - (1 - MAX_RATIO) * max(float(least), 0.1)
    for rank in range(min(HARD_RANKS[1], draft.k)):
        other, sim = ids[a, rank], sims[a, rank]
        if other < 0 or taken == min(HARD_COUNT, draft.K):
            break
        reason = ""
        if other in positives:
            reason = "positive"
        elif other in masked:
            reason = "false_negative"
        elif rank < HARD_RANKS[0]:
            reason = "rank"
        elif float(sim) > cut:
            reason = "ratio"
        taken += not reason
        more = {"positive_similarity": float(least)}
        out.append(_edge(a, other, "negative", "hard", rank, sim, reason, **more))
    return out


def _random(draft, a, group_id, splits, taken):
    rng = np.random.default_rng((draft.seed, 7, a))
    out = []
    for other in rng.permutation(draft.samples):
        allowed = group_id[other] != group_id[a] and splits[other] == splits[a]
        if allowed and int(other) not in taken:
            out.append(int(other))
        if len(out) == draft.K:
            break
    return out


def _pair(draft, a, decided, group_id, splits):
    positives = [e for e in decided if e["role"] == "positive"]
    negatives = [e for e in decided if e["role"] == "negative"]
    eliminated = sorted(e["other_id"] for e in decided if e["role"] == "false_negative")
    nearest = [e["other_id"] for e in decided if e["role"] == "false_negative"][: draft.F]
    eliminated = [o for o in eliminated if o in nearest]
    names = ["+".join(dict.fromkeys(e["miner"] for e in part)) for part in (positives, negatives)]
    middle = "topk_threshold" if eliminated else ""
    row = {
        "pair_id": a,
        "anchor_id": a,
        "false_negative_ids": _pad(eliminated, draft.F, -1),
        "weight": 1.0,
        "group_id": int(group_id[a]),
        "cluster_id": -1,
        "rule": f"{names[0]}|{names[1]}|{middle}",
        "split": splits[a],
    }
    for name, part, length, weight in (
        ("positive", positives, draft.P, 1 / len(positives)),
        ("negative", negatives, draft.K, 1.0),
    ):
        row[f"{name}_ids"] = _pad([e["other_id"] for e in part], length, -1)
        row[f"{name}_scores"] = _pad([e["similarity"] or 0.0 for e in part], length, 0.0)
        row[f"{name}_weights"] = _pad([weight] * len(part), length, 0.0)
        row[f"{name}_kinds"] = _pad([KINDS.index(e["miner"]) for e in part], length, -1)
    return row


def _pad(values, length, fill):
    return (list(values) + [fill] * length)[:length]


# ---------------------------------------------------------------- tables and manifest


def _sample_rows(keys, places, payloads, exts, captions, labels, group_id, splits):
    noon = datetime.datetime(2024, 5, 1, 12, tzinfo=datetime.UTC)
    rows = []
    for i, key in enumerate(keys):
        shard, offset, size = places[i]
        there = shard != ""
        side = Image.open(io.BytesIO(payloads[i])).size
        rows.append(
            {
                "sample_id": i,
                "key": key,
                "shard": shard,
                "offset": offset,
                "size": size,
                "sha256": hashlib.sha256(payloads[i]).hexdigest() if there else None,
                "ext": exts[i] if there else "",
                "width": side[0] if there else None,
                "height": side[1] if there else None,
                "caption": captions[i][0] if captions[i] else None,
                "captions": captions[i],
                "label": labels[i],
                "labels": [labels[i], SHAPES[group_id[i] % len(SHAPES)]],
                "group_id": int(group_id[i]),
                "cluster_id": None,
                "uid": None,
                "split": splits[i],
                "attr_camera": CAMERAS[i % 3] if i % 7 else None,
                "attr_lat": 40 + i / 100 if i % 5 else None,
                "attr_time": noon + datetime.timedelta(minutes=i),
            }
        )
    return rows


ATTRIBUTES = {"camera": "string", "lat": "float", "time": "time"}


def _reject_rows():
    codes = ["truncated_image", "not_an_image", "duplicate_key", "empty_file", "truncated_image"]
    return [
        {"key": f"bad/{i}", "where": f"in/{i}.jpg", "code": code, "message": f"refused: {code}"}
        for i, code in enumerate(codes)
    ]


def table_schema(root_or_table, table=None):
    """Return the Arrow schema of a table by name."""
    name = table or root_or_table
    if name == "samples":
        return schema.samples_schema(ATTRIBUTES)
    if name.startswith("neighbors/"):
        return schema.NEIGHBORS
    others = {"rejects": schema.REJECTS, "edges": schema.EDGES, "pairs": schema.PAIRS}
    return {**others, "selection": schema.SELECTION}[name]


def folder_of(table):
    """Return the folder of a table: neighbors/image>image stands in neighbors/image_to_image."""
    return table.replace(">", "_to_")


def _write_table(draft, table, rows):
    files = 1 if table == "rejects" else draft.files
    bounds = np.linspace(0, len(rows), files + 1).astype(int)
    entries = []
    for f in range(files):
        part = rows[bounds[f] : bounds[f + 1]]
        name = f"{folder_of(table)}/part-{f:05d}.parquet"
        path = draft.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        tables.write_parquet(pa.Table.from_pylist(part, table_schema(table)), path)
        entry = _entry(draft.root, name)
        entries.append({**entry, "rows": len(part), "first_row": int(bounds[f])})
    return entries


def _write_space(draft, space, vectors):
    bounds = np.linspace(0, len(vectors), draft.files + 1).astype(int)
    entries = []
    for f in range(draft.files):
        name = f"embeddings/{space}/part-{f:05d}.npy"
        path = draft.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        np.save(path, vectors[bounds[f] : bounds[f + 1]])
        rows = int(bounds[f + 1] - bounds[f])
        entries.append({**_entry(draft.root, name), "rows": rows, "first_row": int(bounds[f])})
    return entries


def _entry(root, name):
    path = root / name
    return {"path": name, "bytes": path.stat().st_size, "sha256": file_digest(path)}


def _manifest(draft, rows, facts, labels, caption, group_id):
    sizes = np.bincount(group_id)
    false = judged = 0
    for pair in rows["pairs"]:
        for other, kind in zip(pair["negative_ids"], pair["negative_kinds"], strict=True):
            if kind == KINDS.index("hard"):
                judged += 1
                false += labels[other] == labels[pair["anchor_id"]]
    config = {
        "corpus": {"source": "tiny"},
        "neighbors": {"image>image": {"k": draft.k, "min_recall": 0.99}},
        "seed": draft.seed,
    }
    space = {"dim": draft.dim, "dtype": "float16", "encoder": {"name": "tiny"}}
    recall = {"value": 1.0, "k": 10, "queries": draft.samples, "low": 0.99, "high": 1.0}
    return {
        "format": schema.FORMAT,
        "created_by": "curate-pairs tests",
        "config": config,
        "config_sha256": digest(canonical_json(config)),
        "corpus": {
            "source": "tiny",
            "reader": "none",
            "fingerprint": "0" * 16,
            "inputs": len(rows["samples"]) + len(rows["rejects"]),
        },
        "versions": {},
        "counts": {
            **{name: len(rows[name]) for name in ("samples", "rejects", "edges", "pairs")},
            "P": draft.P,
            "K": draft.K,
            "F": draft.F,
        },
        "kinds": list(KINDS),
        "miners": _miners(draft, facts["threshold"]),
        "fidelity": dict.fromkeys(KINDS, "exact"),
        "tables": {},
        "embeddings": {
            "image": {"of": "image", **space, "missing": 0},
            "caption": {"of": "caption", **space, "missing": int((~caption.any(axis=1)).sum())},
        },
        "index": {},
        "neighbors": {
            name: {
                "query": name.split(">")[0],
                "bank": name.split(">")[1],
                "k": len(rows[f"neighbors/{name}"][0]["neighbor_ids"]),
                "min_recall": 0.99,
                "exact": True,
                "recall": recall,
                "short_rows": 0,
            }
            for name in ("image>image", "image>caption")
        },
        "images": [],
        "attributes": ATTRIBUTES,
        "groups": {
            "threshold": 0.985,
            "groups": int((sizes > 1).sum()),
            "grouped_samples": int(sizes[sizes > 1].sum()),
        },
        "thresholds": {
            "image>image": {
                "attract": 0.95,
                "eliminate": facts["threshold"],
                "truth": "label",
                "curve": [[0.2, 0.1, 50], [0.5, 0.6, 50], [0.8, 0.95, 50]],
            }
        },
        "quality": {
            "false_negative_rate": {
                "value": round(false / judged, 6) if judged else None,
                "low": 0.0,
                "high": 1.0,
                "source": "label",
                "judged": judged,
            },
            "random_fill": facts["random_fill"],
            "fn_truncated": facts["fn_truncated"],
            "rejects_by_code": {
                "duplicate_key": 1,
                "empty_file": 1,
                "not_an_image": 1,
                "truncated_image": 2,
            },
        },
        "mask_groups": ["group_id"],
        "loss": {"t": 0.1, "pos_in_denom": "self", "tau_plus": 0.0, "beta": 0.0},
        "order": {"algo": "feistel4-v1", "rows_per_block": 8192},
        "plans": [],
        "parents": [],
    }


def _miners(draft, threshold):
    def miner(id_, role, settings, space="image>image"):
        return {
            "id": id_,
            "role": role,
            "miner": id_,
            "fidelity": "exact",
            "paper": "",
            "settings": settings,
            "space": space,
        }

    hard = {"ranks": list(HARD_RANKS), "max_ratio": MAX_RATIO, "count": min(HARD_COUNT, draft.K)}
    hard |= {"min_margin": None, "max_similarity": None, "space": "image>image"}
    fn = {"k": FN_K, "threshold": threshold, "action": "eliminate", "space": "image>image"}
    return [
        miner("knn", "positive", {"k": KNN_K, "mutual": True, "space": "image>image"}),
        miner("self_aug", "positive", {}, ""),
        miner("topk_threshold", "false_negative", fn),
        miner("hard", "negative", hard),
        miner("random", "negative", {"count": draft.K}, ""),
    ]


def _write_manifest(root, manifest):
    manifest.pop("manifest_id", None)
    manifest["manifest_id"] = f"sha256:{digest(canonical_json(manifest))}"
    (root / "manifest.json").write_text(json.dumps(manifest, indent=1, sort_keys=True) + "\n")


# ---------------------------------------------------------------- breaking one


def reseal(root):
    """Make sizes, hashes, rows of files and the manifest's id fit the files as they are now."""
    root = Path(root)
    manifest = json.loads((root / "manifest.json").read_text())
    entries = [e for listed in manifest["tables"].values() for e in listed]
    entries += [e for space in manifest["embeddings"].values() for e in space["files"]]
    for entry in entries + manifest["images"] + manifest.get("plans", []):
        entry.update(_entry(root, entry["path"]))
    _write_manifest(root, manifest)


@contextlib.contextmanager
def edit(root, table, file=0):
    """Let a test change the rows of one file of a table (dictionaries), then write and reseal."""
    root = Path(root)
    path = root / folder_of(table) / f"part-{file:05d}.parquet"
    before = tables.read_parquet(path)
    rows = before.to_pylist()
    yield rows
    tables.write_parquet(pa.Table.from_pylist(rows, before.schema.remove_metadata()), path)
    reseal(root)


def add_plan(root, members, name="random", planner="random", split="train", **changes):
    """Write a plan (pair_ids [batches, size]) and list it; `changes` go into its entry.

    With `negatives` (sample ids [batches, size, h]) it has drawn those.
    """
    root = Path(root)
    (root / "plans").mkdir(exist_ok=True)
    batches = np.asarray(members, np.int64)
    np.save(root / f"plans/{name}.npy", batches)
    rows = [
        r for f in sorted((root / "pairs").glob("*")) for r in tables.read_parquet(f).to_pylist()
    ]
    mine = {row["pair_id"] for row in rows if row["split"] == split}
    with edit_manifest(root) as manifest:
        entry = {
            "name": name,
            "planner": planner,
            "fidelity": "exact",
            "paper": "",
            "settings": {"size": batches.shape[1], "split": split, "block": None},
            **_entry(root, f"plans/{name}.npy"),
            "batches": len(batches),
            "size": batches.shape[1],
            "split": split,
            "blocks": 1,
            "repeats": False,
            "pairs_left_out": len(mine - set(batches.reshape(-1).tolist())),
            "facts": {},
        }
        entry["settings"] |= changes.pop("settings", {})
        drawn = changes.pop("negatives", None)
        if drawn is not None:
            file = f"plans/{name}.negatives.npy"
            np.save(root / file, np.asarray(drawn, np.int64))
            entry["negatives"] = {**_entry(root, file), "count": np.shape(drawn)[2]}
        manifest["plans"] = [*manifest.get("plans", []), {**entry, **changes}]


@contextlib.contextmanager
def edit_manifest(root):
    """Let a test change manifest.json; its id is made anew."""
    root = Path(root)
    manifest = json.loads((root / "manifest.json").read_text())
    yield manifest
    _write_manifest(root, manifest)


def add_texts(root, texts):
    """Give every row of `pairs` a list of hard captions, all of one length ("" padding)."""
    root = Path(root)
    kind = schema.TEXTS
    for path in sorted((root / "pairs").glob("*")):
        table = tables.read_parquet(path)
        mine = pa.array([texts[row] for row in table["pair_id"].to_pylist()], kind)
        tables.write_parquet(
            table.append_column(pa.field("negative_texts", kind, nullable=False), mine), path
        )
    with edit_manifest(root) as manifest:
        manifest["counts"]["T"] = len(texts[0])
    reseal(root)
