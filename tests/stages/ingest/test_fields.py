import math

import pytest

from curate.manifests.errors import ConfigError
from curate.manifests.schema import RejectCode
from curate.stages.ingest.base import Fields, cut
from curate.stages.ingest.fields import choose, value_at


def test_paths_reach_into_nested_objects_and_names_with_dots() -> None:
    record = {"json": {"a": {"b": 3}, "a.c": 4}, "seg.json": {"area": 5}, "json.x": 6}
    paths = ["json.a.b", "json.a.c", "seg.json.area", "json.x", "json.none", "none.a", "json.a.b.c"]
    assert [value_at(record, path) for path in paths] == [3, 4, 5, 6, None, None, None]


def test_guesses_take_the_first_known_name() -> None:
    picker = choose(Fields(), ["Title", "text", "Class", "split", "other"], "t.csv")
    assert (picker.caption, picker.label, picker.split) == (("text",), "Class", "split")
    assert picker.attributes == {}


def test_a_field_that_is_not_there_names_the_nearest() -> None:
    with pytest.raises(ConfigError, match=r"t\.csv has no column 'labell'.*mean 'label'"):
        choose(Fields(label="labell"), ["label", "x"], "t.csv")


def test_texts_are_trimmed_and_cleaned_and_empty_ones_left_out() -> None:
    picker = choose(Fields(caption=["a", "b"], labels="c"), ["a", "b", "c"], "t")
    record = {
        "a": ["  one\0 ", "", None, float("nan"), "two\nlines"],
        "b": "three",
        "c": [3.0, True, 3],
    }
    sample = picker.sample(record, "k", "w")
    assert sample.captions == ["one", "two\nlines", "three"]
    assert sample.labels == ["3", "true"]
    assert sample.code is None


def test_text_that_is_not_unicode_refuses_the_sample_but_keeps_its_count() -> None:
    picker = choose(Fields(), ["captions"], "t")
    sample = picker.sample(
        {"captions": ["good", b"caf\xe9".decode("utf-8", "surrogateescape")]}, "k", "w"
    )
    assert sample.code == RejectCode.BAD_TEXT
    assert len(sample.captions) == 2


def test_attributes_keep_their_type_and_nan_is_none() -> None:
    names = ["i", "f", "n", "inf", "b", "s", "big", "d", "none"]
    fields = Fields(attributes={name: name for name in names})
    record = {
        "i": 3, "f": 0.5, "n": math.nan, "inf": -math.inf, "b": False,
        "s": " x ", "big": 2**60, "d": {"z": 1}, "none": None,
    }  # fmt: skip
    sample = choose(fields, names, "t").sample(record, "k", "w")
    assert sample.attributes == {
        "i": 3, "f": 0.5, "n": None, "inf": None, "b": False,
        "s": "x", "big": str(2**60), "d": '{"z": 1}', "none": None,
    }  # fmt: skip


def test_plain_text_tables_give_numbers_and_lists() -> None:
    columns = ["captions", *"abcdef"]
    picker = choose(Fields(attributes={n: n for n in "abcdef"}), columns, "t", typed=False)
    record = {
        "captions": '["x", "y"]', "a": "37.50", "b": "007", "c": "nan", "d": "-3",
        "e": "90071992547409930", "f": "1e3",
    }  # fmt: skip
    sample = picker.sample(record, "k", "w")
    assert sample.captions == ["x", "y"]
    assert sample.attributes == {
        "a": 37.5, "b": "007", "c": None, "d": -3, "e": "90071992547409930", "f": 1000.0,
    }  # fmt: skip


@pytest.mark.parametrize("rows", [1, 3, 100])
@pytest.mark.parametrize("size", [1, 10, 1000])
def test_slices_cover_all_inputs_and_keep_the_limits(rows: int, size: int) -> None:
    sizes = [3, 50, 1, 0, -1, 7, 7, 2, 9, 12]
    runs = cut(sizes, rows, size)
    assert [i for a, b in runs for i in range(a, b)] == list(range(len(sizes)))
    for start, stop in runs:
        assert 1 <= stop - start <= rows
        assert stop - start == 1 or sum(max(s, 0) for s in sizes[start:stop]) <= size
