"""Writes the built-in corpus and says what was written."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from ..stages.sample_corpus.corpus import write_corpus


def write_sample(
    folder: Path, size: int, seed: int, px: int, layout: str, workers: int | None
) -> str:
    """Write the corpus with a progress bar; return what to say at the end.

    Raises:
        UsageError: the folder holds something else.
    """
    columns = (
        TextColumn("rendering"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    console = Console(file=sys.stderr)
    with Progress(*columns, console=console, disable=not sys.stderr.isatty()) as bar:
        task = bar.add_task("rendering", total=size)
        write_corpus(
            folder,
            size,
            seed,
            image_px=px,
            layout=layout,
            workers=workers or os.cpu_count() or 1,
            progress=lambda count: bar.update(task, advance=count),
        )
    return f"{size:,} images in {folder}\nnext: curate run {folder / 'curate.yaml'} -o out"
