"""Every recipe of the book on one small corpus of pictures: it runs, it is sound, it trains.

The pictures are embedded once: all runs share a folder, and so its store. Recipes that need what
only a user has (generator's weights, what people said, a target task) have tests of their own.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import yaml

from curate.manifests.consumer import TrainOptions, train
from curate.manifests.explain import explain
from curate.manifests.pairset import Pairset
from curate.manifests.verify import verify
from curate.pipeline.job import Options, run_job
from curate.pipeline.resolve import Request, recipe, recipe_names
from curate.pipeline.sample import write_sample

pytestmark = pytest.mark.slow
ROWS = 220
OWN_TESTS = {
    "clsp": "tests/e2e/test_assets.py",
    "gan-hard-positives": "tests/e2e/test_assets.py",
    "pu-human": "tests/manifests/verify/test_rules_of_attributes.py",
    "oracle": "tests/manifests/verify/test_rules_of_attributes.py",
    "cit": "tests/e2e/test_selection.py",
    "cupid": "tests/e2e/test_selection.py",
}
FIT = {
    "terrain": ["clusters.terrain.k=12", "clusters.terrain.whiten=16", "batches.0.size=32"],
    "cmsf": ["clusters.cmsf.k=8"],
    "xdc": ["clusters.xdc.k=8"],
    "ifnd": ["clusters.ifnd.levels=[40,12,4]"],
    "geography": ["positives.0.location=place", "mask_groups=[group_id,attr_place]"],
    "geography-clusters": [
        *("positives.0.location=place", "mask_groups=[group_id,attr_place]", "clusters.geo.k=8"),
    ],
    "static-camera": ["positives.1.location=camera"],
    "static-camera-context": ["positives.0.location=camera"],
    "attribute": ["positives.0.equal=[place]"],
    "jest": ["batches.0.size=16"],
    "acid": ["batches.0.size=16"],
    "avid": ["output.positives=8"],
    "align": ["selection.0.min_side=32"],
    "datacomp": ["selection.0.min_side=32"],
    "semdedup": ["clusters.semdedup.k=8", "selection.0.eps=0.02"],
    "d4": ["clusters.semdedup.k=8", "clusters.d4.k=6", "selection.0.eps=0.02"],
    "dbp": ["clusters.semdedup.k=8", "clusters.concepts.k=6", "selection.0.eps=0.02"],
    "hierarchical-kmeans": [
        "clusters.hierarchy.levels=[40,10,3]",
        "clusters.hierarchy.resampling=3",
    ],
}
"""Settings that fit a corpus of so few pictures; the recipes' own are for thousands."""
LIGHTLY = {"barlow_twins", "vicreg", "dino", "swav"}


@dataclass
class Bench:
    """A corpus, a folder that all runs share, and vectors of sounds for its samples."""

    root: Path

    def run(self, name: str) -> None:
        """Run one recipe."""
        body = recipe(name).body["run"]
        embeddings = [f"audio={self.root / 'audio.npy'}"] if "audio" in str(body) else []
        request = Request(
            str(self.root / "plain.yaml"),
            recipes=[name],
            sets=fitted(name),
            embeddings=embeddings,
        )
        run_job(request, Options(out=str(self.out), ray="off", report=False, quiet=True))

    @property
    def out(self) -> Path:
        return self.root / "out"


@pytest.fixture(scope="module")
def bench(tmp_path_factory):
    root = tmp_path_factory.mktemp("recipes")
    write_sample(root / "corpus", ROWS, 5, 64, "imagefolder", 1)
    body = yaml.safe_load((root / "corpus" / "curate.yaml").read_text())
    kept = {key: body[key] for key in ("corpus", "spaces") if key in body}
    (root / "plain.yaml").write_text(yaml.safe_dump(kept))
    made = Bench(root)
    made.run("simclr")
    rows = Pairset.open(made.out).counts["samples"]
    sounds = np.random.default_rng(0).normal(size=(rows, 128))
    np.save(root / "audio.npy", sounds.astype(np.float32))
    return made


def fitted(name: str) -> list[str]:
    """Return the settings that fit the small corpus, plans of batches among them."""
    sets = list(FIT.get(name, ()))
    for at, entry in enumerate(recipe(name).body["run"].get("batches") or ()):
        if not any(text.startswith(f"batches.{at}.size") for text in sets):
            sets.append(f"batches.{at}.size={min(entry.get('size', 32), 32)}")
    return sets


@pytest.mark.parametrize("name", [name for name in recipe_names() if name not in OWN_TESTS])
def test_it_runs_is_sound_and_trains(bench, name):
    bench.run(name)
    pairset = Pairset.open(bench.out)
    assert pairset.manifest["config"]["recipes"] == [name]
    assert pairset.counts["pairs"] > 0
    result = verify(bench.out, deep=False)
    assert result.ok, result.findings[:5]
    if pairset.manifest["loss"]["kind"] in LIGHTLY:
        pytest.importorskip("lightly")
    every_place_has_a_reason(bench.out)
    # A loss of its own kind of target needs its pairs; the others fall in test_training.
    falls = pairset.manifest["loss"]["kind"] == "soft"
    options = TrainOptions(
        **(
            {"steps": 50, "batch_size": 48, "lr": 2e-3} if falls else {"steps": 2, "batch_size": 16}
        ),
        **{"image_px": 32, "evaluate": 0, "log_every": 1, "device": "cpu", "seed": 1},
    )
    losses = [value for _, value in train(bench.out, options).losses]
    assert losses
    assert all(math.isfinite(value) for value in losses)
    assert not falls or sum(losses[-10:]) < sum(losses[:10])


def every_place_has_a_reason(out: Path) -> None:
    """What stands in a row has an edge in the words of `curate explain`, and so has each edge."""
    pairs = next(iter(Pairset.open(out).tables("pairs"))).to_pylist()
    keys = next(iter(Pairset.open(out).tables("samples", ["key"])))["key"]
    for pair in pairs[:: len(pairs) // 3]:
        told = explain(out, keys[pair["anchor_id"]].as_py())
        assert told["pair"] == pair
        assert all(edge["why"] for edge in told["edges"])
        reasons = {(e["role"], e["other_id"]) for e in told["edges"] if e["in_row"]}
        # A false negative may be masked because a positive found no place in the row.
        looked = {other for _, other in reasons} | {e["other_id"] for e in told["edges"]}
        for place in told["row"]:
            if place["role"] == "false_negative":
                assert place["sample_id"] in looked
            else:
                assert (place["role"], place["sample_id"]) in reasons


@pytest.mark.parametrize("name", sorted(OWN_TESTS))
def test_the_others_have_tests_of_their_own(name):
    assert name in recipe_names()
    assert (Path(__file__).parent.parent.parent / OWN_TESTS[name]).exists()
