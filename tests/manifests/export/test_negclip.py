"""The table, read as NegCLIP's trainer reads it (src/training/data.py of vinid/neg_clip)."""

import ast
import random

import duckdb
import pandas as pd
import pytest
from PIL import Image
from tiny_pairset import add_texts, edit, write_tiny_pairset

from curate.manifests.errors import DataError
from curate.manifests.export import export

SIZE = 150
ODD = {0: "NA", 1: 'a "quoted"\tcaption', 2: "two\nlines"}
TEXTS = [
    ["", ""] if i % 11 == 5 else [f"wrong {i}", "" if i % 2 else f'it\'s "\\{i}"\t\n']
    for i in range(SIZE)
]


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    tiny = write_tiny_pairset(
        tmp_path_factory.mktemp("corpus") / "in", samples=SIZE, files=2, tars=2, png_every=40
    )
    with edit(tiny.root, "samples") as rows:
        for at, text in ODD.items():
            rows[at]["caption"], rows[at]["captions"] = text, [text]
    with edit(tiny.root, "pairs") as rows:
        # 9 names 10 only, 10 names 5 only, and 5 has no hard caption: none of them can stay.
        for row, other in ((9, 10), (10, 5)):
            rows[row]["negative_ids"] = [other, -1, -1, -1]
            rows[row]["negative_kinds"] = [3, -1, -1, -1]
    add_texts(tiny.root, TEXTS)
    return tiny.root


@pytest.fixture(scope="module")
def table(root, tmp_path_factory):
    out = tmp_path_factory.mktemp("packed")
    result = export(root, "negclip", out)
    literal = {"neg_caption": ast.literal_eval, "neg_image": ast.literal_eval}
    return out, result, pd.read_csv(out / "negclip.tsv", sep="\t", converters=literal)


def reference(root):
    """Return {anchor: (caption, hard captions, ids of hard images)}, by plain loops."""
    pairs = duckdb.execute(f"""
        select p.anchor_id, s.caption, p.negative_texts, p.negative_ids, p.negative_kinds
        from '{root}/pairs/*.parquet' p join '{root}/samples/*.parquet' s
        on s.sample_id = p.anchor_id order by 1
    """).fetchall()
    fill = 4
    rows = {
        anchor: (caption, [t for t in texts if t], list(zip(ids, kinds, strict=True)))
        for anchor, caption, texts, ids, kinds in pairs
        if caption and any(texts)
    }
    while True:
        found = {}
        for anchor, (caption, texts, others) in rows.items():
            known = [(i, kind) for i, kind in others if i in rows]
            mined = [i for i, kind in known if kind != fill]
            chosen = mined or [i for i, _ in known]
            if chosen:
                found[anchor] = (caption, texts, chosen)
        if len(found) == len(rows):
            return found
        rows = {anchor: rows[anchor] for anchor in found}


def test_titles_paths_hard_captions_and_hard_images_are_those_of_the_pairs(root, table):
    _, result, rows = table
    wanted = reference(root)
    anchors = [int(path[-16:-4]) for path in rows["filepath"]]
    assert anchors == sorted(wanted)
    assert not {5, 9, 10} & set(anchors)
    for at, anchor in enumerate(anchors):
        caption, texts, others = wanted[anchor]
        assert str(rows["title"][at]).strip() == caption.strip()
        assert rows["neg_caption"][at] == texts
        assert [anchors[number] for number in rows["neg_image"][at]] == others
    assert (result.rows, result.skipped) == (len(wanted), SIZE - len(wanted))


def test_its_own_reader_draws_from_every_row(table):
    """`CsvDataset.__getitem__` of neg_clip, written out; no draw may fail."""
    out, _, rows = table
    images, captions = rows["filepath"].tolist(), rows["title"].tolist()
    hard_captions, hard_images = rows["neg_caption"].tolist(), rows["neg_image"].tolist()
    for at in range(len(rows)):
        assert Image.open(out / str(images[at])).size == (32, 32)
        assert isinstance(captions[at], str)
        assert random.choice(hard_captions[at])
        other = random.choice(hard_images[at])
        assert Image.open(out / str(images[other]))
        assert random.choice(hard_captions[other])


def test_images_are_those_of_the_table_and_once_each(table):
    out, _, rows = table
    found = sorted(str(path.relative_to(out)) for path in (out / "images").rglob("*.jpg"))
    assert found == rows["filepath"].tolist()


def test_a_pairset_without_hard_captions_is_refused(tiny, tmp_path):
    with pytest.raises(DataError, match="--recipe negclip"):
        export(tiny.root, "negclip", tmp_path / "out")
    assert not (tmp_path / "out").exists()
