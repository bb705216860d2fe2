"""Every recipe of the book on whole corpora: pairs, time, soundness, and 50 steps of training.

    python benchmarks/recipes.py [CORPUS_OR_CONFIG ...] [--steps 50] [--only NAME ...]

Each corpus is embedded once; the recipes share its folder. Writes results/recipes.json, which
`make docs` puts into docs/recipes.md: pairs, seconds of mining, `sound` or what verify found, and
the mean loss of the first and the last ten steps. What a recipe lacks on a corpus (labels, places,
a file of answers) is said instead. Where no corpus is named, one of 300 pictures is rendered, and
nothing is written.

Quick: --only simclr nnclr --steps 5
"""

from __future__ import annotations

import argparse
import json
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import yaml

from curate.manifests.consumer import TrainOptions, train
from curate.manifests.errors import CurateError
from curate.manifests.pairset import Pairset
from curate.manifests.verify import verify
from curate.pipeline.job import Options, run_job
from curate.pipeline.resolve import Request, recipe, recipe_names
from curate.stages.sample_corpus import write_corpus

RESULTS = Path(__file__).parent / "results" / "recipes.json"
BATCH = 32
RENDERED = 300
FIT = {
    "cmsf": ["clusters.cmsf.k=16"],
    "xdc": ["clusters.xdc.k=16"],
    "ifnd": ["clusters.ifnd.levels=[100,20,5]"],
    "terrain": ["clusters.terrain.k=16", "clusters.terrain.whiten=64"],
    "geography": ["positives.0.location=place", "mask_groups=[group_id,attr_place]"],
    "geography-clusters": [
        *("positives.0.location=place", "mask_groups=[group_id,attr_place]", "clusters.geo.k=16"),
    ],
    "static-camera": ["positives.1.location=camera"],
    "static-camera-context": ["positives.0.location=camera"],
    "attribute": ["positives.0.equal=[place]"],
    "avid": ["output.positives=8"],
    # A queue that is still filling lets a loss rise.
    "moco": ["loss.queue=64"],
    "adco": ["loss.bank=64"],
    "dino": ["loss.outputs=64"],
    "align": ["selection.0.min_side=32"],
    "datacomp": ["selection.0.min_side=32"],
    "semdedup": ["clusters.semdedup.k=32", "selection.0.eps=0.02"],
    "d4": ["clusters.semdedup.k=32", "clusters.d4.k=32", "selection.0.eps=0.02"],
    "dbp": ["clusters.semdedup.k=32", "clusters.concepts.k=16", "selection.0.eps=0.02"],
    "hierarchical-kmeans": ["clusters.hierarchy.levels=[200,40,8]"],
}
"""Settings that fit corpora of a few thousand pictures."""


def fitted(name: str) -> list[str]:
    """Return the settings of a recipe for a small corpus."""
    sets = list(FIT.get(name, ()))
    plans = recipe(name).body["run"].get("batches") or ()
    return sets + [f"batches.{at}.size={BATCH}" for at in range(len(plans))]


def run_one(config: Path, out: Path, name: str, steps: int, more: list[str]) -> str:
    """Run with `more` settings, verify and train one recipe; return what came of it, in words."""
    begun = time.monotonic()
    sounds = config.with_name("audio.npy")
    needs = "audio" in str(recipe(name).body["run"])
    request = Request(
        str(config),
        recipes=[name],
        sets=fitted(name) + own_files(name, config.parent) + more,
        embeddings=[f"audio={sounds}"] if needs else [],
    )
    try:
        run_job(request, Options(out=str(out), ray="off", report=False, quiet=True))
    except CurateError as error:
        return "not here: " + str(error).split(". ")[0].split(": ", 1)[-1][:90]
    seconds = time.monotonic() - begun
    pairset, begun = Pairset.open(out), 0
    found = verify(out, deep=False)
    state = "sound" if found.ok else f"{len(found.findings)} findings"
    text = f"{pairset.counts['pairs']:,} pairs, {seconds:.0f} s, {state}"
    try:
        if pairset.manifest["loss"].get("kind") == "soft":
            # In the first epoch its memory fills, and ever more of a target counts.
            begun = pairset.counts["pairs"] // BATCH + 1
        slow = pairset.manifest["loss"].get("kind") == "dino"
        # Until its centre is near the mean, DINO's loss rises.
        begun = 10 if slow else begun
        options = TrainOptions(
            lr=5e-4 if slow else TrainOptions.lr,
            steps=begun + steps,
            batch_size=BATCH,
            image_px=32,
            evaluate=0,
            log_every=1,
            device="cpu",
        )
        losses = [value for _, value in train(out, options).losses]
    except CurateError as error:
        return f"{text}; training: {str(error)[:80]}"
    first, last = np.mean(losses[begun : begun + 10]), np.mean(losses[-10:])
    return f"{text}, loss {first:.2f} to {last:.2f}"


