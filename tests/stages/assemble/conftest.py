"""The small corpora of the mining tests, taken through the assembly."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

NAME = "curate_test_worlds"

if NAME not in sys.modules:
    path = Path(__file__).parents[1] / "mining" / "conftest.py"
    spec = importlib.util.spec_from_file_location(NAME, path)
    sys.modules[NAME] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(sys.modules[NAME])

make_world = sys.modules[NAME].make_world
