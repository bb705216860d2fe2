"""Do planned batches help pictures find their captions? Two heads on given features of Flickr8k.

    python benchmarks/outcome/captions.py --work WORK --data DATA [--seeds 5] [--steps 300]

The picture's side starts from `mobilenet_features.npy`, the caption's from
`caption_embeddings.npy`; each has a head of two layers. The teacher of B3 is the joint space of
`image_embeddings.npy` and `caption_embeddings.npy`, graph image>caption. The loss is CLIP's with
the trainer's mask; a picture meets one of its five captions each time. Judged is R@1 on the
official test pictures: `i2t` (any of the five captions) and `t2i`. Results are kept and reported
as `frozen.py` does.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from arms import Arm
from features import mine
from heads import IdStream
from results import Results, key_of, measure, one_thread, table
from torch import Tensor, nn

from curate.manifests.consumer import Augmentation, Step, StepSettings, TrainOptions
from curate.manifests.consumer.augment import view_draws
from curate.manifests.consumer.losses.clip import symmetric_infonce
from curate.manifests.consumer.model import unit
from curate.manifests.consumer.options import learning_rate
from curate.manifests.pairset import Pairset

SIZES = (32, 128, 480)
"""480: three batches hold nearly all of the 1,500 training pictures."""
MEASURES = ("i2t", "t2i")
WIDTH = 256
LEAST_T = 0.01


def _b3(size: int, skip: int, window: int) -> Arm:
    sets = (f"batches=[{{planner: b3, graph: image>caption, size: {size}, skip: {skip}, "
            f"window: {window}, group: 32}}]", "neighbors={image>caption: {k: 130}}")  # fmt: skip
    says = f"B3, {size} pairs, ranks {skip} to {skip + window}"
    return Arm("batches", says, "clip", sets, f"random-{size}", size, "b3")


ARMS: dict[str, Arm] = {
    name: arm
    for size in SIZES
    for name, arm in {
        f"random-{size}": Arm(
            "batches", f"random, {size} pairs", "clip",
            ("neighbors={image>caption: {k: 130}}",), "", size,
        ),
        f"b3-{size}": _b3(size, 30, 100),
        f"b3-near-{size}": _b3(size, 5, 50),
    }.items()
}  # fmt: skip
"""Arms by name. 1,500 pictures are few for the paper's ranks, so nearer ones are tried too."""


class Corpus:
    """Flickr8k with given vectors: rows in the order of `captions.token`, five a picture."""

    def __init__(self, data: Path, work: Path) -> None:
        folder = (data / "flickr8k").absolute()
        spaces = {
            of: {"of": of, "encoder": "array", "path": str(folder / f"{of}_embeddings.npy")}
            for of in ("image", "caption")
        }
        self.config, self.out = work / "flickr8k.yaml", work / "flickr8k"
        work.mkdir(parents=True, exist_ok=True)
        body = {"corpus": {"source": str(folder), "format": "folder"}, "spaces": spaces}
        self.config.write_text(yaml.safe_dump(body))
        mine(self.config, self.out, ["clip"], [])
        table = Pairset.open(self.out).table("samples", ["key", "split"])
        lines = (folder / "captions.token").read_text().splitlines()
        order = {f"images/{line.partition('.jpg#')[0]}": row for row, line in enumerate(lines[::5])}
        at = [order[key] for key in table["key"].to_pylist()]
        self.pictures = self._rows(folder / "mobilenet_features.npy")[at]
        self.captions = self._rows(folder / "caption_embeddings.npy").reshape(-1, 5, 256)[at]
        split = np.array(table["split"].to_pylist())
        self.test = torch.from_numpy(np.flatnonzero(split == "test"))

    @staticmethod
    def _rows(path: Path) -> Tensor:
        rows = unit(torch.from_numpy(np.load(path).astype(np.float32)))
        return rows * math.sqrt(rows.shape[1])

    def mine(self, name: str) -> dict[str, Any]:
        """Make an arm's pairs and batches; return how hard the batches are."""
        mine(self.config, self.out, [ARMS[name].recipe], ARMS[name].sets)
        plans = Pairset.open(self.out).manifest.get("plans", ())
        return {"plans": plans} if plans else {}


