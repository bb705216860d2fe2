"""The page of stores names what there is."""

import re
from pathlib import Path

import pytest
from tiny_pairset import write_tiny_pairset

from curate.manifests.stream import ImageStore, PairStream

PAGE = (Path(__file__).parents[2] / "docs" / "images.md").read_text()


def test_its_code_runs(tmp_path, monkeypatch):
    pytest.importorskip("s3fs")
    write_tiny_pairset(tmp_path / "OUT", samples=60, image_size=8)
    monkeypatch.chdir(tmp_path)
    code = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    assert len(code) == 1
    names: dict = {}
    exec(code[0].replace("4096", "8"), names)  # nothing is read before the first batch
    assert names["stream"].store.base == "s3://bucket/OUT"
    assert not (tmp_path / "scratch").exists()


def test_each_setting_in_its_text_is_one():
    known = set(ImageStore.__annotations__) | set(PairStream.__dataclass_fields__)
    words = set(re.findall(r"`([a-z_]+)`", PAGE)) | set(re.findall(r"`([a-z_]+)=", PAGE))
    words -= {"samples", "size", "offset", "pread"}
    assert words <= known, words - known
    assert {"gap", "requests", "ahead", "cache", "tries", "timeout_s", "verify"} <= words
