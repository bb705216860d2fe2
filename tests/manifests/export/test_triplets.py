"""Triplets, read by Hugging Face datasets and compared with the pairs by DuckDB."""

import importlib.util
import io

import datasets
import duckdb
import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image
from tiny_pairset import add_texts, edit, write_tiny_pairset

from curate.manifests.errors import UsageError
from curate.manifests.export import export

pytestmark = pytest.mark.filterwarnings("ignore")
SPLITS = ("train", "val")
COLUMNS = ["anchor", "positive", "negative_1", "negative_2", "negative_3", "negative_4"]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """200 samples; every third caption is of three words that few others have."""
    tiny = write_tiny_pairset(
        tmp_path_factory.mktemp("corpus") / "in", samples=200, files=2, tars=2, png_every=40
    )
    for file in (0, 1):
        with edit(tiny.root, "samples", file) as rows:
            for row in rows:
                i = row["sample_id"]
                if row["captions"]:
                    text = f"ünique caption {i}" if i % 3 else f"shared {i % 5}"
                    row["caption"], row["captions"] = text, [text]
    with edit(tiny.root, "pairs") as rows:
        rows[6]["negative_ids"] = [*rows[6]["negative_ids"][:3], -1]
    add_texts(tiny.root, [[f"wrong {i}", "" if i % 4 == 0 else "x"] for i in range(200)])
    return tiny


def load(out, cache, split):
    return datasets.load_dataset(str(out), split=split, cache_dir=str(cache))


def members(root, split):
    """Return (pair_id, anchor, first positive, *negatives) of each pair of a split."""
    rows = duckdb.execute(f"""
        select pair_id, anchor_id, positive_ids[1], negative_ids from '{root}/pairs/*.parquet'
        where split = '{split}' order by pair_id
    """).fetchall()
    return [(pair, anchor, positive, *negatives) for pair, anchor, positive, negatives in rows]


def texts(root):
    """Return the first caption of each sample, None where there is none."""
    rows = duckdb.execute(f"select sample_id, caption from '{root}/samples/*.parquet'").fetchall()
    return dict(rows)


def text_rows(root, split):
    """Return {pair: captions} of the rows that may stand: by plain loops."""
    known, found = texts(root), {}
    for pair, *ids in members(root, split):
        said = [known.get(i) for i in ids]
        if None not in said and not set(said[:2]) & set(said[2:]):
            found[pair] = said
    return found


def test_captions_stand_in_the_order_that_counts(corpus, tmp_path):
    options = {"anchor": "caption", "others": "caption", "pairs_per_shard": 64}
    result = export(corpus.root, "triplets", tmp_path / "out", options)
    total = 0
    for split in SPLITS:
        read = load(tmp_path / "out", tmp_path / "cache", split)
        wanted = text_rows(corpus.root, split)
        assert read.column_names == COLUMNS
        assert [list(row.values()) for row in read] == list(wanted.values())
        files = sorted((tmp_path / "out/ids").glob(f"{split}-*.npy"))
        assert np.concatenate([np.load(path) for path in files]).tolist() == list(wanted)
        total += len(read)
    assert (result.rows, result.skipped) == (total, 200 - total)
    assert total > 50
    assert result.skipped > 8  # those without a caption, the empty place, the shared texts


def test_pictures_are_embedded_and_decode(corpus, tmp_path):
    export(corpus.root, "triplets", tmp_path / "out", {"negatives": 2})
    read = load(tmp_path / "out", tmp_path / "cache", "train")
    assert read.column_names == COLUMNS[:4]
    assert all(isinstance(feature, datasets.Image) for feature in read.features.values())
    rows = [row for row in members(corpus.root, "train") if -1 not in row[:5]]
    assert len(read) == len(rows)
    raw = read
    for name in read.column_names:
        raw = raw.cast_column(name, datasets.Image(decode=False))
    for row, (_, *ids) in zip(raw, rows, strict=True):
        for name, sample in zip(COLUMNS[:4], ids, strict=False):
            data, payload = row[name]["bytes"], corpus.payloads[sample]
            assert data == payload or payload[:4] == b"\x89PNG"
            assert data[:3] == b"\xff\xd8\xff"


def test_pictures_as_files_stand_once_and_open_by_their_path(corpus, tmp_path, monkeypatch):
    out = tmp_path / "out"
    options = {"images": "files", "split": "val", "prefix": str(out)}
    result = export(corpus.root, "triplets", out, options)
    read = load(out, tmp_path / "cache", "val")
    rows = members(corpus.root, "val")
    for row, (_, *ids) in zip(read, rows, strict=True):
        for name, sample in zip(COLUMNS, ids, strict=True):
            if corpus.payloads[sample][:2] == b"\xff\xd8":
                original = Image.open(io.BytesIO(corpus.payloads[sample]))
                assert np.array_equal(np.asarray(row[name]), np.asarray(original))
    shown = {sample for _, *ids in rows for sample in ids}
    found = {int(path.stem) for path in (out / "images").rglob("*.jpg")}
    assert found == shown
    assert result.files == len(found) + 1


