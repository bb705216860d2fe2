"""The dataset card of a pairset, README.md: what is in the folder and how to read it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..manifests.inspect import plan_facts


def card(body: Mapping[str, Any]) -> str:
    """Return the dataset card, README.md: what is in the folder and how to read it.

    Its header names the Parquet tables only: a hub reads a mixed repository with one reader.
    """
    numbers = body["counts"]
    rate = body["quality"]["false_negative_rate"]
    false = (
        "unknown (no labels or captions to judge by)"
        if rate["value"] is None
        else f"{rate['value']:.2%} ({rate['low']:.2%} to {rate['high']:.2%}, by {rate['source']})"
    )
    miners = "\n".join(f"- `{m['id']}` ({m['role']}, {m['fidelity']})" for m in body["miners"])
    return f"""---
configs:
- config_name: pairs
  data_files: pairs/*.parquet
- config_name: samples
  data_files: samples/*.parquet
---
# Pairs for contrastive training

Made by {body["created_by"]}; format `{body["format"]}`.
{numbers["pairs"]} pairs of {numbers["samples"]} samples ({numbers["rejects"]} inputs refused, see
`rejects/`). Each row of `pairs/` is one anchor with up to {numbers["P"]} positives,
{numbers["K"]} negatives and {numbers["F"]} false negatives (never to be contrasted), as ids into
`samples/`, padded with -1.

Estimated share of false negatives among mined negatives: {false}.

Miners, in order:
{miners}
{_plans(body)}{_generated(body)}
`edges/` holds the reason for every pair and every refused candidate; `manifest.json` the whole
config, the measured recall of the neighbour graph, and the hash of every file.

```python
import duckdb
duckdb.sql("select * from 'pairs/*.parquet' limit 5")

from curate.manifests import PairStream
stream = PairStream(".", batch_size=256)
```
"""


def _plans(body: Mapping[str, Any]) -> str:
    """Return the plans of batches as a table, or ""."""
    if not body["plans"]:
        return ""
    return f"""
Plans of batches (`plans/`): which pairs meet in a batch. Hardest is the mean cosine of an anchor
and the most similar other of its batch; false is the share of labelled pairs of a batch that have
one label; in brackets stand those of random batches.

| plan | planner | split | batches | hardest | false |
|---|---|---|---|---|---|
{chr(10).join(_plan(entry) for entry in body["plans"])}
"""


def _plan(entry: Mapping[str, Any]) -> str:
    facts = plan_facts(entry)
    cells = [
        f"`{entry['name']}`",
        f"{entry['planner']} ({entry['fidelity']})",
        _cell(entry["split"] or "any"),
        f"{entry['batches']} x {entry['size']}",
        _beside(facts, "hardest", ".3f"),
        _beside(facts, "false_negative_rate", ".2%"),
    ]
    return f"| {' | '.join(cells)} |"


def _cell(text: str) -> str:
    """Return a text of the corpus as one that stays in its cell and makes no markup."""
    plain = " ".join(text.replace("\\", "\\\\").split())
    for sign in "|`<[*_":
        plain = plain.replace(sign, f"\\{sign}")
    return plain


def _beside(facts: Mapping[str, Any], name: str, form: str) -> str:
    texts = [
        "unknown" if value is None else format(value, form)
        for value in (facts[name], facts[f"{name}_random"])
    ]
    return f"{texts[0]} ({texts[1]})"


def _generated(body: Mapping[str, Any]) -> str:
    """Return what generators made, a line a section, or ""."""
    lines = [
        f"- `{name}`: {entry['assets']} pictures ({entry['fidelity']}), {entry['count']} an anchor"
        for name, entry in body["assets"].items()
    ]
    return "\n".join(["\nGenerated pictures (`assets/`):", *lines, ""]) if lines else ""