class Heads(nn.Module):
    """A head for each side, and the logarithm of 1 / t."""

    def __init__(self, seed: int, widths: Sequence[int]) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.sides = nn.ModuleList(_head(width) for width in widths)
        self.scale = nn.Parameter(torch.tensor(math.log(1 / 0.07)))

    def forward(self, side: int, rows: Tensor) -> Tensor:
        """Return float32 [..., WIDTH], unit rows: side 0 are pictures, 1 captions."""
        flat = rows.reshape(-1, rows.shape[-1])
        return unit(self.sides[side](flat)).reshape(*rows.shape[:-1], WIDTH)


def _head(width: int) -> nn.Module:
    return nn.Sequential(
        nn.Linear(width, 512), nn.BatchNorm1d(512), nn.ReLU(inplace=True), nn.Linear(512, WIDTH)
    )


def train(corpus: Corpus, arm: Arm, options: TrainOptions) -> Heads:
    """Train both heads on the batches of an arm."""
    stream = IdStream(corpus.out, 0 if arm.plan else arm.batch, plan=arm.plan or None,
                      order="plan" if arm.plan else "global", seed=options.seed)  # fmt: skip
    heads = Heads(options.seed, [corpus.pictures.shape[-1], corpus.captions.shape[-1]])
    optimizer = torch.optim.AdamW(heads.parameters(), options.lr, weight_decay=options.weight_decay)
    settings, done, epoch = StepSettings(Augmentation(), options.seed), 0, 0
    while done < options.steps:
        stream.seek(epoch)
        for batch in stream:
            for group in optimizer.param_groups:
                group["lr"] = learning_rate(done, options)
            loss = _loss(corpus, heads, Step(batch, settings, epoch))
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            done += 1
            if done == options.steps:
                break
        epoch += 1
    return heads


def _loss(corpus: Corpus, heads: Heads, step: Step) -> Tensor:
    places = step.batch.anchor[step.rows]
    ids, groups = step.batch.sample_id[places], step.batch.groups[places]
    draws = view_draws(step.settings.seed, step.epoch, ids, "caption")[:, 0]
    images = heads(0, corpus.pictures[ids])
    texts = heads(1, corpus.captions[ids, (draws * 5).long().clamp(max=4)])
    scale = heads.scale.clamp(max=math.log(1 / LEAST_T)).exp()
    none = texts[:0], ids[:0]
    return symmetric_infonce(images, texts, step.allowed(ids, groups), scale, *none).mean()


def judge(corpus: Corpus, heads: Heads) -> dict[str, float]:
    """Return R@1 on the test pictures: to any of five captions, and from each caption back."""
    heads.eval()
    with torch.inference_mode():
        images = heads(0, corpus.pictures[corpus.test])
        texts = heads(1, corpus.captions[corpus.test].reshape(-1, corpus.captions.shape[-1]))
    scores, owner = images @ texts.T, torch.arange(len(texts)) // 5
    found, back = owner[scores.argmax(1)], scores.argmax(0)
    return {
        "i2t": float((found == torch.arange(len(images))).float().mean()),
        "t2i": float((back == owner).float().mean()),
    }


def main() -> None:
    """Measure what is missing and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--work", type=Path, required=True, help="keeps all that is made")
    parser.add_argument("--data", type=Path, default=Path("data"), help="folder of flickr8k")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--lr", type=float, default=1e-3)
    given = parser.parse_args()
    shared = {"form": "captions", "steps": given.steps, "lr": given.lr}
    keys = {name: [key_of(shared, name, arm, seed) for seed in range(given.seeds)]
            for name, arm in ARMS.items()}  # fmt: skip
    results = Results(given.work / "results.jsonl")

    def trained(name: str, seed: int) -> dict[str, float]:
        options = TrainOptions(steps=given.steps, lr=given.lr, seed=seed)
        return judge(corpus, train(corpus, ARMS[name], options))

    with one_thread():
        corpus = Corpus(given.data, given.work)
        measure(results, keys, corpus.mine, trained)
    found = [results.find(key) for known in keys.values() for key in known]
    print(table([line for line in found if line is not None], ARMS, MEASURES))


if __name__ == "__main__":
    main()
