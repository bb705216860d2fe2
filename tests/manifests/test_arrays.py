"""Vectors in files of every kind, and which of their rows belongs to which sample."""

from __future__ import annotations

import io

import fsspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from curate.manifests import vector_table
from curate.manifests.arrays import ArrayAlignment, ArraySource, open_vectors
from curate.manifests.errors import DataError

VALUES = np.random.default_rng(0).normal(size=(23, 6)).astype(np.float16)
ASKED = np.array([5, 0, 22, 5, 11, 12])


def write(path, values=VALUES):
    if path.suffix == ".npy":
        np.save(path, values)
    else:
        body = {
            "key": [str(n) for n in range(len(values))],
            "vector": list(values.astype(np.float32)),
        }
        pq.write_table(pa.table(body), path, row_group_size=4)


@pytest.mark.parametrize("layout", ["one.npy", "one.parquet", "folder npy", "pattern", "braces"])
def test_rows_are_read_in_the_order_asked(layout, tmp_path) -> None:
    source = tmp_path
    if layout.startswith("one"):
        source = tmp_path / layout
        write(source)
    else:
        for number, (start, stop) in enumerate(((0, 9), (9, 10), (10, 23))):
            write(tmp_path / f"p{number}.npy", VALUES[start:stop])
    name = {"pattern": f"{tmp_path}/p*.npy", "braces": f"{tmp_path}/p{{0..2}}.npy"}.get(layout)
    table = open_vectors(name or str(source))
    assert table.shape == (23, 6)
    taken = table.take(ASKED)
    assert taken.dtype == np.float32
    assert np.array_equal(taken, VALUES[ASKED].astype(np.float32))
    blocks = np.concatenate([block for _, block in table.blocks(7)])
    assert np.array_equal(blocks, VALUES.astype(np.float32))


@pytest.mark.parametrize("ending", ["npy", "parquet"])
def test_remote_rows_are_read_by_ranges(ending, tmp_path, monkeypatch) -> None:
    write(tmp_path / f"v.{ending}")
    fsspec.filesystem("memory").pipe_file(
        f"/vec/v.{ending}", (tmp_path / f"v.{ending}").read_bytes()
    )
    table = open_vectors(f"memory://vec/v.{ending}")
    asked: list[int | None] = []
    original = vector_table.storage.read_bytes

    def read(url, offset=0, size=None):
        asked.append(size)
        return original(url, offset, size)

    monkeypatch.setattr(vector_table.storage, "read_bytes", read)
    assert np.array_equal(table.take(ASKED), VALUES[ASKED].astype(np.float32))
    if ending == "npy":
        assert sum(asked) < VALUES.nbytes
        assert len(asked) == 5


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda p: np.save(p / "v.npy", np.ones(5)), r"shape \(5,\)"),
        (lambda p: np.save(p / "v.npy", np.array([["a"]])), "numbers of shape"),
        (lambda p: np.save(p / "v.npy", np.array([{}]), allow_pickle=True), "not a readable .npy"),
        (lambda p: (p / "v.npy").write_bytes(b"\x93NUMPY junk"), "not a readable .npy"),
        (lambda p: (p / "v.parquet").write_bytes(b"PAR1"), "not a readable Parquet"),
        (lambda p: pq.write_table(pa.table({"x": [1]}), p / "v.parquet"), "which column holds"),
        (lambda p: pq.write_table(pa.table({"v": [[1.0], [1.0, 2.0]]}), p / "v.parquet"), "widths"),
        (lambda p: [np.save(p / f"{n}.npy", np.ones((2, n))) for n in (1, 2)], "widths: 1, 2"),
        (lambda p: None, "no .npy or .parquet file"),
    ],
)
def test_what_is_not_a_table_of_vectors_is_said(make, text, tmp_path) -> None:
    make(tmp_path)
    with pytest.raises(DataError, match=text):
        open_vectors(str(tmp_path)).take(np.array([0]))


def test_a_missing_file_is_said(tmp_path) -> None:
    with pytest.raises(DataError, match="no such file"):
        open_vectors(str(tmp_path / "none.npy"))


