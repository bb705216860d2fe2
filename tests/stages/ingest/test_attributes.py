import datetime

import pandas as pd
import pytest

from curate.stages.ingest.attributes import (
    KindMeter,
    attribute_column,
    merge_kinds,
    parse_time,
    type_of,
)

TIMES = [
    "2023-06-13", "2023-06-13T03:11:46Z", "2023-06-13 03:11:46.25", "2023-06-13T03:11:46+02:00",
    "2024-02-29T00:00",
]  # fmt: skip


@pytest.mark.parametrize("text", TIMES)
def test_times_are_those_of_pandas(text: str) -> None:
    assert parse_time(text) == pd.to_datetime(text, utc=True).to_pydatetime()


def test_exif_times_and_what_is_no_time() -> None:
    expected = datetime.datetime(2023, 6, 13, 3, 11, 46, tzinfo=datetime.UTC)
    assert parse_time("2023:06:13 03:11:46") == expected
    for text in ("", "yesterday", "2023-13-01", "20230613", "2023-02-30", "12:30"):
        assert parse_time(text) is None


@pytest.mark.parametrize(
    ("name", "values", "kind"),
    [
        ("camera", ["a", "b"], "string"),
        ("lat", [1, 2.5, None], "float"),
        ("lat", [1, "north"], "string"),
        ("seen", ["2023-06-13", "2023-06-14T01:00:00Z"], "time"),
        ("seen", ["2023-06-13", "once"], "string"),
        ("time", [1686625906, 1686625907.5], "epoch"),
        ("ts", [1686625906000], "epoch_ms"),
        ("time", [1686625906, 3], "float"),
        ("elevation", [1686625906], "float"),
        ("kids", [True, False], "string"),
    ],
)
def test_kinds(name: str, values: list[object], kind: str) -> None:
    meter = KindMeter()
    for value in values:
        meter.add({name: value})
    assert meter.kinds == {name: kind}


def test_kinds_merge_in_any_order() -> None:
    assert merge_kinds(["float", "epoch"]) == merge_kinds(["epoch", "float"]) == "float"
    assert merge_kinds(["time", "float"]) == "string"
    assert type_of("epoch_ms") == "time"


def test_columns_hold_the_values() -> None:
    moment = datetime.datetime(2023, 6, 13, 3, 11, 46, tzinfo=datetime.UTC)
    assert attribute_column([1, None, 2.5], "float").to_pylist() == [1.0, None, 2.5]
    assert attribute_column([True, None, 3, "x"], "string").to_pylist() == ["true", None, "3", "x"]
    seconds = attribute_column([moment.timestamp(), None], "epoch").to_pylist()
    assert seconds == [moment, None]
    assert attribute_column([moment.timestamp() * 1000], "epoch_ms").to_pylist() == [moment]
    assert attribute_column(["2023-06-13T03:11:46Z"], "time").to_pylist() == [moment]
