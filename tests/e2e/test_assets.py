"""Generated positives from a corpus to a batch; and what verify says when they are altered."""

import json
import shutil

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from runs import curate, published

from curate.manifests import PairStream
from curate.manifests.errors import ConfigError, UsageError
from curate.manifests.explain import explain
from curate.manifests.fingerprint import canonical_json, digest, file_digest
from curate.manifests.pairset import Pairset
from curate.manifests.stream import false_negative_mask
from curate.manifests.verify import verify
from curate.pipeline.resolve import Request, resolve
from curate.stages.generate.train import main as train_generator

pytestmark = pytest.mark.slow
SHORT = ("--ray", "off", "--no-report")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("assets")
    curate("sample", folder / "corpus", "--size", "60", "--px", "64", "--workers", "1")
    weights = folder / "w.safetensors"
    train_generator([str(folder / "corpus"), "-o", str(weights), "--px", "64", "--steps", "40"])
    config = {
        "corpus": {
            "source": str(folder / "corpus"),
            "format": "imagefolder",
            "fields": {"caption": "captions", "label": "label", "split": "split"},
        },
        "spaces": {"image": {"of": "image", "encoder": "builtin"}},
        "neighbors": {"image>image": {"k": 16}},
        "recipes": ["clsp"],
        "positives": [{"miner": "synthetic", "assets": "hard", "schedule": 0.8}],
        "generate": {
            "clsp": {"path": str(weights), "count": 4},
            "hard": {"generator": "offset", "path": str(weights), "count": 3},
        },
        "output": {"negatives": 2},
    }
    path = folder / "c.yaml"
    path.write_text(json.dumps(config))
    curate("run", path, "-o", folder / "out", *SHORT)
    return folder, path


@pytest.fixture
def copy(made, tmp_path):
    shutil.copytree(made[0] / "out", tmp_path / "out")
    return tmp_path / "out"


def test_the_run_is_sound_and_has_what_the_recipes_ask_for(made):
    out = made[0] / "out"
    result = verify(out)
    assert result.ok, result
    assert result.checked["assets"] == 60 * 7
    manifest = json.loads((out / "manifest.json").read_text())
    assert manifest["counts"]["A"] == 16
    assert manifest["counts"]["assets"] == 420
    assert {name: item["count"] for name, item in manifest["assets"].items()} == {
        "clsp": 4,
        "hard": 3,
    }
    pairs = pq.read_table(out / "pairs/part-00000.parquet")
    assert len(pairs) == 60
    taken = np.array(pairs["positive_asset_ids"].to_pylist())
    assert (taken >= 0).sum() > 30
    assets = pa.concat_tables(
        [pq.read_table(out / f"assets/{name}-part-00000.parquet") for name in ("clsp", "hard")]
    )
    assert assets["asset_id"].to_pylist() == list(range(420))
    anchor = np.array(assets["anchor_id"].to_pylist())
    row, place = np.nonzero(taken >= 0)
    np.testing.assert_array_equal(anchor[taken[row, place]], pairs["anchor_id"].to_numpy()[row])


def test_a_second_run_has_the_same_bytes_and_a_stopped_one_goes_on(made, tmp_path):
    folder, config = made
    shutil.copytree(folder / "out/.store", tmp_path / "out/.store")
    for node in ("generate.clsp", "asset_vectors.hard", "measured.clsp", "mine.synthetic"):
        for commit in (tmp_path / "out/.store" / node).rglob("artifact.json"):
            commit.unlink()
    for table in (tmp_path / "out/.store/generate.clsp").rglob("*.tar"):
        table.write_bytes(table.read_bytes()[:600])
    curate("run", config, "-o", tmp_path / "out", *SHORT)
    assert published(tmp_path / "out") == published(folder / "out")


