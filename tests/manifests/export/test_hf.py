"""The folder, read by `datasets.load_dataset` and compared with the tables by pyarrow."""

import datasets
import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
import yaml
from tiny_pairset import edit, write_tiny_pairset

from curate.manifests.errors import UsageError
from curate.manifests.export import export

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(scope="module")
def folder(tiny, tmp_path_factory):
    out = tmp_path_factory.mktemp("hub") / "out"
    return out, export(tiny.root, "hf", out, {"pairs_per_shard": 90})


def load(out, config, split, cache):
    return datasets.load_dataset(str(out), config, split=split, cache_dir=str(cache))


def test_pairs_come_split_by_split_with_all_columns(folder, tiny, tmp_path):
    out, result = folder
    whole = pq.read_table(tiny.root / "pairs")
    rows = 0
    for split in ("train", "val"):
        read = load(out, "pairs", split, tmp_path)
        mine = whole.filter(pc.equal(whole["split"], split)).sort_by("pair_id")
        assert read.column_names == whole.column_names
        assert read.with_format("arrow")[:].to_pylist() == mine.to_pylist()
        assert read.features["negative_ids"].feature.dtype == "int64"
        assert read.features["positive_scores"].feature.dtype == "float32"
        rows += len(read)
    assert (result.rows, result.skipped) == (rows, 0) == (300, 0)


def test_samples_are_looked_up_by_id_and_their_images_open(folder, tiny, tmp_path):
    out, _ = folder
    read = load(out, "samples", "train", tmp_path)
    assert isinstance(read.features["image"], datasets.Image)
    whole = pq.read_table(tiny.root / "samples").to_pylist()
    plain = read.remove_columns("image").to_list()
    assert plain == whole
    raw = read.cast_column("image", datasets.Image(decode=False))
    assert [row["image"]["bytes"] for row in raw] == tiny.payloads
    assert np.asarray(read[41]["image"]).shape == (32, 32, 3)
    pairs = load(out, "pairs", "train", tmp_path)
    row = pairs[7]
    assert read[row["anchor_id"]]["key"] == tiny.keys[row["anchor_id"]]
    kinds = {name: str(feature.dtype) for name, feature in read.features.items()
             if isinstance(feature, datasets.Value)}  # fmt: skip
    schema = pq.read_schema(next((tiny.root / "samples").glob("*")))
    for name, kind in kinds.items():
        expected = {"double": "float64", "float": "float32"}.get(str(schema.field(name).type))
        assert kind == (expected or str(schema.field(name).type))


def test_it_streams(folder, tmp_path):
    read = datasets.load_dataset(str(folder[0]), "samples", split="train", streaming=True,
                                 cache_dir=str(tmp_path))  # fmt: skip
    assert next(iter(read))["image"].size == (32, 32)


def test_the_card_names_parquet_only_and_every_file(folder):
    out, result = folder
    header = yaml.safe_load((out / "README.md").read_text().split("---")[1])
    patterns = [d["path"] for config in header["configs"] for d in config["data_files"]]
    assert all(pattern.endswith(".parquet") for pattern in patterns)
    named = {path for pattern in patterns for path in out.glob(pattern)}
    assert named == set(out.rglob("*.parquet"))
    assert result.files == len(named)


def test_row_groups_with_pictures_are_small(folder):
    for path in (folder[0] / "samples").glob("*"):
        meta = pq.read_metadata(path)
        sizes = [meta.row_group(i).num_rows for i in range(meta.num_row_groups)]
        assert max(sizes) <= 64
        assert all(size == 64 for size in sizes[:-1])


def test_images_can_stay_where_they_are(tiny, tmp_path):
    export(tiny.root, "hf", tmp_path / "out", {"images": "reference"})
    read = load(tmp_path / "out", "samples", "train", tmp_path / "cache")
    assert "image" not in read.column_names
    assert read[3]["shard"].endswith(".tar")


def test_odd_names_of_splits_and_samples_without_images(tmp_path):
    """ "" becomes train; "val 2" and "val-2" would be one name; nothing escapes the folder."""
    tiny = write_tiny_pairset(tmp_path / "in", samples=30, with_images=False)
    names = ["", "val 2", "val-2", "../../up"]
    for table in ("samples", "pairs"):
        with edit(tiny.root, table) as rows:
            for at, row in enumerate(rows):
                row["split"] = names[at % 4]
    export(tiny.root, "hf", tmp_path / "out")
    read = datasets.load_dataset(str(tmp_path / "out"), "pairs", cache_dir=str(tmp_path / "c"))
    assert {name: set(part["split"]) for name, part in read.items()} == {
        "train": {""},
        "val_2": {"val 2"},
        "val_2_2": {"val-2"},
        "______up": {"../../up"},
    }
    samples = load(tmp_path / "out", "samples", "train", tmp_path / "c")
    assert samples[0]["image"] is None
    assert not list(tmp_path.glob("up*"))


def test_wrong_use_is_refused(tiny, tmp_path):
    with pytest.raises(UsageError, match="embed, reference"):
        export(tiny.root, "hf", tmp_path / "out", {"images": "files"})
    assert not (tmp_path / "out").exists()
