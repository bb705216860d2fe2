"""Do curated pairs help? Small heads on features of a frozen encoder, one an arm and seed.

    python benchmarks/outcome/frozen.py --work WORK --data DATA --encoder MOBILENET.onnx
        [--corpus cifar10] [--arms NAME ...] [--seeds 5] [--steps 300] [--quick]

Every arm is a `curate run` over one embedded corpus, then `--steps` steps of a head of two layers
for each seed (its weights, the order and the views follow from the seed). Judged are the head's
features of test pictures that nothing was mined from: kNN (k = 20) and a linear probe. WORK keeps
features, pairsets and `results.jsonl`; the same command goes on where it was stopped, and prints
the table of all that is there.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import corpora
import numpy as np
import torch
import yaml
from arms import ARMS, Arm
from features import Bank, encoder_settings, mine
from heads import Trial, judge
from results import Results, table

from curate.manifests.consumer import TrainOptions
from curate.manifests.fingerprint import digest
from curate.manifests.pairset import Pairset
from curate.manifests.schema import list_matrix

RAW = "raw"
"""Name in the results of the frozen features themselves."""
MEASURES = ("knn", "linear")
QUICK = {"train": 300, "test": 150, "views": 2, "steps": 20, "seeds": 2}
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
        np.save(self.folder / "views.npy", self.bank.mean_views())
        np.save(self.folder / "frozen.npy", self.bank.plain)

    def mine(self, arm: Arm) -> dict[str, Any]:
        """Make the arm's pairs; return how often labels agree in them."""
        views = [f"views={self.folder / 'views.npy'}"] if "views>views" in str(arm.sets) else []
        mine(self.config, self.out, [arm.recipe], arm.sets, embeddings=views)
        return agreement(Pairset.open(self.out), self.bank.labels.numpy(), self.bank.train.numpy())

    def train(self, arm: Arm, seed: int) -> dict[str, float]:
        """Train one head on the arm's pairs and judge it."""
        options = TrainOptions(
            steps=self.given.steps,
            batch_size=None if arm.plan else arm.batch,
            order="plan" if arm.plan else "global",
            plan=arm.plan or None,
            seed=seed,
            lr=self.given.lr,
        )
        trial = Trial(self.out, options, self.bank)
        if arm.remine:
            trial.run(options.steps // 2)
            trial.move(self._again(arm, trial))
        trial.run(options.steps)
        return judge(self.bank, trial.features())

    def _again(self, arm: Arm, trial: Trial) -> Path:
        """Mine in the trained space; near-duplicates stay those of the frozen one."""
        out, trained = self.folder / "round", self.folder / "trained.npy"
        np.save(trained, trial.features().numpy())
        sets = (*arm.sets, "duplicates.space=frozen", "neighbors.frozen>frozen.k=64")
        spaces = [f"image={trained}", f"frozen={self.folder / 'frozen.npy'}"]
        mine(self.config, out, [arm.recipe], sets, embeddings=spaces)
        return out


def agreement(pairset: Pairset, labels: np.ndarray, train: np.ndarray) -> dict[str, Any]:
    """Return the share of positives, mined negatives and masked ones that have the anchor's label.

    A picture's own views are no evidence and are left out; so are random negatives. A role that
    the pairs do not have is missing. `masked_each` counts false negatives listed for an anchor.
    """
    wanted = [f"{role}_ids" for role in ("positive", "negative", "false_negative")]
    found = pairset.table("pairs", ["anchor_id", *wanted])
    anchors = found["anchor_id"].to_numpy()
    kept = np.isin(anchors, train)
    facts: dict[str, Any] = {}
    mined = bool(pairset.manifest["config"]["negatives"])
    for role, length in (("positive", "P"), ("negative", "K"), ("false_negative", "F")):
        ids = list_matrix(found[f"{role}_ids"], pairset.counts[length])[kept]
        there = (ids >= 0) & (ids != anchors[kept, None])
        name = "masked" if role == "false_negative" else f"{role}s"
        if there.any() and (role != "negative" or mined):
            same = labels[ids] == labels[anchors[kept, None]]
            facts[name] = float(same[there].mean())
            facts[f"{name}_each"] = float(there.sum() / len(ids))
    return facts


def key_of(given: argparse.Namespace, name: str, arm: Arm | None, seed: int) -> dict[str, Any]:
    """Return all that decides a result."""
    shared = {field: getattr(given, field) for field in ("corpus", "train", "test")}
    if arm is None:
        return {**shared, "arm": name, "seed": seed}
    body = digest(yaml.safe_dump([asdict(arm), given.views, given.lr]))[:12]
    return {**shared, "steps": given.steps, "arm": name, "seed": seed, "how": body}


@contextmanager
def one_thread() -> Iterator[None]:
    """Compute on one thread, where results repeat bit for bit."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def measure(bench: Bench, results: Results, chosen: Mapping[str, Arm]) -> None:
    """Do what has not been done of some arms."""
    given = bench.given
    raw = key_of(given, RAW, None, 0)
    if results.find(raw) is None:
        results.add(raw, **judge(bench.bank, bench.bank.plain.float()))
    for name, arm in chosen.items():
        keys = [key_of(given, name, arm, seed) for seed in range(given.seeds)]
        missing = [key for key in keys if results.find(key) is None]
        facts = bench.mine(arm) if missing else {}
        for key in missing:
            begun = time.perf_counter()
            found = bench.train(arm, key["seed"])
            seconds = round(time.perf_counter() - begun, 1)
            results.add(key, **found, seconds=seconds, pairs=facts)
            print(f"{name:24s}{key['seed']}  {found}  {seconds} s", flush=True)


def report(given: argparse.Namespace, results: Results) -> str:
    """Return what there is about the corpus at these sizes and steps, as Markdown."""
    keys = [key_of(given, name, arm, seed) for name, arm in ARMS.items()
            for seed in range(given.seeds)]  # fmt: skip
    lines = [line for line in map(results.find, keys) if line is not None]
    raw = results.find(key_of(given, RAW, None, 0)) or {name: float("nan") for name in MEASURES}
    about = ", ".join(f"{name} {100 * raw[name]:.1f}" for name in MEASURES)
    return f"Raw features: {about}.\n\n{table(lines, ARMS, MEASURES)}"


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
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--lr", type=float, default=1e-3)
    parser.add_argument("--quick", action="store_true", help=f"{QUICK}, a few arms")
    given = parser.parse_args()
    if given.quick:
        vars(given).update(QUICK)
        given.arms = given.arms or FEW
    return given


def main() -> None:
    """Measure what is missing and print the table."""
    given = parsed()
    chosen = {name: ARMS[name] for name in given.arms or ARMS}
    results = Results(given.work / "results.jsonl")
    with one_thread():
        measure(Bench(given), results, chosen)
    print(report(given, results))


if __name__ == "__main__":
    main()
