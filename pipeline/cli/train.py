"""`curate train`: the reference consumer."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import click

from .common import echo_json, guarded, json_option


@click.command(name="train")
@click.argument("out", type=click.Path(path_type=Path))
@click.option("-d", "--dest", type=click.Path(path_type=Path), help="Folder [OUT/train].")
@click.option("--steps", type=click.IntRange(1), default=200, show_default=True)
@click.option(
    "--batch-size",
    type=click.IntRange(2),
    help="Pairs a batch, of all processes together [128, or the plan's].",
)
@click.option(
    "--order", type=click.Choice(["global", "block", "plan"]), default="global", show_default=True
)
@click.option("--plan", help="Plan of batches to follow (with --order plan).")
@click.option("--px", "image_px", type=click.IntRange(16, 1024), default=64, show_default=True)
@click.option(
    "--encoder",
    default="conv",
    show_default=True,
    help="conv; torchvision's resnet50, vit_b_16, ...; timm:NAME[@pretrained|FILE]; "
    "open_clip:MODEL[@TAG|FILE], with its tower of captions where the loss has one.",
)
@click.option("--lr", type=float, default=1e-3, show_default=True)
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda, cuda:1.")
@click.option(
    "--precision", type=click.Choice(["auto", "bf16", "fp32"]), default="auto", show_default=True
)
@click.option("--workers", type=click.IntRange(0), default=0, show_default=True)
@click.option(
    "--chunk",
    type=click.IntRange(0),
    default=0,
    help="Images the encoder takes at a time: memory of few, negatives of many [0: all].",
)
@click.option("--compile", is_flag=True, help="Compile the encoders (torch.compile).")
@click.option(
    "--loss",
    "settings",
    multiple=True,
    metavar="KEY=VALUE",
    help="Setting of the loss; repeatable.",
)
@click.option(
    "--positives",
    "positives_per_anchor",
    type=click.IntRange(0),
    help="Positives an anchor draws each time; 0 for all [what suits the loss].",
)
@click.option("--no-mask", is_flag=True, help="Contrast false negatives too (for comparison).")
@click.option(
    "--evaluate",
    type=click.IntRange(0),
    default=2000,
    show_default=True,
    help="Samples judged before and after: kNN on labels, retrieval with captions.",
)
@click.option("--probe", is_flag=True, help="Judge a linear probe on labels too.")
@click.option("--tensorboard", is_flag=True, help="Write TensorBoard's events to the folder.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True)
@json_option
@guarded
def command(
    out: Path,
    dest: Path | None,
    settings: tuple[str, ...],
    no_mask: bool,
    as_json: bool,
    **options: Any,
) -> None:
    r"""Train a model with the pairset's loss and mask, and judge it. Resumes by itself.

    \b
    Example:
      curate train out --steps 300
      curate train out --order plan --plan b3
      curate train out --loss t=0.2 --loss beta=1
      curate train out --loss kind=byol -d out/byol
      curate train out --encoder open_clip:ViT-B-32 --px 224 --loss kind=clip
      torchrun --nproc-per-node=8 -m curate.pipeline.cli train out --batch-size 4096
    """
    from ...manifests.consumer import TrainOptions, train
    from ..training import line, loss_settings, summary

    asked = TrainOptions(
        folder=dest or out / "train", loss=loss_settings(settings), mask=not no_mask, **options
    )
    result = train(out, asked, lambda event: click.echo(line(event), err=True))
    if result.rank:
        return
    if as_json:
        echo_json(dataclasses.asdict(result))
    else:
        click.echo(summary(result))
