"""SVG says what the counts say."""

import re

import numpy as np
import pytest

from curate.manifests.report.plots import bars, columns, interval, similarity_panels
from curate.manifests.report.similarity import BINS, Series


def series(role, miner, space, where):
    counts = np.zeros(BINS, np.int64)
    for at, count in where.items():
        counts[at] = count
    return Series(role, miner, space, counts, 0)


@pytest.fixture
def panels():
    found = [
        series("positive", "knn", "image>image", {180: 30, 181: 10}),
        series("negative", "hard", "image>image", {150: 5, 160: 15}),
        series("negative", "cross", "image>caption", {120: 1}),
        series("negative", "random", "", {}),
    ]
    return similarity_panels(found, {"image>image": {"eliminate": 0.7, "attract": -0.9}})


def test_one_panel_a_space_that_has_similarities(panels):
    assert [panel.space for panel in panels] == ["image>caption", "image>image"]
    assert [ridge.miner for ridge in panels[1].ridges] == ["knn", "hard"]


def test_titles_hold_the_counts_of_their_bin(panels):
    titles = re.findall(r"<title>(.*?)</title>", str(panels[1].svg), re.S)
    assert titles == [
        "0.50 to 0.51\nhard negatives: 5",
        "0.60 to 0.61\nhard negatives: 15",
        "0.80 to 0.81\npositives: 30",
        "0.81 to 0.82\npositives: 10",
    ]


def test_outlines_are_shares_of_the_tallest(panels):
    path = re.search(r'r-positive" d="(.*?)"', str(panels[1].svg))[1]
    heights = [float(y) for y in re.findall(r"V([\d.]+)H", path)]
    assert min(heights) == 4
    assert sorted(set(heights)) == [4, 100 - 96 * 10 / 30, 100]


def test_marks_outside_the_axis_are_left_out(panels):
    (mark,) = panels[1].marks
    assert mark.text == "eliminate 0.70"
    first, last = 148, 184
    assert mark.at == pytest.approx(100 * (170 - first) / (last - first), abs=0.01)


def test_ticks_stand_at_their_values(panels):
    for tick in panels[1].ticks:
        value = -1 + 0.01 * (148 + tick.at / 100 * 36)
        assert float(tick.text) == pytest.approx(value, abs=1e-3)


def test_bars_are_scaled_to_the_longest_or_the_whole():
    assert [bar.width for bar in bars([("a", 10), ("b", 5), ("c", 0)])] == [100, 50, 0]
    assert [bar.width for bar in bars([("a", 10)], whole=40)] == [25]
    assert bars([("a", 1), ("b", 10_000)])[0].width == 0.5
    assert bars([]) == []


def test_columns_escape_their_labels():
    svg = str(columns([("<b>", 3)], 6))
    assert "<b>" not in svg
    assert "&lt;b&gt;: 3" in svg


def test_an_interval_spans_low_to_high():
    svg = str(interval(0.02, 0.01, 0.04))
    x, width = re.search(r'class="span" x="([\d.]+)" y="3" width="([\d.]+)"', svg).groups()
    assert float(x) == pytest.approx(5 + 290 * 0.01 / 0.05)
    assert float(width) == pytest.approx(290 * 0.03 / 0.05)
