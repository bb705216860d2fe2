"""The two texts that lie beside the pictures: the dataset card and a ready config."""

from __future__ import annotations

import json
from pathlib import Path

from .layouts import Spec
from .world import COLOURS, KINDS, SETTINGS

README_TEMPLATE = """# Rendered scenes

{size} pictures with captions, labels and attributes, rendered by `curate sample` (seed {seed},
{image_px} px, layout `{layout}`). No picture shows a person or a real place, nothing was
downloaded, and the same command writes the same bytes again.

Run `curate run curate.yaml -o OUT` in this folder to mine pairs from it.

## What is in a picture

One to five things of {kinds} kinds in {colours} colours and four textures, at one of 120 places
(ten regions with {settings} sorts of place each), by day, at dusk, at night or under clouds.

| field | meaning |
|---|---|
| `captions` | three to five sentences, the richest first; empty for about 2 % of the rows |
| `label` | kind of the primary thing |
| `labels` | every kind in the picture |
| `camera`, `time`, `lat`, `lon`, `place` | who, when (ISO 8601, UTC), where (degrees). Cameras \
take bursts a few seconds apart and come back to a place on other days |
| `lighting`, `viewpoint` | day, dusk, night, overcast; front, close, far, left, right, above |
| `split` | train 90 %, val 5 %, test 5 %; a scene and its duplicates are never divided |

About 2 % of the pictures are exact copies of an earlier one under another key and 3 % near copies
(resized, cropped, brighter or darker, recompressed).

## What is true

`truth.parquet` has one row a picture: `key`, `row`, `label`, `scene_id` (equal for the frames of
one burst and their copies), `place_id`, `duplicate_of` (a key, or null) and `duplicate_kind`
(`exact`, `near` or null). It is for checking what a miner found, not for mining.
"""

CONFIG_TEMPLATE = """# A rendered corpus, ready for `curate run curate.yaml -o OUT`.
corpus:
  source: {source}
  format: {layout}
{fields}spaces:
  image: {{of: image, encoder: builtin}}
  caption: {{of: caption, encoder: builtin}}
neighbors:
  "image>image": {{k: 32}}
positives:
  - {{miner: knn, space: "image>image", k: 5, mutual: true}}
false_negatives:
  - {{miner: topk_threshold, space: "image>image", k: 10, threshold: calibrated}}
negatives:
  - miner: hard
    space: "image>image"
    ranks: [5, 32]
    max_ratio: 0.95       # NV-Retriever: below 95 % of the least similar positive
    exclude_label: true   # the labels are known here, so none of the anchor's kind
    count: 4
seed: 0
"""
_ATTRIBUTES = ("camera", "time", "lat", "lon", "place")
_FIELDS = "  fields: {{{named}, attributes: {{{attributes}}}}}\n"


def readme_text(spec: Spec) -> str:
    """The README of a corpus, Markdown."""
    return README_TEMPLATE.format(
        size=spec.size,
        seed=spec.seed,
        image_px=spec.image_px,
        layout=spec.layout,
        kinds=len(KINDS),
        colours=len(COLOURS),
        settings=len(SETTINGS),
    )


def config_text(dest: Path, spec: Spec) -> str:
    """The config of a corpus, YAML; `dest` is written into it as an absolute path."""
    before = "json." if spec.layout == "webdataset" else ""
    fields = ""
    if spec.layout != "folder":  # plain folders carry no fields
        names = {"caption": "captions", "label": "label", "labels": "labels", "split": "split"}
        fields = _FIELDS.format(
            named=", ".join(f"{ours}: {before}{theirs}" for ours, theirs in names.items()),
            attributes=", ".join(f"{name}: {before}{name}" for name in _ATTRIBUTES),
        )
    source = json.dumps(str(dest.resolve()), ensure_ascii=False)
    return CONFIG_TEMPLATE.format(source=source, layout=spec.layout, fields=fields)
