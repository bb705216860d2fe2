"""`curate explain`: why the pairs of one anchor are what they are."""

from __future__ import annotations

from pathlib import Path

import click

from .common import echo_json, guarded, json_option


@click.command(name="explain")
@click.argument("out", type=click.Path(path_type=Path))
@click.argument("key")
@json_option
@guarded
def command(out: Path, key: str, as_json: bool) -> None:
    r"""Show every edge of the anchor KEY: each candidate taken, masked or refused, and why.

    \b
    Example:
      curate explain out images/1012212859_01547e3f17
    """
    from ...manifests.explain import explain
    from ...manifests.explain_text import render

    facts = explain(out, key)
    if as_json:
        echo_json(facts)
    else:
        click.echo(render(facts))
