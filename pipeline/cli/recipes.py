"""`curate recipes`: the recipe book."""

from __future__ import annotations

import click

from .common import echo_json, guarded, json_option


@click.command(name="recipes")
@click.argument("name", required=False)
@json_option
@guarded
def command(name: str | None, as_json: bool) -> None:
    r"""List the recipes, or show one: technique, paper, fidelity, what is offline and what is not.

    \b
    Examples:
      curate recipes
      curate recipes nnclr
    """
    from ..book import book, page

    if as_json:
        echo_json(page(name) if name else book())
    elif name:
        entry = page(name)
        for key in ("title", "systems", "paper", "fidelity", "offline", "trainer"):
            text = ", ".join(entry[key]) if isinstance(entry[key], list) else entry[key]
            click.echo(f"{key + ':':10s}{text}")
        click.echo(entry["yaml"].rstrip())
    else:
        for entry in book():
            click.echo(f"{entry['name']:24s}{entry['fidelity']:16s}{entry['title']}")
