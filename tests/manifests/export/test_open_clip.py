"""Both forms, read by open_clip_train's own readers, without any of our code."""

import io
import json
import tarfile
from collections import Counter
from types import SimpleNamespace

import duckdb
import numpy as np
import pytest
from open_clip_train import data
from PIL import Image
from tiny_pairset import edit, write_tiny_pairset

from curate.manifests.errors import DataError, UsageError
from curate.manifests.export import export

ODD = ("NA", "None", 'a "quoted"\tcaption\nof two lines', "  spaces  ", "naïve – 図", "007")


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """200 samples with 0 to 3 captions, some of which a CSV reader could take for something."""
    tiny = write_tiny_pairset(
        tmp_path_factory.mktemp("corpus") / "in", samples=200, files=2, tars=2, png_every=40
    )
    with edit(tiny.root, "samples", 0) as rows:
        for at, text in enumerate(ODD):
            rows[at]["caption"], rows[at]["captions"] = text, [text]
        rows[8]["captions"] = [rows[8]["caption"], "  ", "third"]
    return tiny


def expected(root, where="true", first=False):
    """Return Counter of (sample_id, caption) by DuckDB."""
    texts = "list_slice(captions, 1, 1)" if first else "captions"
    rows = duckdb.execute(f"""
        select sample_id, text from (
            select sample_id, unnest({texts}) as text from '{root}/samples/*.parquet' where {where}
        ) where trim(text) <> ''
    """).fetchall()
    return Counter(rows)


def tokens(texts):
    """Keep texts as they are: what the reader hands to the tokenizer is what is compared."""
    return [texts]


def dataset(folder, monkeypatch):
    monkeypatch.chdir(folder)
    return data.CsvDataset("open_clip.csv", lambda image: image, "filepath", "title", "\t", tokens)


def test_the_csv_reader_gets_every_caption_with_its_image(corpus, tmp_path, monkeypatch):
    result = export(corpus.root, "open-clip", tmp_path / "out")
    read = dataset(tmp_path / "out", monkeypatch)
    assert len(read) == result.rows
    seen = Counter()
    for at in range(len(read)):
        image, texts = read[at]
        sample = int(image.filename.rsplit("/", 1)[1].split(".")[0])
        seen[sample, texts[0].strip()] += 1
        payload = corpus.payloads[sample]
        if payload[:2] == b"\xff\xd8":
            original = np.asarray(Image.open(io.BytesIO(payload)))
            assert np.array_equal(np.asarray(image), original)
    wanted = Counter({(a, b.strip()): n for (a, b), n in expected(corpus.root).items()})
    # pandas reads a column of texts and one number as texts, so "007" stays
    assert seen == wanted
    assert result.skipped == 200 - len({sample for sample, _ in wanted})
    assert len(list((tmp_path / "out/images").rglob("*.jpg"))) == 200 - result.skipped


def test_tokens_of_a_caption_that_looks_missing_are_its_own(corpus, tmp_path, monkeypatch):
    from open_clip.tokenizer import _clean_whitespace  # what every tokenizer of it does first

    export(corpus.root, "open-clip", tmp_path / "out", {"captions": "first"})
    read = dataset(tmp_path / "out", monkeypatch)
    found = [_clean_whitespace(read[at][1][0]) for at in range(2)]
    assert found == ["NA", "None"]


def test_the_first_caption_only_and_a_prefix(corpus, tmp_path):
    options = {"captions": "first", "prefix": "/data/packed/", "split": "val"}
    export(corpus.root, "open-clip", tmp_path / "out", options)
    rows = duckdb.execute(f"""
        select filepath, title from
        read_csv('{tmp_path}/out/open_clip.csv', delim='\t', quote='"', all_varchar=true)
    """).fetchall()
    found = Counter((int(path[-16:-4]), text.strip()) for path, text in rows)
    assert found == expected(corpus.root, "split = 'val'", first=True)
    assert all(path.startswith("/data/packed/images/00000/") for path, _ in rows)


def args(folder, **more):
    files = sorted(folder.glob("*.tar"))
    shards = f"{folder}/pairs-{{000000..{len(files) - 1:06d}}}.tar"
    return SimpleNamespace(
        **{"train_data": shards, "val_data": shards, "train_num_samples": None, "workers": 0},
        **{"val_num_samples": None, "batch_size": 16, "world_size": 1, "seed": 0},
        train_data_upsampling_factors=None, dataset_resampled=False, **more,
    )  # fmt: skip


@pytest.mark.filterwarnings("ignore")
def test_the_tar_reader_gets_every_caption_with_its_image(corpus, tmp_path):
    out = tmp_path / "out"
    result = export(corpus.root, "open-clip", out, {"form": "tars", "pairs_per_shard": 90})
    info = data.get_wds_dataset(args(out), np.asarray, is_train=False, tokenizer=lambda t: [t])
    seen = Counter(
        (bytes(np.asarray(image)), text)
        for images, texts in info.dataloader
        for image, text in zip(images, texts, strict=True)
    )
    wanted = Counter()
    for (sample, text), count in expected(corpus.root).items():
        if corpus.payloads[sample][:2] == b"\xff\xd8":
            pixels = np.asarray(Image.open(io.BytesIO(corpus.payloads[sample])))
            wanted[pixels.tobytes(), text] += count
    assert sum(seen.values()) == result.rows
    assert wanted <= seen
    assert sum((seen - wanted).values()) == sum(
        n
        for (sample, _), n in expected(corpus.root).items()
        if sample % 40 == 0  # the PNGs
    )
    # the number of samples comes from sizes.json
    train = data.get_wds_dataset(args(out), np.asarray, is_train=True, tokenizer=lambda t: [t])
    assert train.dataloader.num_samples == -(-result.rows // 16) * 16
    assert sum(json.loads((out / "sizes.json").read_text()).values()) == result.rows


def test_captions_of_one_image_stand_far_apart_in_tars(corpus, tmp_path):
    export(corpus.root, "open-clip", tmp_path / "out", {"form": "tars", "pairs_per_shard": 90})
    order = []
    for path in sorted((tmp_path / "out").glob("*.tar")):
        with tarfile.open(path) as tar:
            for member in tar:
                if member.name.endswith(".json"):
                    about = json.load(tar.extractfile(member))
                    order.append((about["caption"], about["sample_id"]))
                    assert about["key"] == corpus.keys[about["sample_id"]]
    assert order == sorted(order)
    assert len(set(order)) == len(order)


def test_what_cannot_be_is_refused(tiny, tmp_path):
    with pytest.raises(UsageError, match="csv, tars"):
        export(tiny.root, "open-clip", tmp_path / "out", {"form": "zip"})
    bare = write_tiny_pairset(tmp_path / "in", samples=20, with_images=False)
    with pytest.raises(DataError, match="both an image and a caption"):
        export(bare.root, "open-clip", tmp_path / "out")
    assert not (tmp_path / "out").exists()
