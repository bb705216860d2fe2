"""A small pairset to ask about, and an oracle that knows the labels."""

import pytest
from tiny_pairset import write_tiny_pairset

from curate.manifests.pairset import Pairset


@pytest.fixture
def tiny(tmp_path):
    return write_tiny_pairset(tmp_path / "out", samples=300, files=2)


@pytest.fixture
def pairset(tiny):
    return Pairset.open(tiny.root)
