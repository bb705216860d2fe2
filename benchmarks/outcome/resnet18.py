"""Do curated pairs help? A ResNet-18 from scratch on each arm's pairs, with `curate train`'s loop.

    python benchmarks/outcome/resnet18.py --work WORK --data DATA --encoder MOBILENET.onnx
        [--arms NAME ...] [--seeds 3] [--steps 2000] [--minutes 8] [--workers 8] [--device auto]

CIFAR-10, 25,000 + 5,000 pictures, mined in the space of the frozen encoder; arms are those of
`frozen.py`, all but the consensus, whose second space is made of views. `round` arms are mined
again with the half-trained ResNet itself (`--encoder checkpoint`, `--round-of`), and train on
from its weights; their control trains on without it. Judged are the features of the backbone: kNN
(k = 20) and a linear probe.

An arm that would take longer than --minutes on this machine is stopped before it costs more: the
first steps are timed, and the number of steps that fits is said. All is kept in WORK: features,
pairsets, checkpoints, `results.jsonl`; the same command goes on in the middle of an arm.
`--steps 6 --limit 200 --batch 32 --px 32 --seeds 1` shows on a CPU that it works; such numbers
mean nothing.
"""

from __future__ import annotations

import argparse
import shutil
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import corpora
import numpy as np
import torch
import yaml
from arms import ARMS, Arm
from features import Bank, agreement, encoder_settings, mine
from heads import judge
from results import Results, key_of, measure, table

from curate.manifests import PairStream
from curate.manifests.consumer import TrainOptions, build_model, train
from curate.manifests.consumer.checkpoint import NAME, load_checkpoint, save_checkpoint
from curate.manifests.consumer.evaluate import embed
from curate.manifests.consumer.options import device_named
from curate.manifests.consumer.step import IMAGE_MEAN, IMAGE_STD
from curate.manifests.errors import CurateError
from curate.manifests.pairset import Pairset
from curate.manifests.stream import ImageTransform, normalise

MEASURES = ("knn", "linear")
TWICE = Arm("rounds", "five nearest, two runs of half the steps", ARMS["knn-5"].recipe,
            ARMS["knn-5"].sets, "")  # fmt: skip
OWN: dict[str, Arm] = {
    **{name: arm for name, arm in ARMS.items() if name not in ("consensus", "knn-5-round")},
    "knn-5-twice": TWICE,
    "knn-5-round": replace(TWICE, says="the same, mined again between them",
                           control="knn-5-twice", remine=True),
}  # fmt: skip
"""Arms by name."""
FIRST = ("augmentation", "knn-5", "mutual", "k-reciprocal", "labels", "fn-detector", "fn-label",
         "hard", "hard-detector", "hard-label", "augmentation, t = 0.5", "dcl", "hcl", "bcl",
         "augmentation, t = 0.2", "mochi", "synco", "random-128", "b3-128", "knn-5-twice",
         "knn-5-round")  # fmt: skip
"""Arms of a plain call."""


