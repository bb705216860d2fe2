"""What a training run is made of: stream, model, loss, optimiser, all from its options."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import torch
from torch import nn

from ..errors import UsageError
from ..losses import DEFAULT, Loss, parse
from ..pairset import Pairset
from ..stream import ImageTransform, PairLoader, PairStream
from .acceptance import Schedule, schedules_of
from .chunks import check_chunks
from .columns import sample_codes
from .distributed import Ranks, share_batch_norms
from .losses import Head, Place, build_head, head_class
from .model import ContrastiveModel, build_model
from .open_clip import OPEN_CLIP, OpenClipText
from .options import TrainOptions, uses_bf16
from .step import StepSettings

BATCH_SIZE = 128
"""Pairs a batch where neither the options nor a plan say."""


@dataclass
class Parts:
    """What a run is made of; on its device.

    Attributes:
        loader: of this process's slices of the batches.
        model: encoder and projection head.
        head: the loss, its weights and its state.
        optimizer: of both.
        settings: of every step.
        schedules: of the pairset's masks.
    """

    loader: PairLoader
    model: ContrastiveModel
    head: Head
    optimizer: torch.optim.Optimizer
    settings: StepSettings
    schedules: tuple[Schedule, ...]

    @property
    def learned(self) -> Iterator[nn.Parameter]:
        """All weights, in one order."""
        yield from self.model.parameters()
        yield from self.head.parameters()

    @property
    def tower(self) -> nn.Module | None:
        """The tower of captions, where the loss has one."""
        return getattr(self.head, "tower", None)


def settled(root: str | Path, options: TrainOptions) -> tuple[TrainOptions, Loss]:
    """Return the options that hold and the loss: the options' over the manifest's, if of one kind.

    Raises:
        PairsetError: `root` is no pairset.
        UsageError: options that cannot work.
    """
    for name, least in (("positives_per_anchor", 0), ("chunk", 0), ("projection", 0)):
        value = getattr(options, name)
        if value is not None and value < least:
            raise UsageError(f"{name}={value}; a number from 1, 0 for all (projection: none).")
    if options.tensorboard and options.folder is None:
        raise UsageError("tensorboard writes to the folder of the run, and none is given.")
    own = Pairset.open(root).manifest.get("loss") or {}
    same = options.loss.get("kind", own.get("kind", DEFAULT)) == own.get("kind", DEFAULT)
    loss = parse({**own, **options.loss} if same else options.loss)
    if options.encoder.startswith(OPEN_CLIP) and head_class(loss.kind).captions:
        options = replace(options, projection=0)
    return options, loss


def build(
    root: str | Path,
    options: TrainOptions,
    loss: Loss,
    device: torch.device,
    ranks: Ranks | None,
    resumed: bool = False,
) -> Parts:
    """Make the parts of a run.

    Args:
        root: folder of the pairset.
        options: settled.
        loss: settings of the loss.
        device: of this process.
        ranks: of the run; None for a process alone.
        resumed: whether a checkpoint follows, so that no learnt weights need be found.

    Raises:
        PairsetError: `root` is no pairset.
        StreamError: it has nothing to stream.
        UsageError: options that cannot work.
    """
    loader = _stream(root, options, loss, ranks).loader(
        options.workers, pin_memory=device.type == "cuda"
    )
    model = build_model(
        options.encoder, options.projection, options.seed, options.image_px, not resumed
    )
    check_chunks(model.encoder, options.encoder, options.chunk)
    if ranks is not None:
        model.encoder = share_batch_norms(model.encoder, device)
    model.bf16, model.chunk = uses_bf16(options.precision, device), options.chunk
    head = build_head(loss, _place(model, loader.stream, options, not resumed), options.seed)
    model.to(device)
    head.to(device)
    drawn = options.positives_per_anchor
    settings = StepSettings(
        options.augmentation,
        options.seed,
        options.mask,
        options.hard_negatives,
        head.positives if drawn is None else drawn,
    )
    weights = [w for w in (*model.parameters(), *head.parameters()) if w.requires_grad]
    optimizer = torch.optim.AdamW(weights, lr=options.lr, weight_decay=options.weight_decay)
    if options.compile:
        _compile(model, *head.modules())
    schedules = schedules_of(loader.stream.pairset, device)
    return Parts(loader, model, head, optimizer, settings, schedules)


def _stream(root: str | Path, options: TrainOptions, loss: Loss, ranks: Ranks | None) -> PairStream:
    return PairStream(
        root,
        options.batch_size or (0 if options.plan else BATCH_SIZE),
        rank=ranks.rank if ranks else 0,
        world_size=ranks.world if ranks else 1,
        seed=options.seed,
        order=options.order,
        plan=options.plan,
        split=options.split,
        transform=ImageTransform(options.image_px),
        captions=head_class(loss.kind).captions,
        mixes=loss.recipes,
        schedule_batches=options.steps,
    )


def _place(
    model: ContrastiveModel, stream: PairStream, options: TrainOptions, pretrained: bool
) -> Place:
    def tower() -> OpenClipText:
        made = OpenClipText(options.encoder, options.image_px, pretrained)
        made.bf16, made.chunk = model.bf16, model.chunk
        return made

    return Place(
        model,
        stream.columns["groups"].shape[1],
        stream.pairset.counts["samples"],
        partial(sample_codes, stream.pairset),
        tower if options.encoder.startswith(OPEN_CLIP) and not options.projection else None,
    )


def _compile(*modules: nn.Module) -> None:
    # Heads and losses are small, and their shapes change.
    for part in modules:
        if isinstance(part, ContrastiveModel | OpenClipText):
            compile_encoder(part.encoder)


def compile_encoder(encoder: nn.Module) -> None:
    """Compile in place, so that names in checkpoints stay.

    The number of views changes from batch to batch: the second number seen makes torch compile
    once more, for any number.
    """
    encoder.compile()
