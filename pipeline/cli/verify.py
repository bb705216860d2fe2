"""`curate verify`: every guarantee, re-checked from the files alone."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from .common import echo_json, guarded, json_option


@click.command(name="verify")
@click.argument("out", type=click.Path(path_type=Path))
@click.option("--quick", is_flag=True, help="Check a sample of images and hashes, not all.")
@json_option
@guarded
def command(out: Path, quick: bool, as_json: bool) -> None:
    r"""Check every guarantee from the files alone; list what fails; exit 1 if anything does.

    \b
    Example:
      curate verify out && echo sound
    """
    from ...manifests.verify import render, verify

    result = verify(out, deep=not quick)
    if as_json:
        echo_json(result.to_json())
    else:
        click.echo(render(result))
    if not result.ok:
        sys.exit(1)
