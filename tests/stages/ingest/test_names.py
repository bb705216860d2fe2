import io
import itertools
import random
import tarfile

import pytest
import webdataset as wds

from curate.manifests.refused import Refused
from curate.manifests.schema import RejectCode
from curate.stages.ingest.names import check_key, extension, readable, stem, tar_name

ALPHABET = "ab._-/x2e5f é"


def test_tar_name_is_injective_over_all_short_keys() -> None:
    keys = [
        "".join(letters) for n in (1, 2, 3, 4) for letters in itertools.product(ALPHABET, repeat=n)
    ]
    names = {tar_name(key) for key in keys}
    assert len(names) == len(keys)


def test_tar_name_is_injective_on_keys_that_look_escaped() -> None:
    rng = random.Random(0)
    pieces = ["_x2e", "_x5f", ".", "_", "x", "2e", "/", "//", "_x", "é", "a" * 40]
    keys = {"".join(rng.choices(pieces, k=rng.randint(1, 9))) for _ in range(20_000)}
    assert len({tar_name(key) for key in keys}) == len(keys)


@pytest.mark.parametrize(
    "key",
    ["../../etc/passwd", "/etc/passwd", "a/../b", "..", "a//b", "é" * 300, "a" * 2000, "C:\\x"],
)
def test_tar_name_is_safe_and_short(key: str) -> None:
    name = tar_name(key)
    assert len(name.encode()) <= 90
    assert "." not in name
    assert not name.startswith("/")
    assert "//" not in name
    assert set(name) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_/-")


def test_common_keys_stay_as_they_are() -> None:
    for key in ("1012212859_01547e3f17", "images/train/0001", "d15fccfd-c0e3-4b22-9c8d"):
        assert tar_name(key) == key


def test_webdataset_groups_escaped_names_as_one_sample(tmp_path) -> None:
    keys = ["a.b.c", "dir.v1/x.y", "plain", "ü", "k" * 400]
    path = tmp_path / "x.tar"
    with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as tar:
        for key in keys:
            for ext in ("jpg", "json"):
                info = tarfile.TarInfo(f"{tar_name(key)}.{ext}")
                info.size = 2
                tar.addfile(info, io.BytesIO(b"{}"))
    found = list(wds.WebDataset(str(path), shardshuffle=False))
    assert [sample["__key__"] for sample in found] == [tar_name(key) for key in keys]
    assert all({"jpg", "json"} <= sample.keys() for sample in found)


@pytest.mark.parametrize(
    ("key", "code"),
    [
        ("", RejectCode.EMPTY_KEY),
        ("k" * 1025, RejectCode.KEY_TOO_LONG),
        ("é" * 513, RejectCode.KEY_TOO_LONG),
        ("a\udcff", RejectCode.BAD_TEXT),
        ("a\0b", RejectCode.BAD_TEXT),
    ],
)
def test_keys_that_no_table_could_hold_are_refused(key: str, code: RejectCode) -> None:
    with pytest.raises(Refused) as caught:
        check_key(key)
    assert caught.value.code == code


def test_paths_are_split_at_the_last_dot_of_the_last_step() -> None:
    assert [stem(p) for p in ("a/b.c.jpg", "a.d/b", ".hidden", "x.JPG")] == [
        *("a/b.c", "a.d/b", ".hidden", "x"),
    ]
    assert [extension(p) for p in ("a/b.c.JPG", "a.d/b", ".hidden")] == ["jpg", "", ""]
    assert readable("a\udcffb") == "a�b"
