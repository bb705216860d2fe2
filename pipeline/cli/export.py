"""`curate export`: pairs in other tools' formats."""

from __future__ import annotations

import dataclasses
import functools
from pathlib import Path

import click

from .common import echo_json, guarded, json_option


@click.command(name="export")
@click.argument("out", type=click.Path(path_type=Path))
@click.option("--to", "target", required=True, metavar="FORMAT", help="webdataset.")
@click.option("-d", "--dest", type=click.Path(path_type=Path), help="Folder [OUT/packed].")
@click.option("--pairs-per-shard", type=click.IntRange(1), help="Rows a tar [about 256 MB].")
@click.option("--positives", type=click.IntRange(0), default=1, show_default=True)
@click.option("--negatives", type=click.IntRange(0), help="Negatives packed a row [all].")
@click.option("--allow-missing", is_flag=True, help="Keep rows with empty places (black pixels).")
@json_option
@guarded
def command(
    out: Path,
    target: str,
    dest: Path | None,
    pairs_per_shard: int | None,
    positives: int,
    negatives: int | None,
    allow_missing: bool,
    as_json: bool,
) -> None:
    r"""Write the pairs in another tool's format.

    \b
    Example:
      curate export out --to webdataset -d packed/
    """
    from ...manifests.export import export
    from ..training import exported

    options = {
        "pairs_per_shard": pairs_per_shard,
        "positives": positives,
        "negatives": negatives,
        "allow_missing": allow_missing,
    }
    progress = functools.partial(click.echo, err=True)
    result = export(out, target, dest or out / "packed", options, progress)
    if as_json:
        echo_json(dataclasses.asdict(result))
    else:
        click.echo(exported(result))
