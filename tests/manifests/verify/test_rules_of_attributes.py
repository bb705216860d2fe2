"""`verify` re-checks pairs from attributes, people and oracles, and finds each broken one."""

import json
import shutil

import numpy as np
import pytest
from runs import curate
from tiny_pairset import edit, reseal

from curate.manifests.explain import explain
from curate.manifests.verify import verify

N = 300


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    """A pairset with every miner of attributes and people."""
    folder = tmp_path_factory.mktemp("corpus")
    rng = np.random.default_rng(0)
    lines = []
    for row in range(N):
        record = {
            "key": f"k{row}",
            "split": "test" if row % 10 == 0 else "train",
            "camera": f"cam{row % 4}",
            "kind": f"animal/{'bird' if row % 2 else 'cat'}/{row % 5}",
            "time": f"2024-0{1 + row % 6}-11T{row % 24:02}:{row % 60:02}:{row % 7:02}Z",
            "lat": 48 + row % 6,
            "lon": 180 - row % 3 * 1e-4,
            "height": float(rng.integers(0, 30)),
        }
        if row % 23 == 5:
            record.pop("time")
        lines.append(json.dumps(record))
    (folder / "table.jsonl").write_text("\n".join(lines) + "\n")
    np.save(folder / "image.npy", rng.normal(size=(N, 16)).astype(np.float32))
    sets = [{"set": f"s{i % 3}", "key": f"k{i}", "round": i // 20} for i in range(0, 60, 2)]
    said = [
        {"key_a": f"k{i}", "key_b": f"k{i + 6}", "answer": "yes" if i % 3 else "no"}
        for i in range(1, 60)
    ]
    said += [{"key_a": "k1", "key_b": "k13", "answer": "no"}]
    for name, rows in (("sets", sets), ("said", said)):
        (folder / name).write_text("".join(json.dumps(row) + "\n" for row in rows))
    sets, said = str(folder / "sets"), str(folder / "said")
    names = ("camera", "kind", "time", "lat", "lon", "height")
    config = {
        "spaces": {"image": {"of": "image", "encoder": "array", "path": str(folder / "image.npy")}},
        "neighbors": {"image>image": {"k": 16}},
        "corpus": {
            "source": str(folder / "table.jsonl"),
            "format": "embeddings",
            "fields": {"attributes": {name: name for name in names}},
        },
        "positives": [
            {"miner": "place", "location": "camera", "count": 3, "min_gap_s": 60},
            {"miner": "place", "coordinates": ["lat", "lon"], "metres": 50, "count": 3},
            {"miner": "sequence", "location": "camera", "window_s": 3600, "take": "all"},
            {"miner": "context", "location": "camera", "t": 0.3, "window": 40},
            {"miner": "context", "location": "camera", "t": 0.3, "mode": "context_embedding"},
            {"miner": "attribute", "equal": ["kind/2"], "near": "height", "within": 3}
            | {"balance": "camera", "gamma": 0.5, "max_per_value": 2},
            {"miner": "human", "selections": sets},
            {"miner": "oracle", "answers": said},
        ],
        "false_negatives": [{"miner": "human_centroid", "selections": sets, "k": 16}],
        "negatives": [
            {"miner": "oracle", "answers": said},
            {"miner": "hard", "space": "image>image", "exclude_attributes": ["camera"]},
        ],
        "output": {"positives": 40, "negatives": 8, "false_negatives": 64},
        "mask_groups": ["group_id", "attr_camera"],
    }
    (folder / "config.yaml").write_text(json.dumps(config))  # JSON is YAML.
    curate("run", folder / "config.yaml", "-o", folder / "out", "--ray", "off")
    return folder / "out"


def test_a_run_is_sound_and_explained(sound):
    result = verify(sound)
    assert result.findings == ()
    manifest = json.loads((sound / "manifest.json").read_text())
    facts = {item["id"]: item["facts"] for item in manifest["miners"]}
    assert 0 < facts["context"]["non_self_rate"] < 1
    assert facts["oracle"]["conflicts"] == 1
    assert facts["attribute"]["coverage"] == 1
    assert manifest["mask_groups"] == ["group_id", "attr_camera"]
    said = {
        edge["miner"]: edge["why"] for edge in explain(sound, "k2")["edges"] if not edge["reason"]
    }
    assert "of the same camera 'cam2'" in said["place"]
    assert "taken within 50 m" in said["place-2"]
    assert "at t = 0.3" in said["context"]
    assert "people put both into one set" in said["human"]
    assert "answers of yes join it" in said["oracle"]


BREAKS = [
    ("place", {"positive"}, {"other_id": 3, "anchor": 2}, "place"),
    ("place-2", {"positive"}, {"other_id": 3, "anchor": 2}, "place"),
    ("sequence", {"positive"}, {"other_id": 3, "anchor": 2}, "place"),
    ("context", {"positive"}, {"weight": 0.9}, "weight-sum"),
    ("attribute", {"positive"}, {"weight": 0.9}, "weight"),
    ("human", {"positive"}, {"other_id": 1, "anchor": 2}, "selection"),
    ("oracle", {"positive"}, {"other_id": 299, "anchor": 2}, "oracle"),
    ("oracle-2", {"negative"}, {"other_id": 299, "anchor": 3}, "oracle"),
    ("hard", {"negative"}, {"other_id": 6, "anchor": 2}, "attribute"),
]


@pytest.mark.parametrize(("miner", "roles", "change", "check"), BREAKS, ids=lambda i: str(i)[:12])
def test_a_broken_edge_is_found(sound, tmp_path, miner, roles, change, check):
    root = tmp_path / "out"
    shutil.copytree(sound, root, ignore=shutil.ignore_patterns(".store"))
    change = dict(change)
    anchor = change.pop("anchor", None)
    with edit(root, "edges") as rows:
        row = next(
            r
            for r in rows
            if r["miner"] == miner
            and r["role"] in roles
            and anchor in (None, r["anchor_id"])
            and r["other_id"] != r["anchor_id"]
        )
        row.update(change)
    reseal(root)
    assert check in {finding.check for finding in verify(root).findings}


def test_a_frame_that_was_left_out_is_found(sound, tmp_path):
    root = tmp_path / "out"
    shutil.copytree(sound, root, ignore=shutil.ignore_patterns(".store"))
    with edit(root, "edges") as rows:
        for row in rows:
            if row["miner"] in ("place", "sequence") and row["role"] == "positive":
                row.update(role="refused", reason="not_drawn")
    reseal(root)
    texts = [f.message for f in verify(root).findings if f.check == "not-taken"]
    assert any("positives of its place" in text for text in texts)
    assert any("is not taken by sequence" in text for text in texts)
