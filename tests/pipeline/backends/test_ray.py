import os
import subprocess
import sys

import pytest
from toy_stages import Numbers, Squares

from curate.manifests.errors import DataError, ResourceError
from curate.pipeline import runner
from curate.pipeline.backends.serial import SerialBackend
from curate.pipeline.runner import Node
from curate.stages.base import Resources

pytestmark = [pytest.mark.ray, pytest.mark.slow]


@pytest.fixture(scope="module")
def backend():
    from curate.pipeline.backends.ray import RayBackend

    # Workers import the toy stages by name.
    before = os.environ.get("PYTHONPATH", "")
    os.environ["PYTHONPATH"] = os.pathsep.join(
        [os.path.dirname(__file__) + "/../../support", before]
    )
    made = RayBackend(None, workers=2)
    yield made
    made.close()
    os.environ["PYTHONPATH"] = before


def nodes(**settings):
    return [
        Node("numbers", Numbers(parts=6), {}),
        Node("squares", Squares(**settings), {"numbers": "numbers"}),
    ]


def files(store):
    return {p.relative_to(store): p.read_bytes() for p in store.rglob("*") if p.is_file()}


def test_ray_writes_the_same_bytes_as_one_process(tmp_path, backend):
    runner.run(nodes(), tmp_path / "serial", SerialBackend(), lambda event: None)
    runner.run(nodes(), tmp_path / "ray", backend, lambda event: None)
    assert files(tmp_path / "serial") == files(tmp_path / "ray")


def test_a_killed_worker_costs_only_its_task(tmp_path, backend):
    runner.run(nodes(), tmp_path / "serial", SerialBackend(), lambda event: None)
    kill = str(tmp_path / "killed")
    runner.run(nodes(kill=kill), tmp_path / "ray", backend, lambda event: None)
    assert os.path.exists(kill)
    assert files(tmp_path / "serial") == files(tmp_path / "ray")


def test_an_error_of_a_stage_arrives_as_itself(tmp_path, backend):
    with pytest.raises(DataError, match="part-00003 is bad"):
        runner.run(nodes(fail_on="part-00003"), tmp_path, backend, lambda event: None)


def test_what_the_cluster_has_not_is_said_at_once(backend):
    with pytest.raises(ResourceError, match="needs 99 CPU, the Ray cluster has 2"):
        backend.workers(Resources(cpus=99), 4)
    assert backend.workers(Resources(), 1) == 1
    assert backend.workers(Resources(), 100) == 2


def test_memory_bounds_the_workers(backend, monkeypatch):
    monkeypatch.setattr(backend, "_memory", 1000)
    assert backend.workers(Resources(memory_bytes=1000), 10) == 1
    assert backend.workers(Resources(memory_bytes=500), 10) == 2


def test_no_token_is_left_in_the_home(backend):
    assert os.environ["RAY_AUTH_MODE"] == "token"
    assert os.environ["RAY_AUTH_TOKEN"]


def test_a_program_that_imported_ray_before_us_gets_a_cluster_with_a_token(tmp_path):
    code = (
        "import os, ray\n"
        "from curate.pipeline.backends.ray import RayBackend\n"
        "from curate.stages.base import Resources\n"
        "backend = RayBackend(None, workers=1)\n"
        "print(backend.workers(Resources(), 3), os.environ['RAY_AUTH_MODE'])\n"
        "backend.close()"
    )
    clean = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    home = {**clean, "HOME": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", code], env=home, capture_output=True, text=True)
    assert done.stdout.strip() == "1 token", done.stderr
    assert not (tmp_path / ".ray").exists()


def test_devices_are_the_clusters_not_the_drivers(backend, monkeypatch):
    wants = Resources(wants_gpu=True)
    assert backend.workers(wants, 10) == 2
    monkeypatch.setattr(backend, "_limit", None)
    there = {"CPU": 16.0, "GPU": 8.0}
    monkeypatch.setattr(backend._ray, "cluster_resources", lambda: there)
    assert backend._need(wants) == (2.0, 1.0)
    assert backend.workers(wants, 100) == 8
    there["GPU"] = 1.0
    assert backend._need(wants) == (4.0, 1.0)
    assert backend._need(Resources()) == (1, 0.0)
