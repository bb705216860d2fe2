import json

from curate.pipeline.events import Event, EventLog, read_log, tee


def test_the_log_is_one_json_object_a_line_and_survives_a_torn_end(tmp_path):
    log = EventLog(tmp_path / "run.jsonl")
    log(Event("node_done", "scan", rows=3))
    log(Event("run_done", seconds=1.5))
    log.close()
    with (tmp_path / "run.jsonl").open("a") as file:
        file.write('{"event": "torn')
    lines = (tmp_path / "run.jsonl").read_text().splitlines()
    assert json.loads(lines[0])["rows"] == 3
    assert [event["event"] for event in read_log(tmp_path / "run.jsonl")] == [
        "node_done",
        "run_done",
    ]


def test_a_log_goes_on_where_the_last_run_ended(tmp_path):
    for seconds in (1, 2):
        log = EventLog(tmp_path / "run.jsonl")
        log(Event("run_done", seconds=seconds))
        log.close()
    assert [event["seconds"] for event in read_log(tmp_path / "run.jsonl")] == [1, 2]
    assert read_log(tmp_path / "missing.jsonl") == []


def test_tee_sends_to_all():
    left, right = [], []
    tee(left.append, right.append)(Event("x"))
    assert len(left) == len(right) == 1
