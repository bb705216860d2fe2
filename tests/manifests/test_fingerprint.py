"""Names and draws: the same everywhere, spread evenly, independent of each other."""

import hashlib
import json
import subprocess
import sys

import numpy as np
import pytest
from scipy import stats

from curate.manifests.fingerprint import (
    canonical_json,
    digest,
    draw_uint64,
    draw_uniform,
    file_digest,
    fingerprint,
    key_hashes,
)

ROWS = np.arange(20000)


def test_a_fingerprint_is_of_the_value_not_of_its_order():
    assert fingerprint({"a": 1, "b": [1, {"c": 2}]}) == fingerprint({"b": [1, {"c": 2}], "a": 1})
    assert fingerprint([1, 2]) != fingerprint([2, 1])
    assert fingerprint({"a": 1}) != fingerprint({"a": 1.5})
    body = json.dumps({"a": "é"}, sort_keys=True, separators=(",", ":"))
    assert fingerprint({"a": "é"}) == hashlib.sha256(body.encode()).hexdigest()[:16]


def test_nan_has_no_name():
    with pytest.raises(ValueError, match="JSON"):
        canonical_json({"a": float("nan")})


def test_file_digest(tmp_path):
    (tmp_path / "a").write_bytes(b"abc" * 100000)
    assert file_digest(tmp_path / "a") == digest("abc" * 100000)


def test_known_values():
    """The sequence is part of the format: another machine must draw the same."""

    def reference(seed, row, purpose, position):
        salt = int.from_bytes(hashlib.sha256(f"{seed}/{purpose}".encode()).digest()[:8], "little")
        mask, golden = 2**64 - 1, 0x9E3779B97F4A7C15

        def mix(x):
            x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9 & mask
            x = (x ^ (x >> 27)) * 0x94D049BB133111EB & mask
            return x ^ (x >> 31)

        key = mix((row * golden + salt) & mask)
        return mix((key + (position + 1) * golden) & mask)

    rows = np.array([0, 1, 77, 2**40])
    found = draw_uint64(5, rows, "random", 3)
    expected = [[reference(5, int(r), "random", p) for p in range(3)] for r in rows]
    assert found.tolist() == expected
    assert draw_uniform(5, rows, "random", 3).tolist() == [
        [(value >> 11) * 2.0**-53 for value in row] for row in expected
    ]


def test_any_row_can_be_drawn_alone():
    whole = draw_uniform(3, ROWS, "x", 4)
    some = np.array([17, 3, 19999, 3])
    assert (draw_uniform(3, some, "x", 4) == whole[some]).all()
    assert (draw_uniform(3, ROWS[:5], "x", 2) == whole[:5, :2]).all()


def test_another_process_draws_the_same():
    code = (
        "import numpy as np; from curate.manifests.fingerprint import draw_uint64;"
        "print(draw_uint64(9, np.arange(4), 'p', 2).tolist())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == draw_uint64(9, np.arange(4), "p", 2).tolist()


@pytest.mark.parametrize("seed", [0, 1, 12345])
@pytest.mark.parametrize("purpose", ["a", "random"])
def test_draws_are_uniform(seed, purpose):
    values = draw_uniform(seed, ROWS, purpose, 2)
    assert ((values >= 0) & (values < 1)).all()
    for column in values.T:
        assert stats.kstest(column, "uniform").pvalue > 1e-4
        counts = np.bincount((column * 64).astype(int), minlength=64)
        assert stats.chisquare(counts).pvalue > 1e-4


def test_rows_positions_seeds_and_purposes_are_independent():
    base = draw_uniform(0, ROWS, "a", 3)
    others = {
        "next row": draw_uniform(0, ROWS + 1, "a")[:, 0],
        "next position": base[:, 1],
        "next seed": draw_uniform(1, ROWS, "a")[:, 0],
        "purpose": draw_uniform(0, ROWS, "b")[:, 0],
        "far row": draw_uniform(0, ROWS + 2**32, "a")[:, 0],
    }
    for name, other in others.items():
        grid = np.histogram2d(base[:, 0], other, bins=8, range=[[0, 1]] * 2)[0]
        assert stats.chisquare(grid.reshape(-1)).pvalue > 1e-4, name
        assert abs(np.corrcoef(base[:, 0], other)[0, 1]) < 0.03, name


def test_seed_1_step_1_is_not_seed_0_step_2():
    """Seeds that are added to counters share their sequences; these must not."""
    one = set(draw_uint64(1, ROWS, "a").reshape(-1).tolist())
    two = set(draw_uint64(0, ROWS, "a").reshape(-1).tolist())
    assert len(one) == len(two) == len(ROWS)
    assert not one & two


def test_every_bit_is_fair():
    bits = draw_uint64(0, ROWS, "bits")[:, 0]
    for bit in range(64):
        share = float(((bits >> np.uint64(bit)) & np.uint64(1)).mean())
        assert abs(share - 0.5) < 0.02, bit


def test_key_hashes():
    keys = [f"key-{i}" for i in range(5000)] + ["", "é", "\ud800"]
    found = key_hashes(keys)
    assert found.shape == (5003, 2)
    assert len(np.unique(found, axis=0)) == 5003
    expected = hashlib.blake2b(b"key-7", digest_size=16).digest()
    assert found[7].astype("<u8").tobytes() == expected
    assert key_hashes([]).shape == (0, 2)