class Bench:
    """The corpus, and a folder for each arm and seed."""

    def __init__(self, given: argparse.Namespace) -> None:
        self.given = given
        self.folder = given.work / f"resnet18-{given.limit}"
        counts = (given.limit, max(given.limit // 5, 50))
        source = corpora.write("cifar10", given.data, self.folder / "corpus", *counts)
        space = {"of": "image", **encoder_settings(given.encoder)}
        self.config, self.out = self.folder / "plain.yaml", self.folder / "out"
        body = {"corpus": {"source": str(source.absolute())}, "spaces": {"image": space}}
        self.config.write_text(yaml.safe_dump(body))
        mine(self.config, self.out, ["simclr"], [], ray=given.ray)

    def mine(self, name: str) -> dict[str, Any]:
        """Make an arm's pairs; return how often labels agree in them."""
        mine(self.config, self.out, [OWN[name].recipe], OWN[name].sets, ray=self.given.ray)
        return agreement(Pairset.open(self.out))

    def train(self, name: str, seed: int) -> dict[str, Any]:
        """Train one network, in one run or in two halves, and judge it."""
        given, arm = self.given, OWN[name]
        folder = self.folder / f"{name}-{seed}-{given.steps}"
        halves = arm.group == "rounds"
        options = TrainOptions(
            steps=given.steps // (2 if halves else 1),
            batch_size=None if arm.plan else self._batch(arm),
            image_px=given.px, encoder="resnet18", seed=seed, lr=given.lr, device=given.device,
            order="plan" if arm.plan else "global", plan=arm.plan or None, folder=folder,
            workers=given.workers, evaluate=0, save_every=100,
        )  # fmt: skip
        train(self.out, options, _clock(given))
        root, again = self.out, {}
        if halves:
            root = self._second(arm, options, folder)
            again = {"again": agreement(Pairset.open(root))} if arm.remine else {}
            train(root, replace(options, folder=folder / "second"), _clock(given))
        found = self._judged(root, folder / "second" if halves else folder)
        shutil.rmtree(folder)  # what it was for stands in the results
        return {**found, **again, "device": str(device_named(given.device))}

    def _batch(self, arm: Arm) -> int:
        return min(arm.batch, self.given.batch)

    def _second(self, arm: Arm, options: TrainOptions, first: Path) -> Path:
        """Prepare the second half: the first's weights, and its pairs or those of a new round."""
        root, checkpoint = self.out, first / "second" / NAME
        if arm.remine:
            root = first / "round"
            mine(self.config, root, [arm.recipe], arm.sets, encoder=f"checkpoint:{first}",
                 round_of=str(self.out), ray=self.given.ray)  # fmt: skip
        if not checkpoint.exists():
            stream = PairStream(root, self._batch(arm), seed=options.seed)
            start = {"step": 0, "stream": stream.state_dict()}
            save_checkpoint(checkpoint, {**load_checkpoint(first / NAME), **start})
        return root

    def _judged(self, root: Path, folder: Path) -> dict[str, float]:
        given, device = self.given, device_named(self.given.device)
        model = build_model("resnet18", TrainOptions().projection, 0)
        model.load_state_dict(load_checkpoint(folder / NAME)["model"])
        model.eval().to(device)
        stream = PairStream(root, 2, transform=ImageTransform(given.px))

        def encode(images: torch.Tensor) -> torch.Tensor:
            with torch.inference_mode():
                return model.features(normalise(images.to(device), IMAGE_MEAN, IMAGE_STD))

        count = stream.pairset.counts["samples"]
        features, ids = embed(encode, stream, np.arange(count), given.workers)
        if len(ids) != count:
            raise CurateError(f"{count - len(ids)} pictures of {root} cannot be read.")
        return judge(Bank.plainly(root, features), features)


def _clock(given: argparse.Namespace) -> Any:
    """Return a report that stops a run which would take too long, and says what would fit."""
    begun: dict[str, float] = {}

    def report(event: Mapping[str, Any]) -> None:
        if event["event"] != "step":
            return
        step, now = event["step"], time.monotonic()
        first, at = begun.setdefault("step", step), begun.setdefault("time", now)
        if step - first < 50:
            return
        each = (now - at) / (step - first)
        fits = int(60 * given.minutes / each)
        if fits < event["steps"]:
            raise SystemExit(
                f"{event['steps']} steps of {each:.2f} s would take longer than --minutes "
                f"{given.minutes:g} on this machine; about {fits} would fit. Give --steps {fits}."
            )

    return report


def parsed() -> argparse.Namespace:
    """Return the command's options."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--work", type=Path, required=True, help="keeps all that is made")
    parser.add_argument("--data", type=Path, default=Path("data"), help="folder of cifar10")
    parser.add_argument("--encoder", default="builtin", help="builtin, or an .onnx file")
    parser.add_argument("--arms", nargs="*", choices=OWN, metavar="NAME", default=FIRST)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--limit", type=int, default=25_000, help="training pictures")
    parser.add_argument("--minutes", type=float, default=8.0, help="most that an arm may take")
    parser.add_argument("--px", type=int, default=64)
    parser.add_argument("--lr", type=float, default=1e-3)
    parser.add_argument("--batch", type=int, default=512, help="most pairs a batch, of any arm")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--workers", type=int, default=0, help="processes that decode")
    parser.add_argument("--ray", default="off", help="as for curate run: off, local, ADDRESS")
    return parser.parse_args()


def main() -> None:
    """Measure what is missing and print the table."""
    given = parsed()
    shared = {"form": "resnet18", **{name: getattr(given, name) for name in
              ("limit", "steps", "px", "lr", "batch")}}  # fmt: skip
    keys = {name: [key_of(shared, name, OWN[name], seed) for seed in range(given.seeds)]
            for name in given.arms}  # fmt: skip
    results = Results(given.work / "results.jsonl")
    if device_named(given.device).type == "cpu":
        print("No GPU: a run of this size is for trying the script, not for numbers.", flush=True)
    bench = Bench(given)
    measure(results, keys, bench.mine, bench.train)
    found = [results.find(key) for known in keys.values() for key in known]
    print(table([line for line in found if line is not None], OWN, MEASURES))


if __name__ == "__main__":
    main()