def test_a_picture_as_anchor_and_captions_with_hard_ones_beside(corpus, tmp_path):
    options = {"others": "caption", "negatives": 1, "hard_captions": 2}
    export(corpus.root, "triplets", tmp_path / "out", options)
    known = texts(corpus.root)
    hard = dict(duckdb.execute(
        f"select pair_id, negative_texts from '{corpus.root}/pairs/*.parquet'"
    ).fetchall())  # fmt: skip
    for split in SPLITS:
        read = load(tmp_path / "out", tmp_path / "cache", split)
        wanted = [
            [known.get(positive), known.get(negatives[0]), *hard[pair]]
            for pair, _, positive, *negatives in members(corpus.root, split)
        ]
        wanted = [row for row in wanted if not {None, ""} & set(row) and row[0] not in row[1:]]
        assert read.column_names == ["anchor", "positive", *(f"negative_{i}" for i in (1, 2, 3))]
        assert [list(row.values()) for row in read.remove_columns("anchor")] == wanted
        assert isinstance(read.features["anchor"], datasets.Image)


def test_both_at_once_and_a_row_for_each_positive(corpus, tmp_path):
    options = {"anchor": "both", "others": "both", "positives": 2, "negatives": 0}
    result = export(corpus.root, "triplets", tmp_path / "out", options)
    read = load(tmp_path / "out", tmp_path / "cache", "train")
    assert read.column_names == ["anchor", "positive"]
    assert list(read.features["anchor"]) == ["image", "text"]
    assert read[0]["anchor"]["image"].size == (32, 32)
    known = texts(corpus.root)
    rows = duckdb.execute(f"""
        select anchor_id, positive from (
            select pair_id, anchor_id, unnest(positive_ids) as positive,
                generate_subscripts(positive_ids, 1) as place
            from '{corpus.root}/pairs/*.parquet' where split = 'train'
        ) where positive >= 0 order by pair_id, place
    """).fetchall()
    wanted = [(known[a], known[b]) for a, b in rows if known.get(a) and known.get(b)]
    assert [(row["anchor"]["text"], row["positive"]["text"]) for row in read] == wanted
    assert result.rows + result.skipped == 400


def test_rows_of_a_file_are_grouped_by_64_where_they_hold_pictures(corpus, tmp_path):
    export(corpus.root, "triplets", tmp_path / "out", {"negatives": 0})
    meta = pq.read_metadata(tmp_path / "out/data/train-00000.parquet")
    assert meta.row_group(0).num_rows == 64
    assert meta.num_row_groups > 2


def test_wrong_use_is_refused(corpus, tiny, tmp_path):
    for options, words in (
        ({"anchor": "sound"}, "image, caption, both"),
        ({"positives": 0}, "at least 1"),
        ({"positives": 3}, "0 to 2"),
        ({"hard_captions": 3, "others": "caption"}, "0 to 2"),
        ({"hard_captions": 1}, "one of caption"),
    ):
        with pytest.raises(UsageError, match=words):
            export(corpus.root, "triplets", tmp_path / "out", options)
    with pytest.raises(UsageError, match="0 to 0"):
        export(tiny.root, "triplets", tmp_path / "out", {"hard_captions": 1, "others": "caption"})
    assert not (tmp_path / "out").exists()


@pytest.mark.skipif(
    importlib.util.find_spec("sentence_transformers") is None, reason="extra `peers`"
)
def test_the_collator_of_sentence_transformers_takes_it(corpus, tmp_path):
    """Columns reach its losses in the order anchor, positive, negatives, and as their kind."""
    from sentence_transformers.base.data_collator import BaseDataCollator
    from sentence_transformers.base.modality import infer_modality

    for at, (anchor, others) in enumerate((("caption", "caption"), ("image", "caption"))):
        out = tmp_path / str(at)
        export(corpus.root, "triplets", out, {"anchor": anchor, "others": others})
        read = load(out, tmp_path / "cache", "train")
        kinds = []

        def preprocess(inputs, prompt=None, task=None, kinds=kinds):
            found = {infer_modality(value) for value in inputs}
            kinds.append(found)
            return {"input": inputs}

        batch = BaseDataCollator(preprocess)([read[i] for i in range(8)])
        assert list(batch) == [f"{name}_input" for name in COLUMNS]
        expected = ["image" if anchor == "image" else "text", *["text"] * 5]
        assert kinds == [{kind} for kind in expected]
