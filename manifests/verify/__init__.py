"""Every guarantee of pairset/1, re-checked from the files alone; no stage's code is used."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pyarrow as pa

from ..assets import has_assets
from ..pairset import Pairset
from .assets import check_assets
from .clusters import check_clusters
from .context import Context
from .edges import check_edges
from .embeddings import check_embeddings
from .explained import check_explained
from .extras import check_extras
from .files import check_files, check_manifest, check_mask_groups
from .hubs import check_corrected_edges
from .images import check_images
from .join import anchors_with_edges
from .neighbors import check_neighbors
from .pairs import check_pairs
from .plans import check_plans
from .result import Finding, Notes, VerifyResult, render
from .rules import check_rules
from .samples import check_groups, check_samples
from .schemas import check_schemas
from .selection import check_selection

__all__ = ["Finding", "VerifyResult", "render", "verify"]


def verify(
    root: Path, *, deep: bool = True, progress: Callable[[str], None] | None = None
) -> VerifyResult:
    """Check a pairset; nothing but its files (and the shards that they name) is read.

    Bounded memory: 45 bytes a sample (keys, groups, splits, one selector's verdicts), 24 a level of
    clusters, one row group of a table, and the edges of 2048 anchors; where there are plans of
    batches, 30 bytes a pair besides; where samples are selected by clusters, 24 bytes a sample and
    the vectors of two blocks of 2048 (dbp: and the centres of all clusters).

    Args:
        root: the folder with `manifest.json`.
        deep: look at every image, hash and similarity; else at a sample of them.
        progress: is told the name of each check before it starts.

    Raises:
        PairsetError: there is no manifest, or it is of another format.
    """
    context = Context(Pairset.open(root), Notes(), deep)
    for name, needs, check in _checks(context):
        if progress:
            progress(name)
        broken = sorted(set(needs) & context.broken)
        if broken:
            context.notes.skipped[name] = f"{', '.join(broken)} cannot be read as it stands"
            continue
        try:
            check(context)
        except (OSError, ValueError, KeyError, pa.ArrowException) as error:
            context.notes.add("unreadable", name, None, f"{type(error).__name__}: {error}")
    return context.notes.result(str(context.pairset.root))


Check = Callable[[Context], None]


def _checks(context: Context) -> list[tuple[str, tuple[str, ...], Check]]:
    """Return name, tables that must be whole, and function of each check, in order."""
    graphs = [name for name in context.pairset.manifest["tables"] if name.startswith("neighbors/")]
    assets = ("assets",) if has_assets(context.pairset) else ()
    clusters = [name for name in context.pairset.manifest["tables"] if name.startswith("clusters/")]
    return [
        ("manifest", (), check_manifest),
        ("files", (), check_files),
        ("columns", (), check_schemas),
        ("mask groups", ("samples",), check_mask_groups),
        ("embeddings", (), check_embeddings),
        ("samples", ("samples",), check_samples),
        ("groups", ("samples",), check_groups),
        ("selection", ("samples", "selection", "pairs", "edges", *clusters), check_selection),
        ("neighbors", ("samples", "selection", *graphs), check_neighbors),
        ("clusters", ("samples",), check_clusters),
        ("assets", ("samples", *assets), check_assets),
        ("edges", ("samples", "edges"), check_edges),
        ("corrections", ("edges", *graphs), check_corrected_edges),
        ("pairs", ("samples", "pairs"), check_pairs),
        ("explanations", ("samples", "edges", "pairs", *clusters, *assets), _check_explanations),
        ("plans", ("samples", "pairs"), check_plans),
        ("images", ("samples",), check_images),
    ]


def _check_explanations(context: Context) -> None:
    for block, edges in anchors_with_edges(context):
        check_explained(context, block, edges)
        check_rules(context, block, edges)
        check_extras(context, block, edges)
