"""Generated pictures of a pairset: rows of `assets` by anchor, without reading the table whole."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa

from .pairset import Pairset
from .schema_assets import ASSETS
from .tables import open_parquet

TABLE = "assets"


def has_assets(pairset: Pairset) -> bool:
    """Say whether a run generated pictures."""
    return TABLE in pairset.manifest["tables"]


def section_of(key: str) -> str:
    """Return the section of `generate` that an asset's key names."""
    return key.rpartition("/")[0]


def assets_between(
    pairset: Pairset, low: int, high: int, columns: Sequence[str] | None = None
) -> pa.Table:
    """Return the assets of the anchors low..high, both included, section after section.

    Row groups whose statistics rule those anchors out are never read.

    Args:
        pairset: opened.
        low: first anchor.
        high: last anchor.
        columns: to read, `anchor_id` among them; None for all.
    """
    names = list(columns) if columns else ASSETS.names
    found = [ASSETS.empty_table().select(names)]
    for block in _groups(pairset, low, high, names):
        anchors = block["anchor_id"].to_numpy()
        inside = np.flatnonzero((anchors >= low) & (anchors <= high))
        found.append(block.take(pa.array(inside)))
    return pa.concat_tables(found)


def _groups(pairset: Pairset, low: int, high: int, columns: Sequence[str]) -> Iterator[pa.Table]:
    for path in pairset.files(TABLE):
        with open_parquet(path) as file:
            at = file.schema_arrow.names.index("anchor_id")
            for number in range(file.num_row_groups):
                known = file.metadata.row_group(number).column(at).statistics
                if (
                    known is None
                    or not known.has_min_max
                    or (known.min <= high and known.max >= low)
                ):
                    yield file.read_row_group(number, columns=list(columns))


def quantile(random: Sequence[float], share: float) -> float:
    """Return the similarity below which a share of random pairs lies; -1 where none are known.

    Args:
        random: similarities at equal steps of their order, as the manifest has them.
        share: 0..1.
    """
    return float(random[round(share * (len(random) - 1))]) if len(random) else -1.0
