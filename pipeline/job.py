"""One `curate run`, from a request to a published pairset."""

from __future__ import annotations

import json
import shutil
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..manifests import listing, storage
from ..manifests.artifact import Artifact
from ..manifests.errors import ConfigError, DataError, Interrupted, ResourceError, UsageError
from ..manifests.export import ABOUT, export
from ..manifests.human import human_bytes, human_seconds
from ..manifests.pairset import MANIFEST, QUESTIONS
from . import estimate, plan, progress, publish, resolve, runner
from .backends.base import Backend
from .config import Config
from .events import Event, EventLog, tee
from .memory import PeakMeter, machine_bytes
from .rounds import Round
from .runner import Node
from .signals import stopped_by

STORE = listing.RUN_STORE
PACKED = "webdataset"
"""Name in `output.formats` of pair shards with the images inside; Parquet is always written."""
EVENTS = "run.jsonl"
MEMORY_SHARE = 0.75
"""Share of the machine's memory that a run with `budget.memory: auto` may take."""


@dataclass(frozen=True)
class Options:
    """How and where a request runs; nothing here changes a result."""

    out: str
    ray: str = "local"
    workers: int | None = None
    dry_run: bool = False
    fresh: bool = False
    report: bool = True
    quiet: bool = False


@dataclass(frozen=True)
class Result:
    """What a command prints: facts for programs, text for people; and how it ends."""

    facts: dict[str, Any]
    text: str
    exit_code: int = 0


def run_job(request: resolve.Request, options: Options) -> Result:
    """Plan, and unless it is a dry run, run and publish.

    Raises:
        ConfigError: before any work.
        CurateError: what a stage raised; the same command goes on from there.
    """
    config = resolve.resolve(request)
    out = _folder(options.out)
    _keep_apart(config, out)
    with _nothing_started(config):
        reader = plan.open_corpus(config)
    if PACKED in config.output.formats and not reader.has_images:
        raise ConfigError(
            f"output.formats: {PACKED} packs images, and this corpus has none; leave it out."
        )
    memory = machine_bytes() * MEMORY_SHARE
    budget = int(memory) if config.budget.memory == "auto" else config.budget.memory
    with _nothing_started(config):
        this = Round.after(config.round_of)
        nodes = plan.build_nodes(config, reader, budget, this.number)
        this.check(nodes)
        needs = estimate.estimate(config, reader, nodes, options.workers)
    misfit = _misfit(needs, config, out, budget)
    if options.dry_run:
        fits = misfit is None
        text = needs.text if fits else f"{needs.text}\nIt will not fit: {misfit}"
        return Result({**needs.to_json(), "fits": fits}, text, 0 if fits else 1)
    if misfit:
        raise ResourceError(misfit)
    if options.fresh and out.exists():
        _clear(out)
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"-o {options.out}: cannot be made: {error.strerror}.") from error
    with runner.only_run(out / STORE):
        return _run(config, nodes, this, options, out, budget)


def _run(
    config: Config,
    nodes: Sequence[Node],
    this: Round,
    options: Options,
    out: Path,
    budget: int,
) -> Result:
    log = EventLog(out / EVENTS)
    names = [node.name for node in nodes]
    view = progress.make_view(names, sys.stderr) if not options.quiet else None
    emit = tee(log, view) if view else log
    meter, begun = PeakMeter().start(), time.monotonic()
    emit(Event("run_started", nodes=names))
    backend: Backend | None = None
    try:
        with stopped_by(_stop):
            backend = make_backend(options.ray, options.workers, budget)
            done = runner.run(nodes, out / STORE, backend, emit)
            manifest = publish.publish(config, nodes, done, out, this)
            if PACKED in config.output.formats:
                _pack(manifest, out)
    finally:
        if backend is not None:
            backend.close()
        meter.stop()
        if view:
            view.close()
    seconds = round(time.monotonic() - begun, 3)
    emit(
        Event(
            "run_done",
            seconds=seconds,
            peak_driver_bytes=meter.peak_bytes,
            anonymous_driver_bytes=meter.anonymous_bytes,
        )
    )
    log.close()
    if options.report:
        from ..manifests.report import write_report

        write_report(out)
    _sweep(nodes, done, out / STORE)
    facts = _facts(manifest, seconds, meter.peak_bytes, out)
    return Result(facts, _text(facts, out, options.report))


def _pack(manifest: dict[str, Any], out: Path) -> None:
    """Write the pairs with their images; what an earlier run packed of other pairs goes first."""
    folder = out / "packed"
    about = folder / ABOUT
    if about.exists() and json.loads(about.read_text())["manifest_id"] != manifest["manifest_id"]:
        shutil.rmtree(folder)
    export(out, PACKED, folder)


