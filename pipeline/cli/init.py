"""`curate init`: a commented config for a corpus."""

from __future__ import annotations

from pathlib import Path

import click

from .common import guarded


@click.command(name="init")
@click.argument("corpus")
@click.option("-o", "--out", type=click.Path(path_type=Path), default=Path("curate.yaml"))
@click.option("--format", "format_", metavar="NAME", help="Corpus format, if not to be detected.")
@click.option("--force", is_flag=True, help="Overwrite an existing file.")
@guarded
def command(corpus: str, out: Path, format_: str | None, force: bool) -> None:
    r"""Look at a corpus and write a commented config for it.

    \b
    Example:
      curate init photos/ -o curate.yaml && curate run curate.yaml -o out
    """
    from ..init import write_config

    click.echo(write_config(corpus, out, format_ or "auto", force))
