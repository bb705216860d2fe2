"""From finished artifacts to a pairset: hard links under their published names, manifest last."""

from __future__ import annotations

import importlib.metadata
import platform
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from .. import __version__
from ..manifests import storage
from ..manifests.artifact import Artifact
from ..manifests.fingerprint import canonical_json, digest, file_digest
from ..manifests.pairset import FOLDERS, IMAGES, MANIFEST, PEOPLE, PLANS, own_shard
from ..manifests.schema import FORMAT, ORDER
from ..manifests.tables import ROW_GROUP_ROWS
from ..stages.batches.stage import NEGATIVES
from ..stages.mining.base_mixer import Mixer
from . import clusters, quality
from .assets import asset_tables, publish_assets
from .batches import planned_batches
from .card import card
from .config import Config
from .croissant import croissant
from .plan import ARRAY, PlannedMiner, planned_miners, planned_mixers
from .rounds import Round
from .runner import Node
from .selection import PlannedSelector, planned_selectors

PACKAGES = ("faiss-gpu", "faiss-cpu", "numpy", "open_clip_torch", "pillow", "pyarrow", "torch")
"""Packages whose version can change a result; noted in the manifest."""


def publish(
    config: Config, nodes: Sequence[Node], done: Mapping[str, Artifact], out: Path, this: Round
) -> dict[str, Any]:
    """Link the published files into `out` and write `manifest.json`; return the manifest.

    Files of an earlier run that this one does not publish are removed from the published folders.
    """
    links = _Links(out)
    miners = planned_miners(config)
    named = [(item.id, item.miner) for item in miners]
    level = clusters.published(config, named)
    (out / MANIFEST).unlink(missing_ok=True)
    body: dict[str, Any] = {
        "format": FORMAT,
        "created_by": f"curate-pairs {__version__}",
        "config": config.model_dump(mode="json"),
        "corpus": _corpus(config, nodes, done),
        "versions": _versions(),
        "tables": _tables(config, done, links),
        "embeddings": _embeddings(config, nodes, done, links),
        "index": _indexes(done, links),
        "neighbors": quality.neighbors(config, done),
        "images": _images(done, links),
        "assets": publish_assets(config, nodes, done, links.add),
        "kinds": [item.id for item in miners],
        "miners": [_miner(item, done[f"mine:{item.id}"]) for item in miners],
        "selection": [_selector(item, done) for item in planned_selectors(config)],
        "mixers": [_mixer(name, mixer) for name, mixer in planned_mixers(config).items()],
        "fidelity": {item.id: item.miner.fidelity for item in miners},
        "attributes": dict(done["census"].receipts[0].facts["attributes"]),
        "groups": dict(done["groups"].receipts[0].facts),
        "clusters": clusters.described(config, done),
        "cluster_id": level.to_json() if level else None,
        "mask_schedules": clusters.mask_schedules(named, done),
        "thresholds": quality.thresholds(done),
        "quality": quality.quality(done),
        "mask_groups": list(config.mask_groups),
        "loss": config.loss.block(),
        "order": {"algo": ORDER, "rows_per_block": ROW_GROUP_ROWS},
        "plans": _plans(config, done, links),
        "parents": list(this.parents),
        "round": this.number,
    }
    body["config_sha256"] = digest(canonical_json(body["config"]))
    body["counts"] = quality.counts(config, done)
    body["documents"] = [*_documents(body, done, links), *_people(miners, links)]
    links.remove_others()
    body["manifest_id"] = f"sha256:{digest(canonical_json(body))}"
    storage.write_json(out / MANIFEST, body)
    return body