def make_backend(ray: str, workers: int | None, memory_bytes: int) -> Backend:
    """Return the backend of `--ray`: "off", "local" or the address of a cluster."""
    if ray == "off":
        from .backends.serial import SerialBackend

        return SerialBackend()
    from .backends.ray import RayBackend

    # A cluster's memory is not this machine's: only a local run is bound by the local budget.
    local = ray == "local"
    return RayBackend(None if local else ray, workers, memory_bytes if local else None)


def _folder(text: str) -> Path:
    if storage.is_remote(text):
        raise ConfigError(
            f"-o {text}: a pairset is written to a folder (a shared file system for a cluster), "
            "then copied: `aws s3 sync OUT s3://...` or the like."
        )
    path = storage.local_path(text).absolute()
    if path.exists() and not path.is_dir():
        raise ConfigError(f"-o {text}: this is a file; give a folder.")
    known = {STORE, MANIFEST, EVENTS, QUESTIONS}
    if path.exists() and any(path.iterdir()) and not known & {p.name for p in path.iterdir()}:
        raise ConfigError(
            f"-o {text}: the folder holds other files and no pairset; give a new or empty one."
        )
    return path


def _keep_apart(config: Config, out: Path) -> None:
    """Refuse inputs that stand in OUT: what a run does not publish there, it may remove."""
    arrays = [str(space.settings.get("path", "")) for space in config.spaces.values()]
    for source in (config.corpus.source, config.round_of or "", *arrays):
        place = Path(listing.absolute(source)).resolve() if source else None
        if place and not storage.is_remote(source) and place.is_relative_to(out.resolve()):
            raise ConfigError(
                f"-o {out}: {source} stands in this folder, and a run removes there what it does "
                "not publish. Give a folder outside of it (a folder inside of the corpus is fine)."
            )


@contextmanager
def _nothing_started(config: Config) -> Iterator[None]:
    """Before any work, all that fails is a matter of the config; say at which place of it."""
    try:
        yield
    except (ConfigError, DataError) as error:
        key = str(error).partition(":")[0].split(".")
        place = f"{config.document.place(key)}: " if key[0] in Config.model_fields else ""
        raise ConfigError(f"{place}{error}") from error


def _clear(out: Path) -> None:
    # What people answered, no machine can make again.
    for path in (path for path in out.iterdir() if path.name != QUESTIONS):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()


def _misfit(needs: estimate.Needs, config: Config, out: Path, memory: int) -> str | None:
    """Return why the run would not fit on this machine, or None."""
    if needs.memory_bytes > memory:
        return (
            f"one worker needs about {human_bytes(needs.memory_bytes)} of memory, and "
            f"{human_bytes(memory)} may be used. Raise budget.memory or use a larger machine."
        )
    place = out
    while not place.exists():
        place = place.parent
    free = shutil.disk_usage(place).free
    held = sum(f.stat().st_size for f in (out / STORE).rglob("*") if f.is_file())
    allowed = free if config.budget.disk == "auto" else min(free, config.budget.disk - held)
    if needs.disk_bytes - held <= allowed:
        return None
    return (
        f"the run needs about {human_bytes(needs.disk_bytes)} in {place}, of which "
        f"{human_bytes(held)} are there and {human_bytes(max(allowed, 0))} more may be used. Free "
        "some space, raise budget.disk, or write elsewhere with -o. See the plan with --dry-run."
    )


def _stop(number: int, frame: Any) -> None:
    del frame
    raise Interrupted(
        f"stopped by {signal.Signals(number).name}; all finished parts are kept. "
        "Run the same command again to go on from here."
    )


def _sweep(nodes: Sequence[Node], done: dict[str, Artifact], store: Path) -> None:
    """Drop unfinished artifacts of other configs; finished ones are kept for a change of mind."""
    for node in nodes:
        for folder in (store / runner.folder_name(node.name)).iterdir():
            if folder != done[node.name].path and not (folder / "artifact.json").exists():
                shutil.rmtree(folder)


def _facts(manifest: dict[str, Any], seconds: float, peak: int, out: Path) -> dict[str, Any]:
    return {
        "out": str(out),
        "manifest": str(out / MANIFEST),
        "manifest_id": manifest["manifest_id"],
        "counts": manifest["counts"],
        "quality": manifest["quality"],
        "seconds": seconds,
        "peak_driver_bytes": peak,
    }


def _text(facts: dict[str, Any], out: Path, report: bool) -> str:
    counts = facts["counts"]
    lines = [
        f"{counts['pairs']:,} pairs of {counts['samples']:,} samples "
        f"({counts['rejects']:,} rejects, {counts['edges']:,} edges) in "
        f"{human_seconds(facts['seconds'])}, driver peak "
        f"{human_bytes(facts['peak_driver_bytes'])}",
        f"manifest: {out / MANIFEST}",
    ]
    if report:
        lines.append(f"report:   {out / 'report.html'}")
    return "\n".join(lines)
