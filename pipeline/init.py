"""Writes a commented config for a corpus after a look at it."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

from ..manifests import storage
from ..manifests.errors import UsageError
from ..manifests.human import human_bytes
from ..stages.ingest.base import Fields, RawSample, Reader
from ..stages.ingest.detect import reader_for

ENCODER = "encoder: open_clip, model: ViT-B-32, pretrained: laion2b_s34b_b79k, precision: bf16"
FALSE_NEGATIVES = """\
false_negatives:    # nearest above what labels or captions calibrate: never contrasted
  - {miner: topk_threshold, space: "image>image", k: 10, threshold: calibrated}
"""
NO_TRUTH = """\
# No labels and no captions, so no threshold can be calibrated. Look at the report, then perhaps:
# false_negatives: [{miner: topk_threshold, space: "image>image", k: 10, threshold: 0.95}]
"""
LOOK_AT = 64
"""Samples that are read to see what a corpus has."""


def write_config(corpus: str, out: Path, format_: str, force: bool) -> str:
    """Write a config for `corpus` to `out`; return what was seen.

    Raises:
        UsageError: the file exists and `force` is not set.
        ConfigError: the corpus's format cannot be told.
    """
    if out.exists() and not force:
        raise UsageError(f"{out} exists; give another name with -o, or --force.")
    reader = reader_for(format_, corpus, Fields())
    samples = list(itertools.islice(_first(reader), LOOK_AT))
    size = reader.estimate()
    storage.write_text(out, config_text(corpus, reader, samples))
    about = "" if size.exact else "about "
    seen = ", ".join(_seen(samples)) or "no captions, labels or attributes"
    return (
        f"{corpus}: {_format(reader)}, {about}{size.rows:,} inputs, {human_bytes(size.bytes)}; "
        f"{seen}\nwrote {out}; next: curate run {out} -o out"
    )


def _first(reader: Reader) -> Any:
    for piece in reader.slices():
        yield from reader.read(piece)


def _format(reader: Reader) -> str:
    return type(reader).__module__.rsplit(".", 1)[-1]


def _seen(samples: list[RawSample]) -> list[str]:
    good = [sample for sample in samples if sample.code is None]
    if not good:
        return []
    seen = []
    captions = sum(len(sample.captions) for sample in good)
    if captions:
        seen.append(f"{captions / len(good):.1f} captions a sample")
    if any(sample.labels for sample in good):
        seen.append("labels")
    if any(sample.split for sample in good):
        seen.append("splits")
    names = sorted({name for sample in good for name in sample.attributes})
    if names:
        seen.append(f"attributes {', '.join(names)}")
    return seen


def config_text(corpus: str, reader: Reader, samples: list[RawSample]) -> str:
    """Return the YAML of a config with every choice explained."""
    has_captions = any(sample.captions for sample in samples)
    has_labels = any(sample.labels for sample in samples)
    fields = reader.fields.model_dump(exclude_none=True, exclude_defaults=True)
    caption_space = (
        f"  caption: {{of: caption, {ENCODER}}}\n"
        if has_captions
        else "  # the corpus has no captions, so there is no caption space\n"
    )
    label = (
        "  - {miner: label, count: 2}    # samples of the anchor's label\n" if has_labels else ""
    )
    masked = FALSE_NEGATIVES if has_captions or has_labels else NO_TRUTH
    return f"""# Written by `curate init`; --dry-run shows the plan of: curate run THIS_FILE -o out
corpus:
  source: {json.dumps(corpus)}
  format: {_format(reader)}
  fields: {json.dumps(fields)}    # where captions, labels, attributes are; {{}} = found by name
  max_reject_fraction: 0.05    # stop when more inputs than this are refused

spaces:    # one embedding space each; encoder: open_clip, builtin, onnx, or array (your vectors)
  image: {{of: image, {ENCODER}}}
{caption_space}
neighbors:    # graphs: "query space>bank space"
  "image>image": {{k: 64, min_recall: 0.95}}

duplicates: {{threshold: 0.985}}    # from this similarity on two images are one: never contrasted

positives:
  - {{miner: knn, space: "image>image", k: 5, mutual: true}}    # both among the other's nearest
{label}
{masked}
negatives:    # ranks 5 to 64, each below 95 % of the least similar positive (NV-Retriever)
  - {{miner: hard, space: "image>image", ranks: [5, 64], max_ratio: 0.95, count: 4}}

loss: {{t: 0.1, pos_in_denom: self}}    # for the trainer; copied into manifest.json

output: {{negatives: 4, false_negatives: 8, shards: {{size: 256MB}}}}
budget: {{memory: auto, disk: auto}}
seed: 0
"""
