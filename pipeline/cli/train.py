"""`curate train`: the reference consumer."""

from __future__ import annotations

from pathlib import Path

import click

from .common import echo_json, guarded, json_option


@click.command(name="train")
@click.argument("out", type=click.Path(path_type=Path))
@click.option("-d", "--dest", type=click.Path(path_type=Path), help="Folder [OUT/train].")
@click.option("--steps", type=click.IntRange(1), default=200, show_default=True)
@click.option("--batch-size", type=click.IntRange(2), default=128, show_default=True)
@click.option("--px", type=click.IntRange(16, 512), default=64, show_default=True)
@click.option("--model", default="small", show_default=True, help="small, or resnet18 (50, ...).")
@click.option("--lr", type=float, default=1e-3, show_default=True)
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda, cuda:1.")
@click.option("--workers", type=click.IntRange(0), default=0, show_default=True)
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True)
@json_option
@guarded
def command(
    out: Path,
    dest: Path | None,
    steps: int,
    batch_size: int,
    px: int,
    model: str,
    lr: float,
    device: str,
    workers: int,
    seed: int,
    as_json: bool,
) -> None:
    r"""Train a small InfoNCE model on the pairs, with mask and kNN evaluation. Resumes by itself.

    \b
    Example:
      curate train out --steps 300
    """
    from ...manifests.consumer import TrainOptions, train

    options = TrainOptions(
        dest=dest or out / "train",
        steps=steps,
        batch_size=batch_size,
        image_px=px,
        model=model,
        lr=lr,
        device=device,
        num_workers=workers,
        seed=seed,
    )
    result = train(out, options, (lambda text: click.echo(text, err=True)))
    if as_json:
        echo_json(result.to_json())
    else:
        click.echo(result.text)
