"""`curate ask`: the next questions for an oracle."""

from __future__ import annotations

from pathlib import Path

import click

from .common import echo_json, guarded, json_option


@click.command(name="ask")
@click.argument("out", type=click.Path(path_type=Path))
@click.option("--budget", type=click.IntRange(1, 1_000_000), default=200, show_default=True)
@click.option(
    "-o", "--questions", type=click.Path(path_type=Path), help="File [OUT/questions.jsonl]."
)
@click.option("--space", help="Space whose neighbours are asked about [the calibrated one].")
@click.option("--clusters", help="Set of clusters to spread over [the first].")
@click.option(
    "--per-sample",
    type=click.IntRange(1),
    default=2,
    show_default=True,
    help="Questions of a round that name one sample, at most.",
)
@click.option(
    "--per-clusters",
    type=click.IntRange(1),
    help="Questions a pair of clusters, at most [budget / clusters].",
)
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True)
@json_option
@guarded
def command(
    out: Path,
    budget: int,
    questions: Path | None,
    space: str | None,
    clusters: str | None,
    per_sample: int,
    per_clusters: int | None,
    seed: int,
    as_json: bool,
) -> None:
    r"""Choose the pairs that are least certain, and append them as questions to a file.

    Asked is "do these two show the same?" of pairs whose chance is nearest to one half; never of a
    pair that was asked, or that answers already imply. Answer them with `curate view OUT`, or with
    a program that appends lines {"key_a", "key_b", "answer": "yes", "no" or "unsure", "round"} to
    the same file; then mine with it.

    \b
    Example:
      curate ask out --budget 200
      curate view out
      curate run corpus/ -o out --recipe oracle \
        --set positives.0.answers=out/questions.jsonl \
        --set negatives.0.answers=out/questions.jsonl
    """
    from ...manifests.pairset import Pairset
    from ...manifests.questions import AskOptions, ask
    from ...manifests.questions.ask import render

    options = AskOptions(budget, space, clusters, per_sample, per_clusters, seed)
    asked = ask(Pairset.open(out), questions, options)
    if as_json:
        echo_json({**asked.facts, "questions": asked.questions})
    else:
        click.echo(render(asked.facts, out))
