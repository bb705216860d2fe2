"""The three stages of ingest, run by hand."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from ingest_helpers import Ingested, run_stage

from curate.stages.ingest.base import Fields, Reader
from curate.stages.ingest.census import Census
from curate.stages.ingest.detect import reader_for
from curate.stages.ingest.samples import Samples
from curate.stages.ingest.scan import Scan

Ingest = Callable[..., Ingested]


@pytest.fixture
def ingest(tmp_path: Path) -> Ingest:
    """Return a function that takes a corpus through scan, census and samples."""
    count = iter(range(100))

    def run(
        source: Path | str | Reader,
        fields: Mapping[str, Any] | None = None,
        format: str = "auto",
        arrays: Mapping[str, Any] | None = None,
        max_pixels: int = 10_000,
        max_reject_fraction: float = 1.0,
        **settings: Any,
    ) -> Ingested:
        reader = source
        if not isinstance(reader, Reader):
            reader = reader_for(format, str(source), Fields(**dict(fields or {})), **settings)
        out = tmp_path / f".store-{next(count)}"
        scan = run_stage(Scan(reader=reader, max_pixels=max_pixels), {}, out / "scan")
        stage = Census(arrays=dict(arrays or {}), max_reject_fraction=max_reject_fraction)
        census = run_stage(stage, {"scan": scan}, out / "census")
        inputs = {"scan": scan, "census": census}
        return Ingested(scan, census, run_stage(Samples(), inputs, out / "samples"))

    return run
