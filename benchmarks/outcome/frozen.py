"""Do curated pairs help? Small heads on features of a frozen encoder, one an arm and seed.

    python benchmarks/outcome/frozen.py --work WORK --data DATA --encoder MOBILENET.onnx
        [--corpus cifar10] [--arms NAME ...] [--seeds 5] [--steps 200] [--quick]

Every arm is a `curate run` over one embedded corpus, then `--steps` steps of a head of two layers
for each seed (its weights, the order and the views follow from the seed). Judged are the head's
features of test pictures that nothing was mined from: kNN (k = 20) and a linear probe. WORK keeps
features, pairsets and `results.jsonl`; the same command goes on where it was stopped, and prints
the table of all that is there.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import corpora
import numpy as np
import yaml
from arms import ARMS, Arm
from features import Bank, agreement, encoder_settings, mine
from heads import Trial, judge
from results import Results, key_of, measure, one_thread, table

from curate.manifests.consumer import TrainOptions
from curate.manifests.pairset import Pairset

MEASURES = ("knn", "linear")
QUICK = {"train": 300, "test": 150, "views": 2, "steps": 20, "seeds": 2, "batch": 128}
FEW = ("augmentation", "knn-5", "labels", "hard", "mochi", "random-32", "b3-32")
"""Arms of --quick."""


class Bench:
    """One corpus with its features, where arms are mined and heads are trained."""

    def __init__(self, given: argparse.Namespace) -> None:
        self.given = given
        self.folder = given.work / f"{given.corpus}-{given.train}-{given.test}"
        source = corpora.write(
            given.corpus, given.data, self.folder / "corpus", given.train, given.test
        )
        space = {"of": "image", **encoder_settings(given.encoder)}
        self.config = self.folder / "plain.yaml"
        body = {"corpus": {"source": str(source.absolute())}, "spaces": {"image": space}}
        self.config.write_text(yaml.safe_dump(body))
        self.out = self.folder / "out"
        mine(self.config, self.out, ["simclr"], [])
        self.bank = Bank.of(self.out, given.encoder, given.views, self.folder / "views")
        if not (self.folder / "frozen.npy").exists():
            np.save(self.folder / "views.npy", self.bank.mean_views())
            np.save(self.folder / "frozen.npy", self.bank.plain)

    def mine(self, name: str) -> dict[str, Any]:
        """Make an arm's pairs; return how often labels agree in them."""
        arm = ARMS[name]
        views = [f"views={self.folder / 'views.npy'}"] if "views>views" in str(arm.sets) else []
        mine(self.config, self.out, [arm.recipe], arm.sets, embeddings=views)
        return agreement(Pairset.open(self.out))

    def train(self, name: str, seed: int) -> dict[str, Any]:
        """Train one head on the pairs of an arm that was just mined, and judge it."""
        arm = ARMS[name]
        options = TrainOptions(
            steps=self.given.steps,
            batch_size=None if arm.plan else min(arm.batch, self.given.batch),
            order="plan" if arm.plan else "global",
            plan=arm.plan or None,
            seed=seed,
            lr=self.given.lr,
        )
        trial = Trial(self.out, options, self.bank)
        again: dict[str, Any] = {}
        if arm.remine:
            trial.run(options.steps // 2)
            root = self._again(arm, trial)
            again["again"] = agreement(Pairset.open(root))
            trial.move(root)
        trial.run(options.steps)
        return {**judge(self.bank, trial.features()), **again}

    def _again(self, arm: Arm, trial: Trial) -> Path:
        """Mine in the trained space; near-duplicates stay those of the frozen one."""
        out, trained = self.folder / "round", self.folder / "trained.npy"
        np.save(trained, trial.features().numpy())
        graphs = ("neighbors.image>image.k=64", "neighbors.frozen>frozen.k=64")
        sets = (*arm.sets, "duplicates.space=frozen", *graphs)
        spaces = [f"image={trained}", f"frozen={self.folder / 'frozen.npy'}"]
        mine(self.config, out, [arm.recipe], sets, embeddings=spaces)
        return out


def keys_of(given: argparse.Namespace) -> dict[str, list[dict[str, Any]]]:
    """Return the keys of the chosen arms, one a seed."""
    names = ("corpus", "train", "test", "views", "steps", "lr", "batch")
    shared = {"form": "frozen", **{name: getattr(given, name) for name in names}}
    return {
        name: [key_of(shared, name, ARMS[name], seed) for seed in range(given.seeds)]
        for name in given.arms or ARMS
    }


def report(given: argparse.Namespace, results: Results, raw: Mapping[str, float]) -> str:
    """Return what there is about the corpus at these sizes and steps, as Markdown."""
    found = [results.find(key) for keys in keys_of(given).values() for key in keys]
    lines = [line for line in found if line is not None]
    about = ", ".join(f"{name} {100 * raw[name]:.1f}" for name in MEASURES)
    return f"Frozen features: {about}.\n\n{table(lines, ARMS, MEASURES)}"


def parsed() -> argparse.Namespace:
    """Return the command's options."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--work", type=Path, required=True, help="keeps all that is made")
    parser.add_argument("--data", type=Path, default=Path("data"), help="folder of the corpora")
    parser.add_argument("--encoder", default="builtin", help="builtin, or an .onnx file")
    parser.add_argument("--corpus", choices=corpora.CORPORA, default="cifar10")
    parser.add_argument("--train", type=int, default=8000, help="training pictures at most")
    parser.add_argument("--test", type=int, default=5000, help="test pictures at most")
    parser.add_argument("--views", type=int, default=4, help="views of a training picture, even")
    parser.add_argument("--arms", nargs="*", choices=ARMS, metavar="NAME", default=None)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--lr", type=float, default=1e-3)
    parser.add_argument("--batch", type=int, default=512, help="most pairs a batch, of any arm")
    parser.add_argument("--report", action="store_true", help="only print what there is")
    parser.add_argument("--quick", action="store_true", help=f"{QUICK}, a few arms")
    given = parser.parse_args()
    if given.quick:
        vars(given).update(QUICK)
        given.arms = given.arms or FEW
    return given


def main() -> None:
    """Measure what is missing and print the table."""
    given = parsed()
    results = Results(given.work / "results.jsonl")
    with one_thread():
        bench = Bench(given)
        if not given.report:
            measure(results, keys_of(given), bench.mine, bench.train)
        raw = judge(bench.bank, bench.bank.plain.float())
    print(report(given, results, raw))


if __name__ == "__main__":
    main()
