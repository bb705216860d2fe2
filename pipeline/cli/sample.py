"""`curate sample`: the built-in corpus."""

from __future__ import annotations

from pathlib import Path

import click

from .common import guarded


@click.command(name="sample")
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--size", type=click.IntRange(1, 10_000_000), default=2000, show_default=True)
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True)
@click.option("--px", type=click.IntRange(32, 512), default=128, show_default=True)
@click.option("--layout", type=click.Choice(["imagefolder", "webdataset"]), default="imagefolder")
@click.option("--workers", type=click.IntRange(1), help="Processes [all cores].")
@guarded
def command(folder: Path, size: int, seed: int, px: int, layout: str, workers: int | None) -> None:
    r"""Write a corpus of rendered scenes with captions, labels, attributes and a known truth.

    \b
    Examples:
      curate sample demo/corpus
      curate sample big --size 1000000 --layout webdataset
    """
    from ..sample import write_sample

    click.echo(write_sample(folder, size, seed, px, layout, workers))
