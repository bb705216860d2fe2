"""The page of recipes: which system of the survey is which recipe, how exact, tested where.

Part of `make docs`; the runs on corpora come from `benchmarks/recipes.py`, which writes
`benchmarks/results/recipes.json`.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from curate.pipeline.book import page
from curate.pipeline.resolve import recipe_names

ROOT = Path(__file__).parent.parent
RUNS = ROOT / "benchmarks" / "results" / "recipes.json"
SURVEY = (
    *("SimCLR", "MoCo", "SimSiam", "BYOL", "Barlow Twins", "DINO", "VICReg", "SwAV", "CPC", "SEED"),
    *("NNCLR", "MSF", "All4One", "CLSP", "Wu et al. 2023", "SupCon", "Ghose et al. 2023", "OCC"),
    *("Ayush et al. 2021", "Pantazis et al. 2021", "Panambur et al. 2022", "CLIP", "CLOOB"),
    *("ALIGN", "BEiT-3", "FLAVA", "VisualBERT", "LXMERT", "MAPL", "Flamingo", "AudioCLIP"),
    *("Wav2CLIP", "CLAP", "AudioToken", "AVID", "XDC", "MoCHi", "UnReMix", "HCL", "AdCo"),
    *("FNC", "IFND", "DCL", "SSCL", "SynCo", "JEST", "ACID", "CiT", "CUPID"),
)
"""The systems that Desai, Ghose and Chakraborty's survey names."""
HEAD = """\
# The recipe book

Made by `make docs` from the recipes; do not edit. `curate recipes NAME` shows one whole, with what
is offline and what is the trainer's.

Fidelity: *exact*, the paper's rule is a function of frozen data; *exact+hook*, the manifest picks
and the trainer applies the live formula; *frozen-detector*, the paper's moving encoder is a frozen
one here (rounds move it); *surrogate*, an approximation. Rule tests check each miner against an
independent reference; every recipe also runs, is verified and trains in
`tests/e2e/test_recipes.py`, or in the test that it names there.
"""
SECTIONS = {
    "positives": "stages/mining/positives",
    "negatives": "stages/mining/negatives",
    "false_negatives": "stages/mining/false_negatives",
    "soft": "stages/mining/soft",
    "synthetic": "stages/mining/synthetic",
    "batches": "stages/batches",
    "selection": "stages/selection",
}
_NAMES = {"batches": "planner", "selection": "selector"}


def recipes_page() -> str:
    """Return the page."""
    entries = {name: page(name) for name in recipe_names()}
    runs = json.loads(RUNS.read_text()) if RUNS.exists() else {"corpora": [], "runs": {}}
    corpora = list(runs["corpora"])
    by_system = {
        system: [name for name, entry in entries.items() if system in entry["systems"]]
        for entry in entries.values()
        for system in entry["systems"]
    }
    there = [system for system in SURVEY if by_system.get(system)]
    lacking = [system for system in SURVEY if not by_system.get(system)]
    others = sorted(set(by_system) - set(SURVEY), key=str.casefold)
    parts = [HEAD, f"## The survey's {len(SURVEY)} systems\n"]
    parts.append(_table(there, by_system, entries, runs["runs"], corpora))
    if lacking:
        parts.append(f"No recipe yet: {', '.join(lacking)}.\n")
    parts.append("## And what came after, or beside it\n")
    parts.append(_table(others, by_system, entries, runs["runs"], corpora))
    if corpora:
        parts.append(f"Runs: {runs['about']}\n")
    return "\n".join(parts)


def _table(
    systems: list[str],
    by_system: dict[str, list[str]],
    entries: dict[str, dict[str, Any]],
    runs: dict[str, dict[str, str]],
    corpora: list[str],
) -> str:
    header = ["system", "recipe", "fidelity", "rule tests", *corpora[:1], "a real corpus"]
    header = header if corpora else header[:4]
    lines = ["| " + " | ".join(header) + " |", "| " + " | ".join("---" for _ in header) + " |"]
    for system in systems:
        for name in by_system[system]:
            tests = ", ".join(f"`{path}`" for path in rule_tests(entries[name]["run"])) or "-"
            cells = _cells(runs.get(name, {}), corpora)
            row = [system, f"`{name}`", entries[name]["fidelity"], tests, *cells]
            lines.append("| " + " | ".join(row) + " |")
    return "\n".join(lines) + "\n"


def _cells(found: dict[str, str], corpora: list[str]) -> list[str]:
    """Return what came of the rendered corpus, and of the first real one that has what it takes."""
    if not corpora:
        return []
    real = [f"{name}: {found[name]}" for name in corpora[1:] if name in found]
    there = [text for text in real if "not here" not in text]
    return [found.get(corpora[0], "-"), next(iter([*there, *real]), "-")]


def rule_tests(run: dict[str, Any]) -> list[str]:
    """Return the tests of the components that a recipe names, relative to `tests/`."""
    found = []
    for section, folder in SECTIONS.items():
        for entry in run.get(section) or ():
            name = entry[_NAMES.get(section, "miner")]
            shared = ("test_mixers", "test_planners", "test_targets", "../test_stage")
            places = [f"{folder}/{test}.py" for test in (f"test_{name}", *shared)]
            known = [path for path in places if (ROOT / "tests" / path).exists()]
            found += [os.path.normpath(path) for path in known[:1]]
    return list(dict.fromkeys(found))
