"""`curate run`: the main job."""

from __future__ import annotations

import sys

import click

from .common import echo_json, guarded, json_option


@click.command(name="run")
@click.argument("target", metavar="CORPUS_OR_CONFIG")
@click.option("-o", "--out", required=True, help="Folder of the pairset; made if missing.")
@click.option("--recipe", "recipes", multiple=True, metavar="NAME", help="May be given again.")
@click.option("--set", "sets", multiple=True, metavar="A.B=C", help="Set one config value.")
@click.option("--format", "format_", metavar="NAME", help="Corpus format, if not to be detected.")
@click.option(
    "--encoder",
    metavar="NAME[:MODEL[/PRETRAINED]]",
    help="builtin, open_clip:ViT-B-32/laion2b_s34b_b79k, open_clip:local-dir:PATH, onnx:FILE, "
    "checkpoint:FOLDER.",
)
@click.option(
    "--embeddings",
    multiple=True,
    metavar="SPACE=FILE",
    help="Precomputed vectors (.npy or Parquet) as a space; no encoder runs for it.",
)
@click.option(
    "--round-of",
    metavar="OUT1",
    help="Pairset of the round before, which the checkpoint encoder was trained on.",
)
@click.option(
    "--ray",
    metavar="local|off|ADDRESS",
    default="local",
    show_default=True,
    help="Ray on this machine, no Ray, or the cluster at host:port, ray://host:port or auto.",
)
@click.option("--workers", type=click.IntRange(1), help="Most workers of a stage [all cores].")
@click.option("--dry-run", is_flag=True, help="Print the plan and what it needs; run nothing.")
@click.option("--fresh", is_flag=True, help="Start over: drop what earlier runs left in OUT.")
@click.option("--no-report", is_flag=True, help="Don't write report.html.")
@json_option
@guarded
def command(
    target: str,
    out: str,
    recipes: tuple[str, ...],
    sets: tuple[str, ...],
    format_: str | None,
    encoder: str | None,
    embeddings: tuple[str, ...],
    round_of: str | None,
    ray: str,
    workers: int | None,
    dry_run: bool,
    fresh: bool,
    no_report: bool,
    as_json: bool,
) -> None:
    r"""Turn a corpus into a pairset: embed, index, mine, write. Resumes by itself.

    CORPUS_OR_CONFIG is a folder, file, tar pattern or URL of images and captions, or a YAML config
    (see `curate init`).

    \b
    Examples:
      curate run photos/ -o out
      curate run 's3://bucket/{000..123}.tar' -o out --recipe nnclr --recipe nv-retriever
      curate run curate.yaml -o out --set output.negatives=8 --dry-run
      curate run photos/ -o out --embeddings image=vectors.npy
      curate run photos/ -o out2 --encoder checkpoint:out/train --round-of out
    """
    from ..job import Options, run_job
    from ..resolve import Request

    request = Request(target, format_, recipes, sets, encoder, embeddings, round_of)
    options = Options(out, ray, workers, dry_run, fresh, report=not no_report, quiet=as_json)
    result = run_job(request, options)
    if as_json:
        echo_json(result.facts)
    else:
        click.echo(result.text)
    if result.exit_code:
        sys.exit(result.exit_code)
