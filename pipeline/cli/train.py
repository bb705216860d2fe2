"""`curate train`: the reference consumer."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import click

from .common import echo_json, guarded, json_option


@click.command(name="train")
@click.argument("out", type=click.Path(path_type=Path))
@click.option("-d", "--dest", type=click.Path(path_type=Path), help="Folder [OUT/train].")
@click.option("--steps", type=click.IntRange(1), default=200, show_default=True)
@click.option("--batch-size", type=click.IntRange(2), help="Pairs a batch [128, or the plan's].")
@click.option(
    "--order", type=click.Choice(["global", "block", "plan"]), default="global", show_default=True
)
@click.option("--plan", help="Plan of batches to follow (with --order plan).")
@click.option("--px", type=click.IntRange(16, 512), default=64, show_default=True)
@click.option("--encoder", default="conv", show_default=True, help="conv, or resnet18, resnet50.")
@click.option("--lr", type=float, default=1e-3, show_default=True)
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda, cuda:1.")
@click.option("--workers", type=click.IntRange(0), default=0, show_default=True)
@click.option(
    "--loss",
    "settings",
    multiple=True,
    metavar="KEY=VALUE",
    help="Setting of the loss; repeatable.",
)
@click.option(
    "--positives",
    type=click.IntRange(0),
    help="Positives an anchor draws each time; 0 for all [what suits the loss].",
)
@click.option("--no-mask", is_flag=True, help="Contrast false negatives too (for comparison).")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True)
@json_option
@guarded
def command(
    out: Path,
    dest: Path | None,
    steps: int,
    batch_size: int | None,
    order: str,
    plan: str | None,
    px: int,
    encoder: str,
    lr: float,
    device: str,
    workers: int,
    settings: tuple[str, ...],
    positives: int | None,
    no_mask: bool,
    seed: int,
    as_json: bool,
) -> None:
    r"""Train a small model with the pairset's loss, mask and kNN evaluation. Resumes by itself.

    \b
    Example:
      curate train out --steps 300
      curate train out --order plan --plan b3
      curate train out --loss t=0.2 --loss beta=1
      curate train out --loss kind=byol -d out/byol
    """
    from ...manifests.consumer import TrainOptions, train
    from ..training import line, loss_settings, summary

    options = TrainOptions(
        folder=dest or out / "train",
        steps=steps,
        batch_size=batch_size,
        order=order,
        plan=plan,
        image_px=px,
        encoder=encoder,
        lr=lr,
        loss=loss_settings(settings),
        positives_per_anchor=positives,
        mask=not no_mask,
        device=device,
        workers=workers,
        seed=seed,
    )
    result = train(out, options, lambda event: click.echo(line(event), err=True))
    if as_json:
        echo_json(dataclasses.asdict(result))
    else:
        click.echo(summary(result))