def test_explain_says_why_of_every_asset(made):
    pairset = Pairset.open(made[0] / "out")
    for key in pairset.table("samples", ["key"])["key"].to_pylist()[:12]:
        facts = explain(pairset.root, key)
        edges = [edge for edge in facts["edges"] if edge["asset"]]
        assert len(edges) == 7
        for edge in edges:
            assert edge["in_row"] == (edge["role"] == "positive")
            if edge["reason"] == "nearer_other":
                assert "of another group is nearer" in edge["why"]
            elif edge["role"] == "positive":
                assert "positive: generated, similarity" in edge["why"]
            else:
                assert "similarity" in edge["why"]
                assert ("<" in edge["why"]) or (">" in edge["why"])


def test_a_batch_has_one_drawn_asset_a_pair(made, tmp_path):
    out = made[0] / "out"
    pairs = pq.read_table(out / "pairs/part-00000.parquet")
    listed = np.array(pairs["positive_asset_ids"].to_pylist())
    since = np.array(pairs["positive_asset_valid_from"].to_pylist())
    seen: dict[int, set[int]] = {}
    for budget in (2 << 30, 1):
        stream = PairStream(
            out, batch_size=20, memory_budget=budget, cache=tmp_path / "c", captions=True
        )
        for epoch in range(6):
            stream.set_epoch(epoch)
            for batch in stream:
                assert batch.assets == 1
                assert batch.positive.shape == (20, 2)
                for row, pair in enumerate(batch.pair_id.tolist()):
                    place = int(batch.positive[row, 1])
                    if (listed[pair] >= 0).any():
                        number = -2 - int(batch.sample_id[place])
                        assert number in listed[pair]
                        assert batch.captions[place] == ""
                        assert batch.positive_weight[row, 1] == batch.positive_weight[row, 0]
                        seen.setdefault(pair, set()).add(number)
                    else:
                        assert place == -1
                        assert batch.positive_weight[row, 1] == 0
    assert max(map(len, seen.values())) > 1
    stream.set_progress(0.0)
    stream.seek(0)
    for batch in stream:
        for row, pair in enumerate(batch.pair_id.tolist()):
            place = int(batch.positive[row, 1])
            if place >= 0:
                at = listed[pair].tolist().index(-2 - int(batch.sample_id[place]))
                assert since[pair, at] == 0


def test_an_asset_is_nobody_s_negative(made):
    stream = PairStream(made[0] / "out", batch_size=30, assets=3)
    batch = next(iter(stream))
    assert batch.assets == 3
    made_ids = batch.sample_id < 0
    assert made_ids.sum() > 10
    mask = false_negative_mask(
        batch.fn_ids[:, :0],
        batch.sample_id[batch.anchor],
        batch.groups[batch.anchor],
        batch.sample_id,
        batch.groups,
    )
    assert mask[:, made_ids].all()
    assert not mask[:, ~made_ids].all()
    assert (batch.groups[made_ids] == -1).all()
    used = batch.negative[batch.negative >= 0]
    assert not made_ids[used].any()
    plain = next(iter(PairStream(made[0] / "out", batch_size=30, assets=0)))
    assert plain.positive.shape == (30, 1)
    assert (plain.sample_id >= 0).all()
    with pytest.raises(UsageError, match="assets=-1"):
        PairStream(made[0] / "out", batch_size=30, assets=-1)


def alter(out, name, change):
    """Change a table and make the manifest agree with its bytes."""
    path = out / name
    table = change(pq.read_table(path))
    path.unlink()
    pq.write_table(table, path)
    manifest = json.loads((out / "manifest.json").read_text())
    for listed in manifest["tables"].values():
        for entry in listed:
            if entry["path"] == name:
                entry.update(bytes=path.stat().st_size, sha256=file_digest(path))
    del manifest["manifest_id"]
    manifest["manifest_id"] = f"sha256:{digest(canonical_json(manifest))}"
    (out / "manifest.json").write_text(json.dumps(manifest))


def put(column, where, value):
    def change(table):
        values = table[column].to_pylist()
        at = next(i for i, row in enumerate(table.to_pylist()) if where(row))
        values[at] = value(values[at]) if callable(value) else value
        field = table.schema.field(column)
        place = table.column_names.index(column)
        return table.set_column(place, field, pa.array(values, field.type))

    return change


