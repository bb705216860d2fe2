"""Kill -9 at random moments: the next run ends with the bytes of an undisturbed run."""

import contextlib
import os
import random
import signal
import subprocess
import sys
import time

import psutil
import pytest
from runs import curate, environment, published, vector_config, vector_corpus

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    folder = tmp_path_factory.mktemp("kill")
    corpus = vector_corpus(folder / "corpus", rows=1500)
    return vector_config(corpus, folder / "c.yaml")


@pytest.fixture(scope="module")
def undisturbed(config, tmp_path_factory):
    out = tmp_path_factory.mktemp("undisturbed") / "out"
    begun = time.monotonic()
    curate("run", config, "-o", out, "--ray", "off", "--no-report")
    return published(out), time.monotonic() - begun


def start(config, out, *options):
    command = [sys.executable, "-m", "curate.pipeline.cli", "run", str(config), "-o", str(out)]
    return subprocess.Popen(
        [*command, "--no-report", *options],
        env=environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def test_the_driver_dies_ten_times(config, undisturbed, tmp_path):
    digests, seconds = undisturbed
    draw = random.Random(0)
    for _ in range(10):
        process = start(config, tmp_path / "out", "--ray", "off")
        time.sleep(draw.uniform(0.3, 1.0) * seconds)
        process.send_signal(signal.SIGKILL)
        process.wait()
    curate("run", config, "-o", tmp_path / "out", "--ray", "off", "--no-report")
    assert published(tmp_path / "out") == digests


@pytest.mark.parametrize("moment", [0.35, 0.5, 0.65, 0.8])
def test_each_kill_alone_ends_in_the_same_bytes(config, undisturbed, tmp_path, moment):
    digests, seconds = undisturbed
    process = start(config, tmp_path / "out", "--ray", "off")
    time.sleep(moment * seconds)
    process.send_signal(signal.SIGKILL)
    process.wait()
    curate("run", config, "-o", tmp_path / "out", "--ray", "off", "--no-report")
    assert published(tmp_path / "out") == digests


@pytest.mark.ray
def test_workers_die_on_a_cluster_and_the_run_goes_on(config, undisturbed, tmp_path):
    process = start(config, tmp_path / "out", "--ray", "local", "--workers", "2")
    killed = 0
    while process.poll() is None and killed < 2:
        # Processes end while they are looked at.
        with contextlib.suppress(psutil.NoSuchProcess):
            for child in psutil.Process(process.pid).children(recursive=True):
                if "_Actor" in " ".join(child.cmdline() or [child.name()]):
                    child.send_signal(signal.SIGKILL)
                    killed += 1
                    break
        time.sleep(0.7)
    assert process.wait(timeout=200) == 0
    assert killed
    assert published(tmp_path / "out") == undisturbed[0]


@pytest.mark.ray
def test_a_driver_on_a_cluster_dies_and_the_next_run_has_another_number_of_workers(
    config, undisturbed, tmp_path
):
    process = start(config, tmp_path / "out", "--ray", "local", "--workers", "2")
    deadline = time.monotonic() + 60
    store = tmp_path / "out/.store"
    while time.monotonic() < deadline and not list(store.glob("samples/*/artifact.json")):
        time.sleep(0.1)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    curate("run", config, "-o", tmp_path / "out", "--ray", "local", "--workers", "1", "--no-report")
    assert published(tmp_path / "out") == undisturbed[0]
