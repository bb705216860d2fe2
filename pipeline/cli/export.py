"""`curate export`: pairs in other tools' formats."""

from __future__ import annotations

import dataclasses
import functools
from pathlib import Path
from typing import Any

import click

from .common import echo_json, guarded, json_option


@click.command(name="export")
@click.argument("out", type=click.Path(path_type=Path))
@click.option("--to", "target", required=True, metavar="FORMAT", help="See below.")
@click.option("-d", "--dest", type=click.Path(path_type=Path), help="Folder [OUT/packed].")
@click.option("--split", metavar="NAME", help="Only this split [all].")
@click.option("--pairs-per-shard", type=click.IntRange(1), help="Rows a file [about 256 MB].")
@click.option("--positives", type=click.IntRange(0), help="Positives of a row [1].")
@click.option("--negatives", type=click.IntRange(0), help="Negatives of a row [all].")
@click.option("--hard-captions", type=click.IntRange(0), help="Wrong captions of a row [0].")
@click.option("--allow-missing", is_flag=True, help="Keep rows with empty places (black pixels).")
@click.option("--anchor", metavar="KIND", help="image, caption or both [image].")
@click.option("--others", metavar="KIND", help="image, caption or both [image].")
@click.option("--images", metavar="HOW", help="embed; files (triplets); reference (hf) [embed].")
@click.option("--form", metavar="FORM", help="csv or tars [csv].")
@click.option("--captions", metavar="WHICH", help="all of an image, or the first [all].")
@click.option("--prefix", metavar="TEXT", help='Before each path that is written [""].')
@json_option
@guarded
def command(out: Path, target: str, dest: Path | None, as_json: bool, **options: Any) -> None:
    r"""Write the pairs in another tool's format.

    \b
    FORMAT      reader                  options besides -d and --split
    webdataset  webdataset, energon     --pairs-per-shard --positives --negatives
                                        --allow-missing
    triplets    sentence-transformers   --anchor --others --images --prefix --positives
                                        --negatives --hard-captions --pairs-per-shard
    open-clip   open_clip_train         --form --captions --prefix --pairs-per-shard
    negclip     vinid/neg_clip          --prefix
    datacomp    DataComp's resharder
    hf          datasets.load_dataset   --images --pairs-per-shard

    \b
    Example:
      curate export out --to webdataset -d packed/
      curate export out --to triplets --anchor caption --others caption -d text/
    """
    from ...manifests.export import export
    from ..training import exported

    # Only what was asked for: a target refuses options that it does not have. 0 is asked for.
    given = {name: value for name, value in options.items() if value is not None}
    given = {name: value for name, value in given.items() if value is not False}
    progress = functools.partial(click.echo, err=True)
    result = export(out, target, dest or out / "packed", given, progress)
    if as_json:
        echo_json(dataclasses.asdict(result))
    else:
        click.echo(exported(result))