TAKEN = {"edges": lambda row: row["asset"] and row["role"] == "positive"}
FILLED = {"pairs": lambda row: row["positive_asset_ids"][0] >= 0}


@pytest.mark.parametrize(
    ("table", "column", "where", "value", "check"),
    [
        ("assets/clsp", "similarity", lambda row: True, 0.123, "similarity"),
        ("assets/clsp", "hardness", lambda row: True, 0.9, "hardness"),
        ("assets/clsp", "anchor_id", lambda row: row["asset_id"] == 9, 1, "asset-count"),
        ("assets/clsp", "sha256", lambda row: True, "0" * 64, "asset-bytes"),
        ("assets/clsp", "shard", lambda row: True, "../x.tar", "shard"),
        ("assets/hard", "nearest_id", lambda row: True, lambda v: (v + 11) % 60, "similarity"),
        ("edges", "role", TAKEN["edges"], "negative", "asset-role"),
        ("edges", "asset", TAKEN["edges"], "clsp/none", "unexplained"),
        ("edges", "valid_from", TAKEN["edges"], 0.99, "valid-from"),
        ("pairs", "positive_asset_ids", FILLED["pairs"], lambda v: [419, *v[1:]], "unexplained"),
        ("pairs", "positive_asset_ids", FILLED["pairs"], lambda v: [-1] * len(v), "left-out"),
    ],
)
def test_verify_finds_what_was_altered(copy, table, column, where, value, check):
    name = f"{table}-part-00000.parquet" if "/" in table else f"{table}/part-00000.parquet"
    alter(copy, name, put(column, where, value))
    found = {finding.check for finding in verify(copy).findings}
    assert check in found


def refuse_one(table):
    rows = table.to_pylist()
    row = next(row for row in rows if TAKEN["edges"](row))
    row["role"], row["reason"] = "refused", "nearer_other"
    return pa.Table.from_pylist(rows, table.schema)


def take_one(table):
    rows = table.to_pylist()
    row = next(row for row in rows if row["asset"] and row["reason"] == "min_similarity")
    row["role"], row["reason"] = "positive", ""
    return pa.Table.from_pylist(rows, table.schema)


@pytest.mark.parametrize(
    ("change", "check"), [(refuse_one, "refusal"), (take_one, "min_similarity")]
)
def test_verify_holds_the_gates(copy, change, check):
    alter(copy, "edges/part-00000.parquet", change)
    assert check in {finding.check for finding in verify(copy).findings}


def test_a_tar_that_is_gone_is_missed(copy):
    (copy / "assets/hard-part-00000.tar").unlink()
    found = {finding.check for finding in verify(copy).findings}
    assert {"missing-file"} <= found


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"generate.clsp.path": ""}, r"generate\.clsp: .*--set generate\.clsp\.path="),
        ({"generate.clsp.path": "none.safetensors"}, r"none\.safetensors is not a file"),
        ({"generate.clsp.generator": "latnet"}, r"Did you mean 'latent'"),
        ({"generate.clsp.space": "imag"}, r"no space is called 'imag'.*Did you mean 'image'"),
        ({"generate.clsp.wide": 3}, r"generate\.clsp\.wide: unknown key"),
        ({"generate.clsp.w": 2}, r"generate\.clsp\.w: .*\(got 2\)"),
        ({"generate.clsp.count": 0}, r"generate\.clsp\.count: .*\(got 0\)"),
    ],
)
def test_a_wrong_section_is_refused_before_any_work(made, changes, message):
    from curate.pipeline import plan

    sets = [f"{key}={value!r}" for key, value in changes.items()]

    def plan_all():
        config = resolve(Request(str(made[1]), sets=sets))
        return plan.build_nodes(config, plan.open_corpus(config), 1 << 30)

    with pytest.raises(ConfigError, match=message):
        plan_all()
