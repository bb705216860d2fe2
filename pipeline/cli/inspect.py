"""`curate inspect`: the numbers of a pairset."""

from __future__ import annotations

from pathlib import Path

import click

from .common import echo_json, guarded, json_option


@click.command(name="inspect")
@click.argument("out", type=click.Path(path_type=Path))
@json_option
@guarded
def command(out: Path, as_json: bool) -> None:
    r"""Show counts, similarities by role and miner, coverage, false negatives, hubs, rejects.

    \b
    Example:
      curate inspect out --json | jq .counts
    """
    from ...manifests.inspect import inspect, render

    facts = inspect(out)
    if as_json:
        echo_json(facts)
    else:
        click.echo(render(facts))
