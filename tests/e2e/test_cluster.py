"""A cluster of two Ray nodes on one machine: the same bytes as in one process."""

import os
import secrets
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from runs import curate, published, vector_config, vector_corpus

pytestmark = [pytest.mark.slow, pytest.mark.ray]
PORT = 26379


@pytest.fixture
def cluster(monkeypatch):
    ray = str(Path(sys.executable).parent / "ray")
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    monkeypatch.setenv("RAY_AUTH_TOKEN", secrets.token_hex(32))
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    common = ["--block", "--num-cpus=1", "--object-store-memory=100000000"]
    nodes = [
        ["--head", f"--port={PORT}", "--include-dashboard=false"],
        [f"--address=127.0.0.1:{PORT}"],
    ]
    # Not `ray stop`: it would stop every cluster of this machine, those of other tests too.
    running = []
    try:
        for node in nodes:
            command = [ray, "start", *node, *common, "--disable-usage-stats"]
            quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
            running.append(subprocess.Popen(command, start_new_session=True, **quiet))
            wait_for_nodes(len(running))
        yield f"127.0.0.1:{PORT}"
    finally:
        for process in reversed(running):
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(timeout=60)


def wait_for_nodes(count):
    """Ask the cluster, from a process of its own, until it has so many nodes."""
    code = (
        "import ray, sys\n"
        f"ray.init('127.0.0.1:{PORT}', logging_level='ERROR', log_to_driver=False)\n"
        f"sys.exit(len([n for n in ray.nodes() if n['Alive']]) < {count})"
    )
    deadline = time.monotonic() + 90
    while subprocess.run([sys.executable, "-c", code], capture_output=True).returncode:
        assert time.monotonic() < deadline, f"no cluster of {count} nodes"
        time.sleep(0.5)


def test_two_nodes_write_the_bytes_of_one_process(cluster, tmp_path):
    corpus = vector_corpus(tmp_path / "corpus")
    config = vector_config(corpus, tmp_path / "c.yaml")
    curate("run", config, "-o", tmp_path / "alone", "--ray", "off", "--no-report")
    done = curate("run", config, "-o", tmp_path / "two", "--ray", cluster, "--no-report")
    assert "mine:hard" in done.stderr
    assert published(tmp_path / "two") == published(tmp_path / "alone")
    log = (tmp_path / "two/run.jsonl").read_text()
    assert '"workers": 2' in log


def test_a_cluster_that_is_not_there_is_said(tmp_path):
    corpus = vector_corpus(tmp_path / "corpus", rows=50)
    config = vector_config(corpus, tmp_path / "c.yaml")
    done = curate("run", config, "-o", tmp_path / "out", "--ray", "127.0.0.1:1", check=False)
    assert done.returncode == 1
    assert "cannot reach the Ray cluster at 127.0.0.1:1" in done.stderr