class _Links:
    """Links files into the published folders and remembers which names are in use."""

    def __init__(self, out: Path) -> None:
        self._out = out
        self._used: set[Path] = set()

    def add(self, source: Path, name: str, record: Mapping[str, Any]) -> dict[str, Any]:
        """Publish one file; return its entry: path, bytes, sha256."""
        target = self._out / name
        if not (target.exists() and target.samefile(source)):
            storage.link_or_copy(source, target)
        self._used.add(target)
        return {"path": name, "bytes": record["bytes"], "sha256": record["sha256"]}

    def write(self, name: str, value: Any) -> dict[str, Any]:
        """Publish a text, or a value as JSON; return the entry: path, bytes, sha256."""
        target = self._out / name
        if isinstance(value, str):
            storage.write_text(target, value)
        else:
            storage.write_json(target, value)
        self._used.add(target)
        return {"path": name, "bytes": target.stat().st_size, "sha256": file_digest(target)}

    def remove_others(self) -> None:
        """Remove files that an earlier run published and this one does not."""
        for folder in FOLDERS:
            self._clean(folder)

    def _clean(self, folder: str) -> None:
        for path in sorted((self._out / folder).rglob("*"), reverse=True):
            if path.is_dir():
                if not any(path.iterdir()):
                    path.rmdir()
            elif path not in self._used:
                path.unlink()


def _files(artifact: Artifact, suffix: str) -> Iterator[tuple[str, int, Path, Mapping[str, Any]]]:
    """Yield (part, rows, path, record) of one file a part, parts without it left out."""
    for receipt in artifact.receipts:
        for record in receipt.files:
            if record["name"] == f"{receipt.part}.{suffix}":
                yield receipt.part, receipt.rows, artifact.path / record["name"], record


def _rows_table(
    links: _Links, artifact: Artifact, folder: str, suffix: str = "parquet", extension: str = ""
) -> list[dict[str, Any]]:
    entries, first = [], 0
    for part, rows, path, record in _files(artifact, suffix):
        name = f"{folder}/{part}.{extension or suffix}"
        entry = links.add(path, name, record)
        entries.append({**entry, "rows": rows, "first_row": first})
        first += rows
    return entries


def _tables(
    config: Config, done: Mapping[str, Artifact], links: _Links
) -> dict[str, list[dict[str, Any]]]:
    tables = {
        "samples": _rows_table(links, done["final_samples"], "samples"),
        "pairs": _rows_table(links, done["final_pairs"], "pairs"),
        "edges": _rows_table(links, done["final_edges"], "edges"),
    }
    rejects = _rows_table(links, done["census"], "rejects", "rejects.parquet", "parquet")
    for entry in rejects:
        entry["rows"] = done["census"].receipts[0].facts["rejects"]
    tables["rejects"] = rejects
    if "final_selection" in done:
        tables["selection"] = _rows_table(links, done["final_selection"], "selection")
    if config.generate:
        tables["assets"] = asset_tables(config, done, links.add)
    for graph in config.neighbors:
        folder = f"neighbors/{graph.replace('>', '_to_')}"
        tables[f"neighbors/{graph}"] = _rows_table(links, done[f"final_neighbors:{graph}"], folder)
    for name in config.clusters:
        table = f"clusters/{name}"
        tables[table] = _rows_table(links, done[f"final_clusters:{name}"], table)
    return tables


def _embeddings(
    config: Config, nodes: Sequence[Node], done: Mapping[str, Artifact], links: _Links
) -> dict[str, Any]:
    stages = {node.name: node.stage for node in nodes}
    spaces = {}
    for name, space in config.spaces.items():
        artifact, stage = done[f"vectors:{name}"], stages[f"vectors:{name}"]
        identity = stage.identity()
        spaces[name] = {
            "of": space.of,
            "dim": artifact.receipts[0].facts["dim"] if artifact.receipts else 0,
            "dtype": "float16",
            "encoder": identity["source" if space.encoder == ARRAY else "encoder"],
            "missing": sum(receipt.facts["missing"] for receipt in artifact.receipts),
            "files": _rows_table(links, artifact, f"embeddings/{name}", "npy"),
        }
    return spaces


def _indexes(done: Mapping[str, Artifact], links: _Links) -> dict[str, Any]:
    found = {}
    for name, artifact in done.items():
        if not name.startswith("index:"):
            continue
        space = name.removeprefix("index:")
        many = len(artifact.parts) > 1
        files = []
        for number, (_, _, path, record) in enumerate(_files(artifact, "faiss")):
            target = f"index/{space}-{number:05d}.faiss" if many else f"index/{space}.faiss"
            files.append(links.add(path, target, record))
        found[space] = {**artifact.receipts[0].facts, "metric": "inner_product", "files": files}
    return found


