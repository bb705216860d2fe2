"""`curate bench`: the benchmarks, as a table."""

from __future__ import annotations

import dataclasses
import functools
import sys

import click

from .common import echo_json, guarded, json_option


@click.command(name="bench")
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option("--list", "listed", is_flag=True, help="Only list what there is.")
@click.option("--quick", is_flag=True, help="Sizes that take about a minute each.")
@json_option
@guarded
def command(names: tuple[str, ...], listed: bool, quick: bool, as_json: bool) -> None:
    r"""Run the benchmarks of a source checkout, all or some, and print their tables.

    Exit code 1 where one of them failed.

    \b
    Example:
      curate bench --list
      curate bench stream neighbors --quick
    """
    from .. import bench

    asked = bench.chosen(names)
    if listed:
        facts = [{"name": item.name, "title": item.title} for item in asked]
        text = "\n".join(f"{item['name']:16s}{item['title']}" for item in facts)
        return echo_json(facts) if as_json else click.echo(text)
    runs = []
    for item in asked:
        click.echo(f"\n## {item.name}\n{item.title}", err=as_json)
        runs.append(bench.run(item, quick, functools.partial(click.echo, err=as_json)))
    if as_json:
        echo_json([dataclasses.asdict(ran) for ran in runs])
    else:
        click.echo(f"\n{bench.summary(runs)}")
    if any(ran.exit_code for ran in runs):
        sys.exit(1)
    return None
