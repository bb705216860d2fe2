"""`curate report`: the page that shows what was mined."""

from __future__ import annotations

from pathlib import Path

import click

from .common import guarded


@click.command(name="report")
@click.argument("out", type=click.Path(path_type=Path))
@click.option("--anchors", type=click.IntRange(1, 500), default=24, show_default=True)
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True)
@guarded
def command(out: Path, anchors: int, seed: int) -> None:
    r"""Write report.html: one self-contained page with plots, pair galleries and tables.

    \b
    Example:
      curate report out --anchors 60
    """
    from ...manifests.report import write_report

    click.echo(write_report(out, anchors=anchors, seed=seed))