def _plans(config: Config, done: Mapping[str, Artifact], links: _Links) -> list[dict[str, Any]]:
    found = []
    for item in planned_batches(config):
        artifact = done[f"final_plan:{item.id}"]
        _, batches, path, record = next(_files(artifact, "npy"))
        facts = artifact.receipts[0].facts
        entry = {
            "name": item.id,
            "planner": type(item.planner).__module__.rsplit(".", 1)[-1],
            "fidelity": item.planner.fidelity,
            "paper": item.planner.paper,
            "settings": item.planner.model_dump(mode="json"),
            **links.add(path, f"{PLANS}/{item.id}.npy", record),
            "batches": batches,
            "size": facts["size"],
            "split": facts["split"],
            "blocks": facts["blocks"],
            "repeats": item.planner.repeats,
            "pairs_left_out": facts["pairs_left_out"],
            "facts": facts["planner"],
        }
        for _, _, path, record in _files(artifact, NEGATIVES):
            file = links.add(path, f"{PLANS}/{item.id}.{NEGATIVES}", record)
            entry["negatives"] = {**file, "count": item.planner.drawn_negatives}
        found.append(entry)
    return found


def _images(done: Mapping[str, Artifact], links: _Links) -> list[dict[str, Any]]:
    return [
        links.add(path, own_shard(part), record)
        for part, _, path, record in _files(done["scan"], "tar")
    ]


def _documents(
    body: Mapping[str, Any], done: Mapping[str, Artifact], links: _Links
) -> list[dict[str, Any]]:
    """Write what describes the rest: dataset card, JSON-LD, and the sizes of our own tars."""
    found = [
        links.write("README.md", card(body)),
        links.write("croissant.json", croissant(body)),
    ]
    # open_clip and DataComp learn from sizes.json how many samples each tar has.
    sizes = {
        f"{receipt.part}.tar": receipt.rows - sum(receipt.facts["rejects_by_code"].values())
        for receipt in done["scan"].receipts
        if done["scan"].file(receipt.part, "tar").exists()
    }
    return found + ([links.write(f"{IMAGES}/sizes.json", sizes)] if sizes else [])


def _people(miners: Sequence[PlannedMiner], links: _Links) -> list[dict[str, Any]]:
    """Write what people and oracles said, for whoever checks the edges."""
    return [
        links.write(f"{PEOPLE}/{item.id}{suffix}", text)
        for item in miners
        for suffix, text in item.miner.documents().items()
    ]


def _corpus(config: Config, nodes: Sequence[Node], done: Mapping[str, Artifact]) -> dict[str, Any]:
    scan = next(node.stage for node in nodes if node.name == "scan")
    reader = scan.identity()["reader"]
    return {
        "source": config.corpus.source,
        "reader": reader["class"],
        "fingerprint": done["scan"].fingerprint,
        "inputs": done["census"].receipts[0].facts["inputs"],
    }


def _miner(item: PlannedMiner, artifact: Artifact) -> dict[str, Any]:
    graphs = list(item.miner.graph_names)
    return {
        "id": item.id,
        "role": str(item.role),
        "miner": type(item.miner).__module__.rsplit(".", 1)[-1],
        "fidelity": item.miner.fidelity,
        "allows_self": item.miner.allows_self,
        "paper": item.miner.paper,
        "settings": item.miner.model_dump(mode="json"),
        "space": graphs[0] if graphs else "",
        "facts": quality.miner_facts(artifact),
    }


def _selector(item: PlannedSelector, done: Mapping[str, Artifact]) -> dict[str, Any]:
    facts = dict(done[f"select:{item.id}"].receipts[0].facts)
    return {
        "id": item.id,
        "selector": type(item.selector).__module__.rsplit(".", 1)[-1],
        "fidelity": item.selector.fidelity,
        "paper": item.selector.paper,
        "settings": item.selector.model_dump(mode="json"),
        "kept": facts.pop("kept"),
        "dropped": facts.pop("dropped"),
        "facts": facts,
    }


def _mixer(name: str, mixer: Mixer) -> dict[str, Any]:
    return {
        "id": name,
        "miner": type(mixer).__module__.rsplit(".", 1)[-1],
        "method": mixer.method,
        "count": mixer.count,
        "fidelity": mixer.fidelity,
        "paper": mixer.paper,
        "settings": mixer.model_dump(mode="json"),
    }


def _versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found
