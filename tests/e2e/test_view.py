"""Ask, label on the page's server, mine with the labels: the commands as people type them."""

import json
import signal
import subprocess
import sys
import urllib.parse
import urllib.request
from contextlib import contextmanager

import networkx as nx
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner
from runs import environment

from curate.manifests.verify import verify
from curate.pipeline.cli import main

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
QUIET = ("--ray", "off", "--no-report")


def curate(*arguments):
    """Run a command in this process: each one of its own would load torch again."""
    done = CliRunner().invoke(main, list(map(str, arguments)), catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done


@contextmanager
def viewing(out):
    """Run `curate view`; yields a function that sends a request."""
    command = [sys.executable, "-m", "curate.pipeline.cli", "view", out, "--no-browser", "--json"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment())
    text = ""
    while not text.rstrip().endswith("}"):
        text += process.stdout.readline()
    facts = json.loads(text)
    address, token = facts["url"].split("#token=")

    def send(path, body=None, **params):
        url = f"{address}api/{path}?{urllib.parse.urlencode(params)}"
        headers = {"X-Curate-Token": token, "Content-Type": "application/json"}
        data = None if body is None else json.dumps(body).encode()
        with urllib.request.urlopen(urllib.request.Request(url, data, headers)) as answer:
            return json.loads(answer.read())

    yield send
    process.send_signal(signal.SIGINT)
    assert process.wait(20) == 0


def test_labels_are_used_by_the_next_run(tmp_path):
    corpus, out = tmp_path / "corpus", tmp_path / "out"
    curate("sample", corpus, "--size", "80", "--workers", "1")
    curate("run", corpus / "curate.yaml", "-o", out, *QUIET)
    asked = json.loads(curate("ask", out, "--budget", "15", "--json").stdout)
    assert asked["asked"] == 15
    truth = {}
    for path in sorted((out / "samples").glob("*.parquet")):
        for row in pq.read_table(path, columns=["key", "label", "captions"]).to_pylist():
            truth[row["key"]] = row
    said = {}
    with viewing(out) as send:
        while (found := send("questions"))["items"]:
            one, two = found["items"][0]["a"], found["items"][0]["b"]
            same = truth[one["key"]]["label"] == truth[two["key"]]["label"]
            said[one["key"], two["key"]] = "yes" if same else "no"
            answer = {"a": one["id"], "b": two["id"], "answer": said[one["key"], two["key"]]}
            send("answer", answer)
        # A caption finds its own picture among the first of 80, by the encoder of the run.
        key, row = next((k, r) for k, r in truth.items() if r["captions"])
        near = send("samples", text=row["captions"][0], space="image", limit=20)["items"]
        assert row["label"] in {label for item in near[:5] for label in item["labels"]}
        assert [item["similarity"] for item in near] == sorted(
            (item["similarity"] for item in near), reverse=True
        )
        assert key in {item["key"] for item in send("samples", q=key)["items"]}
    assert set(said.values()) == {"yes", "no"}
    file = out / "questions.jsonl"
    before = file.read_bytes()
    sets = [f"--set={section}.0.answers={file}" for section in ("positives", "negatives")]
    again = ("run", corpus, "-o", out, "--encoder", "builtin", "--recipe", "oracle", *sets)
    curate(*again, "--fresh", *QUIET)
    assert file.read_bytes() == before
    assert verify(out).ok
    edges = pq.read_table(out / "edges").to_pylist()
    keys = {row["sample_id"]: row["key"] for row in pq.read_table(out / "samples").to_pylist()}
    pairs = {
        role: {
            frozenset((keys[e["anchor_id"]], keys[e["other_id"]]))
            for e in edges
            if e["role"] == role and e["miner"].startswith("oracle")
        }
        for role in ("positive", "negative")
    }
    graph = nx.Graph([pair for pair, word in said.items() if word == "yes"])
    chains = {
        frozenset((a, b)) for part in nx.connected_components(graph) for a in part for b in part
    }
    assert pairs["positive"] == {pair for pair in chains if len(pair) == 2}
    assert pairs["negative"] == {frozenset(p) for p, word in said.items() if word == "no"}
    more = json.loads(curate("ask", out, "--budget", "15", "--json").stdout)
    assert more["round"] == 1
    known = {frozenset(pair) for pair in said} | chains
    assert all(frozenset((q["key_a"], q["key_b"])) not in known for q in more["questions"])
