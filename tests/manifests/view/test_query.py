"""What a filter lets through, against loops over the tables and DuckDB."""

import duckdb
import pyarrow.parquet as pq
import pytest

from curate.manifests.pairset import Pairset
from curate.manifests.view.query import Finder, Found, Query


@pytest.fixture(scope="module")
def pairset(tiny):
    return Pairset.open(tiny.root)


def rows(tiny, table):
    files = sorted((tiny.root / table).glob("*.parquet"))
    return [row for file in files for row in pq.read_table(file).to_pylist()]


def every(finder, query, limit, most=256):
    """Follow pages to the end; return all ids and the number of pages."""
    ids, at, pages = [], 0, 0
    while at is not None:
        found = finder.page(query, at, limit, most)
        assert len(found.ids) <= limit
        assert found.next is None or found.next > at
        ids, at, pages = ids + found.ids, found.next, pages + 1
    return ids, pages


def test_words_are_looked_for_in_keys_and_captions(tiny, pairset):
    for words in (
        ("RED",),
        ("scene/0002",),
        ("blue", "circle"),
        ("scene/00010", "e"),
        ("nothing",),
    ):
        expected = []
        for at, key in enumerate(tiny.keys):
            texts = [key, *tiny.captions[at]]
            if all(any(word.lower() in text.lower() for text in texts) for word in words):
                expected.append(at)
        assert every(Finder(pairset), Query(words=words), 500)[0] == expected
        assert bool(expected) == (words != ("nothing",))


def test_signs_of_patterns_are_plain_letters(pairset):
    for sign in (".*", "%", "_", "(", "[a", "\\"):
        assert every(Finder(pairset), Query(words=(sign,)), 500)[0] == []


@pytest.mark.parametrize(
    ("query", "sql"),
    [
        (Query(split="val"), "select sample_id from samples where split = 'val'"),
        (Query(label="red"), "select sample_id from samples where list_contains(labels, 'red')"),
        (
            Query(split="train", label="blue"),
            "select sample_id from samples where split = 'train' and label = 'blue'",
        ),
        (Query(role="refused"), "select anchor_id from edges where role = 'refused'"),
        (Query(reason="ratio"), "select anchor_id from edges where reason = 'ratio'"),
        (
            Query(role="negative", miner="hard"),
            "select anchor_id from edges where role = 'negative' and miner = 'hard'",
        ),
        (
            Query(reason="split", label="red", miner="hard"),
            "select anchor_id from edges join samples on sample_id = anchor_id "
            "where reason = 'split' and miner = 'hard' and label = 'red'",
        ),
        (Query(pairs=True), "select anchor_id from pairs"),
        (
            Query(kind="self_aug"),
            "select anchor_id from pairs where list_contains(positive_kinds, 1)",
        ),
        (
            Query(kind="random", split="val"),
            "select anchor_id from pairs where list_contains(negative_kinds, 4) and split = 'val'",
        ),
        (Query(kind="unknown"), "select anchor_id from pairs where false"),
    ],
)
def test_columns_and_edges(tiny, pairset, query, sql):
    with duckdb.connect() as db:
        for table in ("samples", "edges", "pairs"):
            db.sql(f"create view {table} as select * from '{tiny.root}/{table}/*.parquet'")
        expected = sorted({row[0] for row in db.sql(sql).fetchall()})
    finder = Finder(pairset)
    assert every(finder, query, 300)[0] == expected
    if len(expected) > 7:
        assert every(finder, query, 7)[0] == expected
    assert every(finder, query, 7, most=1)[0] == expected
    ids = list(range(299, -1, -3))
    assert finder.among(query, ids) == [row for row in ids if row in set(expected)]


def test_a_page_that_reads_too_much_stops_and_says_where(pairset):
    assert Finder(pairset).page(Query(words=("nothing",)), 0, 5, most=1) == Found([], 150)
    assert Finder(pairset).page(Query(words=("nothing",)), 150, 5, most=1) == Found([], None)
    assert Finder(pairset).page(Query(), 298, 5) == Found([298, 299], None)
    assert Finder(pairset).page(Query(), 300, 5) == Found([], None)
    assert Finder(pairset).page(Query(), 0, 150) == Found(list(range(150)), 150)


def test_a_split_without_a_name_is_a_split(pairset):
    assert every(Finder(pairset), Query(split=""), 10)[0] == []
    assert Query(split=None).columns == ["sample_id"]
