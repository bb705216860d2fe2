"""One edge of a sound pairset is changed; which checks of the verifier name it."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from tiny_pairset import edit, reseal

from curate.manifests.verify import render, verify


def checks_of_broken_edge(
    whole: Path, root: Path, miner: str, which: str, change: dict[str, Any]
) -> tuple[set[str], str]:
    """Change the first edge of a miner with a role or reason, in a copy of a pairset.

    Returns:
        The checks that name the edge's row, and all that was found, for messages.
    """
    shutil.copytree(whole, root, ignore=shutil.ignore_patterns(".store"))
    table = pq.read_table(next((root / "edges").iterdir())).to_pylist()
    at = next(
        i
        for i, row in enumerate(table)
        if row["miner"] == miner and which in (row["role"], row["reason"])
    )
    with edit(root, "edges", 0) as rows:
        rows[at].update(change)
    reseal(root)
    result = verify(root, deep=False)
    return {f.check for f in result.findings if f.row == at}, render(result)
