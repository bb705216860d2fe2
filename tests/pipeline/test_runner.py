import hashlib
import json

import pytest
from toy_stages import Numbers, Squares

from curate.manifests.artifact import COMMIT, Artifact
from curate.manifests.errors import DataError, UsageError
from curate.pipeline import runner
from curate.pipeline.backends.serial import SerialBackend
from curate.pipeline.runner import Node


def nodes(power=2, batch=3, **settings):
    return [
        Node("numbers", Numbers(batch=batch), {}),
        Node("squares", Squares(power=power, **settings), {"numbers": "numbers"}),
    ]


def tree(store):
    digest = hashlib.sha256()
    for path in sorted(p for p in store.rglob("*") if p.is_file()):
        digest.update(path.relative_to(store).as_posix().encode() + path.read_bytes())
    return digest.hexdigest()


def run(plan, store, backend=None):
    events = []
    runner.run(plan, store, backend or SerialBackend(), events.append)
    done = [e for e in events if e.kind in ("node_done", "node_kept")]
    return {e.node: e.facts.get("computed", 0) for e in done}


class Dying(SerialBackend):
    """Stops after some tasks, like a killed process."""

    def __init__(self, after):
        self.left = after

    def map(self, job, tasks, resources):
        for item in super().map(job, tasks, resources):
            yield item
            self.left -= 1
            if self.left <= 0:
                raise KeyboardInterrupt


def test_a_second_run_computes_nothing(tmp_path):
    assert run(nodes(), tmp_path) == {"numbers": 4, "squares": 4}
    assert run(nodes(), tmp_path) == {"numbers": 0, "squares": 0}


def test_results_are_right(tmp_path):
    run(nodes(), tmp_path)
    artifact = Artifact.open(next((tmp_path / "squares").iterdir()))
    assert artifact.column("y").tolist() == [x**2 for x in range(40)]


@pytest.mark.parametrize("after", range(1, 8))
def test_a_killed_run_ends_in_the_same_bytes(tmp_path, after):
    run(nodes(), tmp_path / "clean")
    with pytest.raises(KeyboardInterrupt):
        run(nodes(), tmp_path / "killed", Dying(after))
    assert sum(run(nodes(), tmp_path / "killed").values()) == 8 - after
    assert tree(tmp_path / "clean") == tree(tmp_path / "killed")


def test_a_torn_part_is_made_anew_and_only_it(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        run(nodes(), tmp_path, Dying(6))
    torn = next((tmp_path / "squares").rglob("part-00000.parquet"))
    torn.write_bytes(torn.read_bytes()[:-7])
    assert run(nodes(), tmp_path) == {"numbers": 0, "squares": 3}


def test_an_altered_byte_is_found(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        run(nodes(), tmp_path, Dying(6))
    torn = next((tmp_path / "squares").rglob("part-00001.parquet"))
    data = bytearray(torn.read_bytes())
    data[20] ^= 1
    torn.write_bytes(bytes(data))
    assert run(nodes(), tmp_path)["squares"] == 3


def test_runtime_settings_reuse_and_result_settings_recompute_downstream(tmp_path):
    run(nodes(), tmp_path)
    assert run(nodes(batch=7), tmp_path) == {"numbers": 0, "squares": 0}
    assert run(nodes(power=3), tmp_path) == {"numbers": 0, "squares": 4}
    assert run(nodes(power=2), tmp_path) == {"numbers": 0, "squares": 0}


def test_raising_a_version_renames_only_what_it_decides(tmp_path, monkeypatch):
    run(nodes(), tmp_path)
    monkeypatch.setattr(Squares, "version", 2)
    assert run(nodes(), tmp_path) == {"numbers": 0, "squares": 4}


def test_a_failing_part_keeps_the_others(tmp_path):
    with pytest.raises(DataError, match="part-00002 is bad"):
        run(nodes(fail_on="part-00002"), tmp_path)
    assert run(nodes(), tmp_path) == {"numbers": 0, "squares": 2}


def test_a_check_fails_every_time_not_only_the_first(tmp_path):
    for _ in range(2):
        with pytest.raises(DataError, match="use 5 at most"):
            run(nodes(power=6), tmp_path)


def test_nothing_that_varies_is_stored(tmp_path):
    run(nodes(), tmp_path)
    record = json.loads(next((tmp_path / "squares").rglob(COMMIT)).read_text())
    assert set(record) == {"fingerprint", "parts", "facts"}
    assert set(record["parts"][0]) == {"part", "rows", "files", "facts"}


def test_a_second_run_at_the_same_time_is_refused(tmp_path):
    with runner.only_run(tmp_path):
        with pytest.raises(UsageError, match="another `curate run`"):
            with runner.only_run(tmp_path):
                pass
    with runner.only_run(tmp_path):
        pass
