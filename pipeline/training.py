"""What a person reads of a training run and of an export: events and results as lines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..manifests.consumer import TrainResult
from ..manifests.errors import UsageError
from ..manifests.export import Exported
from ..manifests.human import human_bytes, human_seconds
from .yaml_file import scalar

FIGURES = {
    "knn": "kNN accuracy",
    "probe": "linear probe",
    **{f"i2t_r{depth}": f"captions by picture R@{depth}" for depth in (1, 5, 10)},
    **{f"t2i_r{depth}": f"pictures by caption R@{depth}" for depth in (1, 5, 10)},
}
"""What a person reads for each figure of an evaluation."""


def line(event: Mapping[str, Any]) -> str:
    """Return one event of a training run as one line."""
    kind = event["event"]
    if kind == "start":
        begun = f"from step {event['step']} " if event["step"] else ""
        several = f" x {event['world']} processes" if event["world"] > 1 else ""
        return (
            f"training {begun}to {event['steps']} on {event['device']}{several} "
            f"({event['precision']}), {event['pairs']:,} pairs of split "
            f"{event['split'] or 'any'}, loss {event['loss']['kind']}"
        )
    if kind == "step":
        memory = event["peak_gpu_bytes"]
        return (
            f"step {event['step']}/{event['steps']}  epoch {event['epoch']}  "
            f"loss {event['loss']:.4f}  lr {event['lr']:.2e}  "
            f"{event['pairs_per_second']:.0f} pairs/s  data wait {event['data_wait']:.0%}  "
            f"{f'GPU {human_bytes(memory)}  ' if memory is not None else ''}"
            f"{human_seconds(event['seconds_left'])} left"
        )
    if kind == "evaluate":
        return f"{event['when']} training: {_figures(event['figures'])}{_measured_on(event)}"
    if kind == "checkpoint":
        return f"checkpoint at step {event['step']}: {event['path']}"
    return f"{kind}: " + ", ".join(f"{key} {event[key]}" for key in event if key != "event")


def _figures(figures: Mapping[str, float]) -> str:
    return ", ".join(f"{FIGURES.get(name, name)} {value:.3f}" for name, value in figures.items())


def _measured_on(event: Mapping[str, Any]) -> str:
    parts = []
    if "queries" in event:
        parts.append(
            f"chance {event['chance']:.3f}; {event['queries']:,} queries, {event['bank']:,} in the "
            "bank"
        )
    if "pictures" in event:
        parts.append(f"{event['pictures']:,} pictures, {event['captions']:,} captions")
    return f" ({'; '.join(parts)})" if parts else ""


def loss_settings(texts: Sequence[str]) -> dict[str, Any]:
    """Read settings of the loss from the command line.

    Raises:
        UsageError: a text is not KEY=VALUE.
    """
    settings: dict[str, Any] = {}
    for text in texts:
        key, sign, value = text.partition("=")
        if not (key and sign):
            raise UsageError(f"--loss {text}: KEY=VALUE is expected, such as t=0.2.")
        settings[key] = scalar(value)
    return settings


def summary(result: TrainResult) -> str:
    """Return what a training run came to."""
    memory = result.peak_gpu_bytes
    lines = [
        f"{result.steps} steps, {result.pairs_per_second:.0f} pairs/s, "
        f"{human_seconds(result.seconds)}, data wait {result.data_wait:.0%}"
        f"{f', peak {human_bytes(memory)} of GPU memory' if memory is not None else ''}"
        f"{f', {result.world} processes' if result.world > 1 else ''}"
    ]
    if result.losses:
        lines.append(f"loss {result.losses[0][1]:.4f} -> {result.losses[-1][1]:.4f}")
    for name, figure in result.scores_after.items():
        before = result.scores_before.get(name)
        chance = f" (chance {result.knn_chance:.3f})" if name in ("knn", "probe") else ""
        was = "" if before is None else f"{before:.3f} -> "
        lines.append(f"{FIGURES.get(name, name)} {was}{figure:.3f}{chance}")
    if result.bad_images:
        lines.append(f"{result.bad_images} images could not be read and were masked")
    if result.checkpoint:
        lines.append(f"checkpoint: {result.checkpoint}")
    return "\n".join(lines)


def exported(result: Exported) -> str:
    """Return what an export wrote."""
    left_out = f"; {result.skipped:,} left out: {result.note}" if result.skipped else ""
    return (
        f"{result.rows:,} rows in {result.files} files ({human_bytes(result.bytes)}) in "
        f"{result.out}{left_out}"
    )
