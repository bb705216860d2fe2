import json

from curate.pipeline.events import Event, EventLog, tee


def test_a_log_goes_on_where_the_last_run_ended_or_was_torn(tmp_path):
    path = tmp_path / "run.jsonl"
    for rows in (1, 2, 3):
        log = EventLog(path)
        log(Event("node_done", "scan", rows=rows))
        log(Event("run_done", seconds=1.5))
        log.close()
        with path.open("a") as file:
            file.write('{"event": "torn' if rows == 2 else "")
    lines = path.read_text().splitlines()
    assert lines.pop(4) == '{"event": "torn'
    events = [json.loads(line) for line in lines]
    assert [event["event"] for event in events] == ["node_done", "run_done"] * 3
    assert [event["rows"] for event in events[::2]] == [1, 2, 3]
    assert all(event["time"] > 1.6e9 for event in events)


def test_tee_sends_to_all():
    left, right = [], []
    tee(left.append, right.append)(Event("x"))
    assert len(left) == len(right) == 1
