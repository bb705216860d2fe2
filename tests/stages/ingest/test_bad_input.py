"""Every kind of bad input: handled as said, or one reject with its own code; none stops the run."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ingest_helpers import picture, write_tar
from PIL import Image

from curate.manifests.arrays import ArraySource
from curate.manifests.errors import TooManyRejects
from curate.manifests.schema import RejectCode

Members = list[tuple[str, bytes]]


def saved(image: Image.Image, form: str, **options: Any) -> bytes:
    stream = io.BytesIO()
    image.save(stream, form, **options)
    return stream.getvalue()


def jpeg_cut() -> bytes:
    return picture(50)[:-200]


def png_broken() -> bytes:
    data = bytearray(picture(51, "PNG"))
    at = data.index(b"IDAT") + 40
    data[at : at + 8] = b"\xff" * 8
    return bytes(data)


def bomb() -> bytes:
    return saved(Image.new("1", (3000, 3000)), "PNG")


def zero_png() -> bytes:
    data = bytearray(picture(0, "PNG"))
    data[16:20] = bytes(4)
    return bytes(data)


# name -> (members of the bad sample, code; None where it is handled and kept)
TAR_KINDS: dict[str, tuple[Callable[[], Members], RejectCode | None]] = {
    "empty file": (lambda: [("x.jpg", b"")], RejectCode.EMPTY_FILE),
    "not a picture": (lambda: [("x.jpg", b"<html>404 not found</html>")], RejectCode.NOT_AN_IMAGE),
    "cut off": (lambda: [("x.jpg", jpeg_cut())], RejectCode.TRUNCATED_IMAGE),
    "damaged": (lambda: [("x.png", png_broken())], RejectCode.DAMAGED_IMAGE),
    "kind not read": (lambda: [("x.jpg", b"8BPS\0\1" + bytes(50))], RejectCode.UNSUPPORTED_IMAGE),
    "known ending, not read": (
        lambda: [("x.heic", b"\0\0\0\x18ftypheic\0\0\0\0mif1")], RejectCode.UNSUPPORTED_IMAGE,
    ),
    "decompression bomb": (lambda: [("x.png", bomb())], RejectCode.TOO_MANY_PIXELS),
    "zero pixels": (lambda: [("x.png", zero_png())], RejectCode.ZERO_PIXELS),
    "no image": (lambda: [("x.txt", b"only text"), ("x.json", b"{}")], RejectCode.NO_IMAGE),
    "key twice": (lambda: [("good-0.jpg", picture(7))], RejectCode.DUPLICATE_KEY),
    "key too long": (lambda: [("d/" * 600 + "x.jpg", picture(8))], RejectCode.KEY_TOO_LONG),
    "key not unicode": (lambda: [("x\udcff.jpg", picture(8))], RejectCode.BAD_TEXT),
    "caption not unicode": (
        lambda: [("x.jpg", picture(8)), ("x.txt", b"caf\xe9")], RejectCode.BAD_TEXT,
    ),
    "caption in utf-16": (
        lambda: [("x.jpg", picture(8)), ("x.txt", "café".encode("utf-16"))], RejectCode.BAD_TEXT,
    ),
    "lone surrogate in json": (
        lambda: [("x.jpg", picture(8)), ("x.json", b'{"caption": "\\ud800"}')], RejectCode.BAD_TEXT,
    ),
    "json cut off": (
        lambda: [("x.jpg", picture(8)), ("x.json", b'{"a": ')], RejectCode.BAD_METADATA,
    ),
    "json nested without end": (
        lambda: [("x.jpg", picture(8)), ("x.json", b"[" * 100_000)], RejectCode.BAD_METADATA,
    ),
    "file too large": (lambda: [("x.jpg", bytes(60_000))], RejectCode.TOO_LARGE_FILE),
    "key differs only by case": (lambda: [("GOOD-0.jpg", picture(8))], None),
    "path that climbs out": (lambda: [("../../x.jpg", picture(8))], None),
    "absolute path": (lambda: [("/etc/x.jpg", picture(8))], None),
    "wrong extension": (lambda: [("x.jpg", picture(8, "PNG"))], None),
    "cmyk": (lambda: [("x.jpg", saved(Image.new("CMYK", (9, 9)), "JPEG"))], None),
    "16 bits": (lambda: [("x.png", saved(Image.new("I;16", (9, 9), 40_000), "PNG"))], None),
    "palette": (lambda: [("x.png", saved(Image.new("P", (9, 9)), "PNG"))], None),
    "transparent": (lambda: [("x.png", saved(Image.new("RGBA", (9, 9)), "PNG"))], None),
    "exif rotation": (lambda: [("x.jpg", _turned())], None),
    "nan in json": (
        lambda: [("x.jpg", picture(8)), ("x.json", b'{"lat": NaN, "lon": Infinity}')], None,
    ),
    "control characters in a caption": (
        lambda: [("x.jpg", picture(8)), ("x.txt", b"a\0b\x07c\n")], None,
    ),
    "empty caption": (lambda: [("x.jpg", picture(8)), ("x.txt", b"  \n")], None),
    "byte order mark": (
        lambda: [("x.jpg", picture(8)), ("x.txt", b"\xef\xbb\xbfhello")], None,
    ),
}  # fmt: skip


def _turned() -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6
    return saved(Image.new("RGB", (20, 10)), "JPEG", exif=exif)


@pytest.mark.parametrize("kind", TAR_KINDS)
def test_each_kind_has_its_own_code_and_the_rest_is_kept(
    kind: str, tmp_path: Path, ingest: Any
) -> None:
    make, code = TAR_KINDS[kind]
    good = [(f"good-{n}.jpg", picture(n)) for n in range(3)]
    write_tar(tmp_path / "c.tar", [*good[:2], *make(), good[2]])
    fields = {"attributes": {"lat": "json.lat"}} if kind == "nan in json" else {}
    if fields:
        good_json = ("good-2.json", b'{"lat": 1.5}')
        write_tar(tmp_path / "c.tar", [*good[:2], *make(), good[2], good_json])
    done = ingest(tmp_path / "c.tar", fields, max_pixels=1_000_000, max_file_bytes=50_000)
    assert len(done.rows) + len(done.rejects) == 4
    assert {"good-0", "good-1", "good-2"} <= {row["key"] for row in done.rows}
    assert [row["code"] for row in done.rejects] == ([] if code is None else [code])
    assert [row["position"] for row in done.rows] == ([0, 1, 3] if code else [0, 1, 2, 3])
    if code:
        assert done.rejects[0]["message"]
        assert done.rejects[0]["where"].startswith("c.tar")
        assert done.facts["rejects_by_code"] == {code: 1}
    odd = [row for row in done.rows if not row["key"].startswith("good")]
    expected: dict[str, Any] = {
        "wrong extension": ("ext", "png"), "exif rotation": ("width", 10),
        "nan in json": ("attr_lat", None),
        "control characters in a caption": ("captions", ["abc"]), "empty caption": ("captions", []),
        "byte order mark": ("captions", ["hello"]), "path that climbs out": ("key", "../../x"),
    }  # fmt: skip
    if kind in expected:
        name, value = expected[kind]
        assert odd[0][name] == value


def test_keys_that_differ_only_by_case_are_counted(tmp_path: Path, ingest: Any) -> None:
    names = ["a", "A", "b", "É", "é", "c"]
    write_tar(tmp_path / "c.tar", [(f"{name}.jpg", picture(n)) for n, name in enumerate(names)])
    done = ingest(tmp_path / "c.tar")
    assert [row["key"] for row in done.rows] == names
    assert done.facts["case_clashes"] == 2


@pytest.mark.parametrize("kind", ["nan", "infinity", "zero", "missing"])
def test_vectors_that_cannot_be_used(kind: str, tmp_path: Path, ingest: Any) -> None:
    write_tar(tmp_path / "c.tar", [(f"k{n}.jpg", picture(n)) for n in range(4)])
    vectors = np.ones((4, 3), np.float32)
    vectors[2] = {"nan": [1, np.nan, 1], "infinity": [np.inf, 1, 1], "zero": [0, 0, 0]}.get(
        kind, [1, 1, 1]
    )
    np.save(tmp_path / "v.npy", vectors)
    names = ["k0", "k1", "other" if kind == "missing" else "k2", "k3"]
    (tmp_path / "k.txt").write_text("\n".join(names) + "\n")
    for keys in [str(tmp_path / "k.txt")] + ([] if kind == "missing" else [None]):
        source = ArraySource(str(tmp_path / "v.npy"), keys=keys)
        done = ingest(tmp_path / "c.tar", arrays={"sound": source})
        code = {"nan": "nan_vector", "infinity": "nan_vector"}.get(kind, f"{kind}_vector")
        assert done.codes == {"k2": code}
        assert "sound" in done.rejects[0]["message"]


def test_a_damaged_header_inside_a_tar_is_not_taken_for_its_end(
    tmp_path: Path, ingest: Any
) -> None:
    write_tar(tmp_path / "c.tar", [(f"k{n}.jpg", picture(n)) for n in range(4)])
    data = bytearray((tmp_path / "c.tar").read_bytes())
    data[data.index(b"k2.jpg") + 1] = ord("9")
    (tmp_path / "c.tar").write_bytes(data)
    done = ingest(tmp_path / "c.tar")
    assert [row["key"] for row in done.rows] == ["k0", "k1"]
    assert [row["code"] for row in done.rejects] == ["bad_shard"]


def test_an_empty_tar_is_torn(tmp_path: Path, ingest: Any) -> None:
    write_tar(tmp_path / "a.tar", [("k.jpg", picture())])
    (tmp_path / "b.tar").write_bytes(b"")
    done = ingest(tmp_path)
    assert [(r["where"], r["code"]) for r in done.rejects] == [("b.tar", "bad_shard")]


def test_too_many_rejects_stop_the_run_and_say_where_to_look(tmp_path: Path, ingest: Any) -> None:
    members = [(f"k{n}.jpg", picture(n) if n % 4 else b"junk") for n in range(100)]
    write_tar(tmp_path / "c.tar", members)
    with pytest.raises(TooManyRejects) as caught:
        ingest(tmp_path / "c.tar", max_reject_fraction=0.24)
    text = str(caught.value)
    for part in (
        "25 of 100",
        "not_an_image 25",
        "c.tar/k0.jpg",
        "rejects.parquet",
        "max_reject_fraction",
    ):
        assert part in text
    assert len(ingest(tmp_path / "c.tar", max_reject_fraction=0.25).rejects) == 25


def test_an_unreadable_file_is_a_reject(tmp_path: Path, ingest: Any, monkeypatch: Any) -> None:
    from curate.manifests import storage

    for n in range(3):
        (tmp_path / f"{n}.jpg").write_bytes(picture(n))
    original = storage.read_bytes

    def failing(url: str, offset: int = 0, size: int | None = None) -> bytes:
        if url.endswith("1.jpg"):
            raise OSError(5, "Input/output error")
        return original(url, offset, size)

    monkeypatch.setattr(storage, "read_bytes", failing)
    done = ingest(tmp_path, format="folder")
    assert done.codes == {"1": "unreadable_file"}


def test_nothing_that_a_key_says_leaves_the_tar(tmp_path: Path, ingest: Any) -> None:
    rows = [
        {"file_name": f"{n}.jpg", "name": key}
        for n, key in enumerate(["../up", "/etc/x", "a//b", "."])
    ]
    for n in range(4):
        (tmp_path / f"{n}.jpg").write_bytes(picture(n))
    (tmp_path / "metadata.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    done = ingest(tmp_path, {"key": "name"})
    assert [row["key"] for row in done.rows] == ["../up", "/etc/x", "a//b", "."]
    import tarfile

    with tarfile.open(done.scan.file("part-00000", "tar")) as tar:
        names = tar.getnames()
    assert len(set(names)) == 8
    assert not any(name.startswith(("/", ".")) or ".." in name for name in names)
