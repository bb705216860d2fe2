"""A job of several processes, started by torchrun: ddp_job.py ROOT OUT; writes OUT/RANK.json.

Each process trains a line on the mean pixel of anchors and positives, under DDP by hand, under
Accelerate and under Lightning, and notes which pairs it saw and the weights that came out.
"""

import json
import logging
import sys
import warnings
from pathlib import Path

import lightning
import torch
from accelerate import Accelerator
from torch import nn
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader

from curate.manifests import ImageTransform, PairStream, StreamError

STEPS = 4


def loss_of(model, batch):
    """The mean over valid pairs of what the model says of anchor and positive, squared."""
    pixels = batch.images.mean(dim=(2, 3))
    both = torch.cat([pixels[batch.anchor], pixels[batch.positive[:, 0]]], dim=1)
    return (model(both)[:, 0] - 1).square().mean()


def line():
    """The same line on every rank."""
    model = nn.Linear(6, 1)
    nn.init.constant_(model.weight, 0.1)
    nn.init.zeros_(model.bias)
    return model


def weights_of(model):
    """All weights in one list."""
    return torch.cat([weight.detach().flatten() for weight in model.parameters()]).tolist()


def stream_of(root):
    """A stream that finds its ranks by itself."""
    return PairStream(root, 24, seed=3, transform=ImageTransform(4))


def train(loader, model, optimizer, backward=lambda loss: loss.backward()):
    """Do a few steps; return the pairs that were seen, and the weights."""
    seen = []
    for batch in loader:
        optimizer.zero_grad()
        backward(loss_of(model, batch))
        optimizer.step()
        seen.append(batch.pair_id.tolist())
        if len(seen) == STEPS:
            break
    return {"seen": seen, "weights": weights_of(model), "state": loader.state_dict()}


def by_hand(root):
    """DistributedDataParallel around the model, the loader as it is."""
    model = DistributedDataParallel(line())
    return train(stream_of(root).loader(1), model, torch.optim.SGD(model.parameters(), 0.1))


def by_accelerate(root):
    """`prepare` leaves the loader alone and refuses a DataLoader around the stream."""
    accelerator = Accelerator(cpu=True)
    model = line()
    loader = stream_of(root).loader(1)
    model, optimizer, prepared = accelerator.prepare(
        model, torch.optim.SGD(model.parameters(), 0.1), loader
    )
    assert prepared is loader
    result = train(prepared, model, optimizer, accelerator.backward)
    refused = []
    for dispatch in (True, False):
        accelerator.dataloader_config.dispatch_batches = dispatch
        plain = accelerator.prepare(DataLoader(stream_of(root), batch_size=None))
        try:
            next(iter(plain))
        except StreamError as error:
            refused.append(str(error))
    return {**result, "refused": refused}


class _Line(lightning.LightningModule):
    def __init__(self):
        super().__init__()
        self.model, self.seen = line(), []

    def training_step(self, batch):
        self.seen.append(batch.pair_id.tolist())
        return loss_of(self.model, batch)

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), 0.1)


def by_lightning(root, **settings):
    """Lightning's own DDP; the loader is given before it starts."""
    module, loader = _Line(), stream_of(root).loader(1)
    quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    trainer = lightning.Trainer(
        accelerator="cpu", max_steps=STEPS, enable_model_summary=False, **quiet, **settings
    )
    trainer.fit(module, loader)
    return {"seen": module.seen, "weights": weights_of(module), "state": loader.state_dict()}


def main():
    """Train three times."""
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    torch.set_num_threads(1)
    root, out = map(Path, sys.argv[1:])
    launched = stream_of(root).ranks()
    torch.distributed.init_process_group("gloo")
    found = {"launched": launched, "by_hand": by_hand(root), "accelerate": by_accelerate(root)}
    found["lightning"] = by_lightning(root, devices=2, strategy="ddp")
    (out / f"{torch.distributed.get_rank()}.json").write_text(json.dumps(found))
    torch.distributed.destroy_process_group()


if __name__ == "__main__":
    main()
