"""What a person reads of a training run and of an export: events and results as lines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..manifests.consumer import TrainResult
from ..manifests.errors import UsageError
from ..manifests.export import Exported
from ..manifests.human import human_bytes, human_seconds
from .yaml_file import scalar


def line(event: Mapping[str, Any]) -> str:
    """Return one event of a training run as one line."""
    kind = event["event"]
    if kind == "start":
        begun = f"from step {event['step']} " if event["step"] else ""
        return (
            f"training {begun}to {event['steps']} on {event['device']} ({event['precision']}), "
            f"{event['pairs']:,} pairs of split {event['split'] or 'any'}, "
            f"loss {event['loss']['kind']}"
        )
    if kind == "step":
        rate = event["pairs_per_second"]
        return (
            f"step {event['step']}/{event['steps']}  epoch {event['epoch']}  "
            f"loss {event['loss']:.4f}  lr {event['lr']:.2e}  {rate:.0f} pairs/s"
        )
    if kind == "evaluate":
        return (
            f"kNN accuracy {event['when']} training: {event['knn_accuracy']:.3f} "
            f"(chance {event['chance']:.3f}; {event['queries']:,} queries, {event['bank']:,} in "
            "the bank)"
        )
    if kind == "checkpoint":
        return f"checkpoint at step {event['step']}: {event['path']}"
    return f"{kind}: " + ", ".join(f"{key} {event[key]}" for key in event if key != "event")


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
    lines = [
        f"{result.steps} steps, {result.pairs_per_second:.0f} pairs/s, "
        f"{human_seconds(result.seconds)}"
    ]
    if result.losses:
        lines.append(f"loss {result.losses[0][1]:.4f} -> {result.losses[-1][1]:.4f}")
    if result.knn_before is not None and result.knn_after is not None:
        lines.append(
            f"kNN accuracy {result.knn_before:.3f} -> {result.knn_after:.3f} "
            f"(chance {result.knn_chance:.3f})"
        )
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
