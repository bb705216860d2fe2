import csv
import json
import random

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from curate.manifests.errors import DataError
from curate.stages.ingest.grouping import group_records
from curate.stages.ingest.tablefile import Record, merge_extents, open_table

ROWS = [
    {"name": "a.jpg", "text": "plain"},
    {"name": "b.jpg", "text": 'with "quotes", commas\tand tabs'},
    {"name": "c.jpg", "text": "two\nlines"},
    {"name": "d.jpg", "text": "é ü 漢"},
    {"name": "e.jpg", "text": ""},
    {"name": "f.jpg", "text": 'the 5" pipe'},
]


@pytest.fixture(params=["csv", "tsv", "semicolon", "jsonl", "parquet", "crlf", "bom"])
def table(request, tmp_path):
    kind = request.param
    path = tmp_path / f"t.{kind}"
    if kind == "jsonl":
        path.write_text("\n".join(json.dumps(row, ensure_ascii=False) for row in ROWS))
    elif kind == "parquet":
        pq.write_table(pa.Table.from_pylist(ROWS), path, row_group_size=2)
    else:
        path = tmp_path / ("t.tsv" if kind == "tsv" else "t.csv")
        sign = {"tsv": "\t", "semicolon": ";"}.get(kind, ",")
        encoding = "utf-8-sig" if kind == "bom" else "utf-8"
        with path.open("w", newline="", encoding=encoding) as file:
            ending = "\r\n" if kind == "crlf" else "\n"
            writer = csv.DictWriter(file, ["name", "text"], delimiter=sign, lineterminator=ending)
            writer.writeheader()
            writer.writerows(ROWS)
    return open_table(str(path))


def test_every_kind_of_table_gives_the_rows(table) -> None:
    assert table.columns == ["name", "text"]
    assert [dict(record.values) for record in table.records()] == ROWS


def test_extents_give_the_same_rows(table) -> None:
    records = list(table.records())
    for start, stop in ((0, 6), (1, 4), (5, 6), (2, 3)):
        extents = merge_extents((r.start, r.size, r.number) for r in records[start:stop])
        assert len(extents) == 1
        again = list(table.records(extents))
        assert [dict(record.values) for record in again] == ROWS[start:stop]
        assert again[0].number == records[start].number
    scattered = merge_extents((records[n].start, records[n].size, 0) for n in (0, 2, 5))
    assert [dict(r.values) for r in table.records(scattered)] == [ROWS[n] for n in (0, 2, 5)]


def test_csv_is_read_as_pandas_reads_it(tmp_path) -> None:
    rng = random.Random(0)
    letters = ["a", '"', ",", "\n", "é", " ", "b"]
    rows = [{"x": "".join(rng.choices(letters, k=6)), "y": "1"} for _ in range(200)]
    path = tmp_path / "t.csv"
    pd.DataFrame(rows).to_csv(path, index=False)
    expected = pd.read_csv(path, dtype=str, keep_default_na=False).to_dict("records")
    assert [dict(r.values) for r in open_table(str(path)).records()] == expected


def test_a_bad_line_costs_one_record(tmp_path) -> None:
    path = tmp_path / "t.csv"
    path.write_text('name,text\na,1\nb,"open\nc,3\nd,4,5\ne\nf,6\n')
    records = list(open_table(str(path)).records())
    assert [r.values["name"] if r.values else None for r in records] == [
        "a",
        None,
        "c",
        None,
        None,
        "f",
    ]
    assert [r.number for r in records] == [2, 3, 4, 5, 6, 7]
    lines = tmp_path / "t.jsonl"
    lines.write_text('{"a": 1}\n{"a": \n[1]\n\n{"a": NaN}\n')
    found = list(open_table(str(lines)).records())
    assert [r.values is not None for r in found] == [True, False, False, True]


def test_a_stray_quote_in_a_long_file_costs_one_record_and_bounded_work(tmp_path) -> None:
    path = tmp_path / "t.csv"
    lines = [f"n{number},text {number}\n" for number in range(30_000)]
    lines[10] = 'n10,"never closed\n'
    path.write_text("name,text\n" + "".join(lines))
    records = list(open_table(str(path)).records())
    assert len(records) == 30_000
    assert [r.number for r in records if r.values is None] == [12]


def test_utf16_says_what_to_do(tmp_path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("a,b\n1,2\n", encoding="utf-16")
    with pytest.raises(DataError, match="iconv"):
        open_table(str(path))


def test_groups_stand_where_their_first_record_stands() -> None:
    rng = random.Random(3)
    names = [rng.choice(["a", "b", "c", "d", None]) for _ in range(200)]
    records = [(Record(n * 10, 10, n, {}), name) for n, name in enumerate(names)]
    groups = group_records(records)
    expected: dict[object, list[int]] = {}
    for number, name in enumerate(names):
        expected.setdefault(number if name is None else name, []).append(number)
    assert len(groups) == len(expected)
    for run, numbers in enumerate(expected.values()):
        places = groups.places[groups.starts[run] : groups.starts[run + 1]]
        assert places[:, 2].tolist() == numbers
        assert groups.first[run] == numbers[0]
