import os
import subprocess
import sys

from curate.manifests.stream.locks import hold, locked

HOLDER = """
import sys, pathlib
from curate.manifests.stream.locks import locked
with locked(pathlib.Path(sys.argv[1])) as mine:
    print(mine, flush=True)
    sys.stdin.read()
"""


def test_a_lock_is_waited_for_in_vain_then_had(tmp_path):
    path = tmp_path / "deep" / "a.lock"
    arguments = [sys.executable, "-c", HOLDER, str(path)]
    with subprocess.Popen(arguments, stdin=-1, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout.readline() == "True\n"
        with locked(path, wait_s=0.05) as mine:
            assert not mine
        other.kill()  # a lock dies with its holder
    with locked(path, wait_s=5) as mine:
        assert mine
        with locked(path, wait_s=0.0) as again:
            assert not again
    with locked(path, wait_s=0.0) as mine:
        assert mine


def test_readers_share_a_file_and_writers_do_not(tmp_path):
    (tmp_path / "a").write_bytes(b"x")
    one, two, three = (os.open(tmp_path / "a", os.O_RDONLY) for _ in range(3))
    assert hold(one)
    assert hold(two)
    assert not hold(three, alone=True)
    os.close(one)
    assert not hold(three, alone=True)
    os.close(two)
    assert hold(three, alone=True)
    os.close(three)
