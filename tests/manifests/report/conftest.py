"""One pairset that tests of the report read and never change, and its report."""

import json
import re
from html.parser import HTMLParser

import pyarrow.parquet as pq
import pytest
from tiny_pairset import write_tiny_pairset

from curate.manifests.pairset import Pairset
from curate.manifests.report import write_report

EVENTS = [
    {"event": "run_started"},
    {"event": "node_done", "node": "vectors:image", "seconds": 50.0, "rows": 600, "parts": 4}
    | {"computed": 4, "kept": 0, "peak_worker_bytes": 500_000_000},
    {"event": "run_started"},
    {"event": "node_kept", "node": "vectors:image", "parts": 4, "rows": 600},
    {"event": "node_done", "node": "mine:hard", "seconds": 2.0, "rows": 9000, "parts": 4}
    | {"computed": 3, "kept": 1, "peak_worker_bytes": 300_000_000},
    {"event": "run_done", "seconds": 2.5, "peak_driver_bytes": 200_000_000},
]


@pytest.fixture(scope="session")
def tiny(tmp_path_factory):
    tiny = write_tiny_pairset(tmp_path_factory.mktemp("report") / "out", samples=600, files=3)
    (tiny.root / "run.jsonl").write_text("".join(json.dumps(e) + "\n" for e in EVENTS) + '{"ev')
    return tiny


@pytest.fixture(scope="session")
def pairset(tiny):
    return Pairset.open(tiny.root)


@pytest.fixture(scope="session")
def rows(tiny):
    """Return all rows of a table as dictionaries, read with plain pyarrow."""

    def read(table):
        folder = tiny.root / table.replace(">", "_to_")
        files = sorted(folder.glob("*.parquet"))
        return [row for file in files for row in pq.read_table(file).to_pylist()]

    return read


class Page(HTMLParser):
    """The elements of a page: (tag, attributes), the text, and the text of each card."""

    def __init__(self, text):
        super().__init__()
        self.source = text
        self.elements = []
        self.words = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.words.append(data)

    @property
    def text(self):
        return re.sub(r"\s+", " ", " ".join(self.words))

    def all(self, tag, **attrs):
        return [a for t, a in self.elements if t == tag and attrs.items() <= a.items()]


@pytest.fixture(scope="session")
def report(tiny, tmp_path_factory):
    return write_report(tiny.root, tmp_path_factory.mktemp("page") / "report.html")


@pytest.fixture(scope="session")
def page(report):
    return Page(report.read_text())
