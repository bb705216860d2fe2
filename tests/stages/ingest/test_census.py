import tarfile

import numpy as np
import pytest
from ingest_helpers import picture, write_lines

from curate.manifests.arrays import ArraySource
from curate.manifests.errors import DataError
from curate.manifests.schema import samples_schema
from curate.stages.ingest.census import Census, part_rows


def table(path, rows):
    return write_lines(path, rows)


def test_the_first_good_input_of_a_key_wins_across_slices(tmp_path, ingest) -> None:
    root = tmp_path / "c"
    root.mkdir()
    names = ["a", "b", "c", "d", "e", "f"]
    for number, name in enumerate(names):
        (root / f"{name}.jpg").write_bytes(b"junk" if name == "a" else picture(number))
    keys = dict(zip(names, ["k1", "k1", "k2", "k1", "k2", "k3"], strict=True))
    table(root / "metadata.jsonl", [{"file_name": f"{n}.jpg", "id": keys[n]} for n in names])
    done = ingest(root, {"key": "id"}, slice_rows=1)
    assert [(row["key"], row["position"]) for row in done.rows] == [("k1", 1), ("k2", 2), ("k3", 5)]
    assert [row["code"] for row in done.rejects] == [
        "not_an_image",
        "duplicate_key",
        "duplicate_key",
    ]
    assert [row["where"] for row in done.rejects] == ["a.jpg", "d.jpg", "e.jpg"]


def test_facts_count_what_is_kept(tmp_path, ingest) -> None:
    rows = [
        {
            "key": "a",
            "captions": ["1", "2"],
            "labels": ["x", "y"],
            "split": "train",
            "lat": 1,
            "when": "2023-01-01",
        },
        {
            "key": "b",
            "captions": ["3"],
            "labels": ["x"],
            "split": "train",
            "lat": 2.5,
            "when": None,
        },
        {
            "key": "",
            "captions": ["4", "5"],
            "labels": ["z"],
            "split": "test",
            "lat": 3,
            "when": None,
        },
        {
            "key": "c",
            "captions": [],
            "labels": [],
            "split": "test",
            "lat": None,
            "when": "2023-01-02T03:04:05Z",
        },
    ]
    path = table(tmp_path / "t.jsonl", rows)
    facts = ingest(path, {"attributes": {"lat": "lat", "when": "when"}}, slice_rows=2).facts
    names = ("samples", "inputs", "rejects", "captions", "input_captions")
    assert [facts[name] for name in names] == [3, 4, 1, 3, 5]
    assert facts["attributes"] == {"lat": "float", "when": "time"}
    assert facts["splits"] == {"train": 2, "test": 1}
    assert facts["labels"] == {"labelled": 2, "distinct": 2, "counts": {"x": 2, "y": 1}}
    assert facts["rejects_by_code"] == {"empty_key": 1}
    assert (facts["captioned"], facts["has_images"]) == (2, False)


@pytest.mark.parametrize(
    ("samples", "rows"), [(1, 256), (16_384, 256), (16_385, 257), (524_288, 8192), (10**8, 8192)]
)
def test_part_rows_are_a_function_of_the_count(samples, rows) -> None:
    assert part_rows(samples) == rows


def test_positions_count_refused_inputs_so_arrays_stay_aligned(tmp_path, ingest) -> None:
    rows = [
        {"key": key, "captions": [f"{n}.{k}" for k in range(n % 3)]}
        for n, key in enumerate("ab-cde")
    ]
    rows[2]["key"] = ""
    path = table(tmp_path / "t.jsonl", rows)
    np.save(tmp_path / "v.npy", np.arange(1, 7, dtype=np.float32)[:, None] * [1, 1])
    vectors = np.ones((6, 2), np.float32)
    vectors[4] = np.nan  # captions: a 0, b 1, refused 2, c 0, d 1, e 2: row 4 is e's first
    np.save(tmp_path / "c.npy", vectors)
    arrays = {
        "image": ArraySource(str(tmp_path / "v.npy")),
        "caption": ArraySource(str(tmp_path / "c.npy"), of="caption"),
    }
    done = ingest(path, arrays=arrays, slice_rows=2)
    assert [(row["key"], row["position"], row["caption_position"]) for row in done.rows] == [
        ("a", 0, 0), ("b", 1, 0), ("c", 3, 3), ("d", 4, 3),
    ]  # fmt: skip
    assert done.codes["e"] == "nan_vector"
    assert "caption" in next(r for r in done.rejects if r["key"] == "e")["message"]


def test_a_wrong_number_of_rows_names_both_counts(tmp_path, ingest) -> None:
    path = table(tmp_path / "t.jsonl", [{"key": str(n), "caption": "x"} for n in range(5)])
    np.save(tmp_path / "v.npy", np.ones((4, 2), np.float32))
    with pytest.raises(DataError, match=r"4 rows, but the corpus has 5 inputs .*`keys`"):
        ingest(path, arrays={"image": ArraySource(str(tmp_path / "v.npy"))})


def test_a_corpus_without_a_usable_input_is_an_error(tmp_path, ingest) -> None:
    (tmp_path / "a.jpg").write_bytes(b"junk")
    with pytest.raises(DataError, match="no input is a usable sample"):
        ingest(tmp_path, format="folder")


def test_the_reject_limit_changes_no_result_but_the_vectors_do(tmp_path) -> None:
    assert Census(max_reject_fraction=0.1).identity() == Census(max_reject_fraction=0.9).identity()
    np.save(tmp_path / "v.npy", np.ones((2, 2)))
    arrays = {"image": ArraySource(str(tmp_path / "v.npy"))}
    before = Census(arrays=arrays).identity()
    assert before != Census().identity()
    np.save(tmp_path / "v.npy", np.ones((3, 2)))
    assert Census(arrays=arrays).identity() != before


def test_columns_that_a_run_masks_by_must_be_there(tmp_path, ingest) -> None:
    rows = [{"key": "a", "caption": "x", "cam": "1"}]
    path = table(tmp_path / "t.jsonl", rows)
    done = ingest(path, {"attributes": {"cam": "cam"}})
    names = [name for name in samples_schema({"cam": "string"}).names if name.endswith("cam")]
    Census(mask_groups=("group_id", "label", *names)).check(done.census)
    with pytest.raises(DataError, match=r"mask_groups: .* 'grop_id'. Did you mean 'group_id'\?"):
        Census(mask_groups=("grop_id",)).check(done.census)


def test_attributes_that_a_miner_asks_for_must_be_there_and_of_its_type(tmp_path, ingest) -> None:
    rows = [{"key": "a", "caption": "x", "cam": "north", "height": 3}]
    path = table(tmp_path / "t.jsonl", rows)
    done = ingest(path, {"attributes": {"cam": "cam", "height": "height"}})
    numbers = ("float", "time")
    Census(asked={"attr_cam": (), "attr_height": numbers}).check(done.census)
    with pytest.raises(DataError, match=r"asks for attribute 'came'.*Did you mean 'cam'\?"):
        Census(asked={"attr_came": ()}).check(done.census)
    with pytest.raises(DataError, match="'cam' holds strings, but a miner measures distances"):
        Census(asked={"attr_cam": numbers}).check(done.census)


def test_files_without_a_single_input_are_named_as_such(tmp_path, ingest) -> None:
    with tarfile.open(tmp_path / "000.tar", "w"):
        pass
    with pytest.raises(DataError, match="no input at all"):
        ingest(tmp_path / "000.tar")
