"""What a log of runs says of the stages."""

import json

import pytest

from curate.manifests.report.timing import read_timing


def test_kept_stages_show_the_time_of_the_run_that_made_them(tiny):
    timing = read_timing(tiny.root)
    vectors, hard = timing.stages
    assert (vectors.node, vectors.seconds, vectors.kept) == ("vectors:image", 50.0, True)
    assert vectors.rows_per_second == pytest.approx(12)
    assert (hard.node, hard.kept, hard.kept_parts, hard.peak_bytes) == (
        *("mine:hard", False, 1, 300_000_000),
    )
    assert timing.seconds == 2.5
    assert timing.driver_bytes == 200_000_000


def test_no_log_is_no_timing(tmp_path):
    assert read_timing(tmp_path).stages == []


def test_a_log_that_lost_its_beginning_is_read(tmp_path):
    lines = [{"event": "node_kept", "node": "scan", "rows": 5, "parts": 1}, [1], "x"]
    (tmp_path / "run.jsonl").write_bytes(b"\xff\n" + "\n".join(map(json.dumps, lines)).encode())
    (stage,) = read_timing(tmp_path).stages
    assert (stage.node, stage.rows, stage.kept, stage.rows_per_second) == ("scan", 5, True, None)


def test_given_timings_replace_the_log(tiny):
    timing = read_timing(tiny.root, {"scan": {"seconds": 4, "rows": 8, "parts": 2}})
    (stage,) = timing.stages
    assert (stage.node, stage.rows_per_second, stage.peak_bytes) == ("scan", 2.0, None)
