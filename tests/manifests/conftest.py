"""A pairset that is read by many tests and changed by none, and a fresh copy to break."""

import shutil

import pytest
from tiny_pairset import write_tiny_pairset


@pytest.fixture(scope="session")
def tiny(tmp_path_factory):
    """300 samples, two files a table, two tars; read-only by agreement."""
    root = tmp_path_factory.mktemp("tiny") / "out"
    return write_tiny_pairset(root, files=2, tars=2, png_every=40)


@pytest.fixture
def broken(tiny, tmp_path):
    """A copy of the tiny pairset that a test may change."""
    return shutil.copytree(tiny.root, tmp_path / "out")