def corpus_config(target: str, folder: Path) -> Path:
    """Write a config without any miner, with the built-in encoder, and vectors of sounds."""
    body = {"corpus": {"source": str(Path(target).absolute())}}
    if target.endswith((".yaml", ".yml")):
        known = yaml.safe_load(Path(target).read_text())
        body = {key: known[key] for key in ("corpus", "spaces") if key in known}
    body.setdefault("spaces", {of: {"of": of, "encoder": "builtin"} for of in ("image", "caption")})
    config = folder / "plain.yaml"
    config.write_text(yaml.safe_dump(body))
    request = Request(str(config), recipes=["simclr"])
    run_job(request, Options(out=str(folder / "out"), ray="off", report=False, quiet=True))
    pairset = Pairset.open(folder / "out")
    write_own_files(pairset, folder, str(body["corpus"]["source"]))
    width = pairset.vectors("image").dim
    rows = np.random.default_rng(0).normal(size=(pairset.counts["samples"], width))
    np.save(folder / "audio.npy", rows.astype(np.float32))
    return config


def write_own_files(pairset: Pairset, folder: Path, source: str) -> None:
    """Write what only a user has: target vectors, a generator's weights, answers of people.

    The people here judge by the image space: 40 samples around the first are one set, and two
    samples are the same where their cosine is above the median of nearest neighbours.
    """
    for space in pairset.manifest["embeddings"]:
        vectors = pairset.vectors(space).rows(np.arange(0, pairset.counts["samples"], 25))
        np.save(folder / f"{space}-targets.npy", vectors[vectors.any(axis=1)])
    keys = [key for t in pairset.tables("samples", ["key"]) for key in t["key"].to_pylist()]
    vectors = pairset.vectors("image").rows(np.arange(min(len(keys), 2000)))
    cosines = vectors @ vectors.T
    np.fill_diagonal(cosines, -1)
    near = np.argsort(-cosines, axis=1)[:, :5]
    chosen = [{"set": "people", "key": keys[i], "round": 0} for i in [0, *np.argsort(-cosines[0])]]
    write_lines(folder / "selections.jsonl", chosen[:40])
    median = np.median(cosines.max(axis=1))
    answers = [
        {
            **{"key_a": keys[i], "key_b": keys[j], "round": 0, "oracle": "cosine"},
            "answer": "yes" if cosines[i, j] > median else "no",
        }
        for i in range(0, len(near), 4)
        for j in near[i, :3].tolist()
    ]
    write_lines(folder / "answers.jsonl", answers)
    command = [sys.executable, "-m", "curate.stages.generate.train", source]
    weights = ["-o", str(folder / "generator.safetensors"), "--steps", "200", "--pictures", "800"]
    subprocess.run([*command, *weights], check=True, stdout=subprocess.DEVNULL)


def write_lines(path: Path, rows: list[dict[str, object]]) -> None:
    """Write JSON lines."""
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


OWN = {
    "cit": "selection.0.targets=caption-targets.npy",
    "cupid": "selection.0.targets=image-targets.npy",
    "clsp": "generate.clsp.path=generator.safetensors",
    "gan-hard-positives": "generate.hard.path=generator.safetensors",
    "pu-human": (
        "positives.0.selections=selections.jsonl false_negatives.0.selections=selections.jsonl"
    ),
    "oracle": "positives.0.answers=answers.jsonl negatives.0.answers=answers.jsonl",
}
"""Settings that name files of `write_own_files`."""


def own_files(name: str, folder: Path) -> list[str]:
    """Return the settings that name a user's own files."""
    return [text.replace("=", f"={folder}/") for text in OWN.get(name, "").split()]


def main() -> None:
    """Run all recipes on all corpora, print a table, and write the results of named corpora."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("corpora", nargs="*")
    parser.add_argument("--steps", type=int, default=50)
    parser.add_argument("--only", nargs="*", default=None)
    parser.add_argument("--set", nargs="*", default=[], help="as of `curate run`, for all")
    given = parser.parse_args()
    known = json.loads(RESULTS.read_text()) if RESULTS.exists() else {"corpora": [], "runs": {}}
    print("| corpus | recipe | result |\n|---|---|---|", flush=True)
    with tempfile.TemporaryDirectory() as scratch:
        rendered = Path(scratch) / "rendered"
        if not given.corpora:
            write_corpus(rendered, RENDERED, image_px=64)
        for target in given.corpora or [str(rendered)]:
            place = Path(target)
            title = place.parent.name if place.suffix else place.name
            folder = Path(scratch) / f"run-{title}"
            folder.mkdir()
            config = corpus_config(target, folder)
            known["corpora"] = list(dict.fromkeys([*known["corpora"], title]))
            for name in given.only or recipe_names():
                text = run_one(config, folder / "out", name, given.steps, given.set)
                known["runs"].setdefault(name, {})[title] = text
                print(f"| {title} | {name} | {text} |", flush=True)
                known["about"] = (
                    f"`benchmarks/recipes.py`, built-in encoder, {given.steps} steps of {BATCH} "
                    f"pairs at 32 px on {platform.machine()} with two shared cores, no GPU; sounds "
                    "are random vectors."
                )
                if given.corpora:
                    RESULTS.write_text(json.dumps(known, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
