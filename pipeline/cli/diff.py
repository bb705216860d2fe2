"""`curate diff`: what changed between two runs."""

from __future__ import annotations

from pathlib import Path

import click

from .common import echo_json, guarded, json_option


@click.command(name="diff")
@click.argument("a", type=click.Path(path_type=Path))
@click.argument("b", type=click.Path(path_type=Path))
@click.option(
    "--keys", default=10, type=click.IntRange(0), show_default=True, help="Keys that are named."
)
@json_option
@guarded
def command(a: Path, b: Path, keys: int, as_json: bool) -> None:
    r"""Show what changed from A to B: config, samples, pairs, miners, neighbours.

    Samples are matched by key. overlap_at_k is the share of the first k places that name the same
    sample. Differences are no failure: the exit code is 0.

    \b
    Example:
      curate diff out-monday out-friday --json | jq .pairs.negatives
    """
    from ...manifests.diff import diff, render

    facts = diff(a, b, keys)
    if as_json:
        echo_json(facts)
    else:
        click.echo(render(facts))
