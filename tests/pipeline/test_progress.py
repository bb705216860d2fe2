import io

from curate.manifests.human import human_bytes, human_seconds
from curate.pipeline.events import Event
from curate.pipeline.memory import machine_bytes
from curate.pipeline.progress import PlainView, make_view


def part(node, rows, **facts):
    return Event(
        "part_done",
        node,
        part="p",
        rows=rows,
        facts={"rejects": 1},
        seconds=1.0,
        peak_worker_bytes=5_000_000,
        worker="w",
        **facts,
    )


def test_plain_lines_say_what_ended_and_how_fast():
    lines = []
    view = PlainView(["scan"], lines.append)
    view(Event("node_started", "scan", parts=2, kept=0, workers=1))
    view(part("scan", 100))
    view(part("scan", 100, warnings=["a.jpg cannot be read"]))
    done = {"parts": 2, "computed": 2, "kept": 0, "rows": 200, "seconds": 4.0}
    view(Event("node_done", "scan", **done))
    assert lines == [
        "warning: scan: a.jpg cannot be read",
        "scan: 2 parts, 200 rows in 4.0 s, 50 rows/s, 2 rejects, peak 5.0 MB a worker",
    ]


def test_a_kept_node_is_named():
    lines = []
    PlainView(["scan"], lines.append)(Event("node_kept", "scan", parts=2, rows=7))
    assert lines == ["scan: kept, 2 parts, 7 rows"]


def test_no_terminal_means_plain_lines_and_a_terminal_the_table():
    assert isinstance(make_view(["scan"], io.StringIO()), PlainView)

    class Terminal(io.StringIO):
        def isatty(self):
            return True

    screen = Terminal()
    view = make_view(["scan", "census"], screen)
    view(Event("node_started", "scan", parts=4, kept=1, workers=1))
    view(part("scan", 100))
    view.close()
    shown = screen.getvalue()
    assert "scan" in shown
    assert "2/4" in shown
    assert "left" in shown


def test_units():
    assert [human_seconds(s) for s in (42, 200, 7500)] == ["42 s", "3 min 20 s", "2 h 5 min"]
    assert [human_bytes(b) for b in (5, 1500, 2.5e9)] == ["5 B", "1.5 kB", "2.5 GB"]


def test_the_memory_of_the_machine_is_known():
    assert machine_bytes() > 1 << 30