def test_rows_in_corpus_order() -> None:
    position, before, captions = np.array([0, 2, 3]), np.array([0, 4, 4]), np.array([2, 0, 3])
    images = ArrayAlignment.of(ArraySource("v.npy"), 5, inputs=5, captions=9)
    assert [x.tolist() for x in images.rows_for(position, before, captions)] == [
        [0, 2, 3],
        [1, 1, 1],
    ]
    source = ArraySource("v.npy", of="caption")
    texts = ArrayAlignment.of(source, 9, inputs=5, captions=9)
    assert [x.tolist() for x in texts.rows_for(position, before, captions)] == [
        [0, -1, 4],
        [2, 0, 3],
    ]
    assert ArrayAlignment.of(source, 5, inputs=5, captions=9).mode == "position"


def test_counts_that_do_not_fit_name_both_and_the_remedy() -> None:
    with pytest.raises(
        DataError, match=r"v\.npy has 7 rows, but the corpus has 5 inputs or 9 captions.*`keys`"
    ):
        ArrayAlignment.of(ArraySource("v.npy", of="caption"), 7, inputs=5, captions=9)


@pytest.mark.parametrize("ending", ["txt", "csv", "tsv", "npy", "bytes.npy", "parquet"])
def test_rows_by_keys(ending, tmp_path) -> None:
    keys = [f"k{n} é" for n in range(20)]
    path = tmp_path / f"k.{ending}"
    if ending == "txt":
        path.write_text("\n".join(keys) + "\n")
    elif ending == "npy":
        np.save(path, np.array(keys))
    elif ending == "bytes.npy":
        np.save(path, np.array([key.encode() for key in keys]))
    elif ending == "parquet":
        pq.write_table(pa.table({"n": range(20), "key": keys}), path)
    else:
        sign = "," if ending == "csv" else "\t"
        path.write_text(
            f"n{sign}key\n" + "".join(f"{n}{sign}{key}\n" for n, key in enumerate(keys))
        )
    alignment = ArrayAlignment.of(ArraySource("v", keys=str(path)), 20, inputs=7, captions=0)
    none = np.zeros(4, np.int64)
    first, count = alignment.rows_for(none, none, none, ["k7 é", "other", "k0 é", "k19 é"])
    assert first.tolist() == [7, -1, 0, 19]
    assert count.tolist() == [1, 0, 1, 1]


def test_captions_may_share_a_key_in_one_run(tmp_path) -> None:
    path = tmp_path / "k.txt"
    path.write_text("b\nb\na\nc\nc\nc\n")
    source = ArraySource("v", of="caption", keys=str(path))
    none = np.zeros(3, np.int64)
    first, count = ArrayAlignment.of(source, 6, 3, 6).rows_for(none, none, none, ["a", "b", "c"])
    assert (first.tolist(), count.tolist()) == ([2, 0, 3], [1, 2, 3])
    with pytest.raises(DataError, match=r"row 1 names a sample that an earlier row has named"):
        ArrayAlignment.of(ArraySource("v", keys=str(path)), 6, 3, 6)
    path.write_text("b\na\nb\n")
    with pytest.raises(DataError, match="an earlier row"):
        ArrayAlignment.of(source, 3, 3, 3)
    with pytest.raises(DataError, match="names 3 rows, but v has 6"):
        ArrayAlignment.of(source, 6, 3, 6)


def test_keys_that_share_half_a_hash_are_told_apart() -> None:
    hashes = np.array([[5, 1], [5, 2], [5, 9], [7, 0]], np.uint64)
    rows = np.arange(4)
    alignment = ArrayAlignment("key", hashes, rows * 10, np.ones(4, np.int64))
    wanted = np.array([[5, 9], [5, 1], [5, 5], [7, 0], [8, 0], [5, 2]], np.uint64)
    assert alignment._find(wanted)[0].tolist() == [20, 0, -1, 30, -1, 10]


def test_no_pickle_is_ever_loaded(tmp_path) -> None:
    stream = io.BytesIO()
    np.save(stream, np.array(["a", None], dtype=object), allow_pickle=True)
    (tmp_path / "k.npy").write_bytes(stream.getvalue())
    with pytest.raises(DataError, match=r"not a \.npy file of strings"):
        ArrayAlignment.of(ArraySource("v", keys=str(tmp_path / "k.npy")), 2, 2, 2)
