"""Runs nodes in order: skips what is committed, resumes what is half done, says what it does."""

from __future__ import annotations

import fcntl
import os
import socket
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ..manifests.artifact import COMMIT, Artifact, Draft, Receipt
from ..manifests.errors import UsageError
from ..manifests.fingerprint import fingerprint
from ..stages.base import Inputs, Stage, Task
from .backends.base import Backend, Done
from .events import Emit, Event
from .memory import PeakMeter


@dataclass(frozen=True)
class Node:
    """One stage with its place in the graph: which node feeds each of its inputs."""

    name: str
    stage: Stage
    sources: Mapping[str, str]


def run(nodes: Sequence[Node], store: Path, backend: Backend, emit: Emit) -> dict[str, Artifact]:
    """Bring every node's artifact into being, in order; return them by node name.

    Raises:
        CurateError: what a stage raised; all finished parts are kept.
    """
    done: dict[str, Artifact] = {}
    for node in nodes:
        inputs = {need: done[source] for need, source in node.sources.items()}
        done[node.name] = _run_node(node, inputs, store, backend, emit)
    return done


def node_path(node: Node, inputs: Inputs, store: Path) -> tuple[Path, str]:
    """Return the folder of a node's artifact and its fingerprint."""
    recipe = {
        "stage": node.stage.identity(),
        "inputs": {need: artifact.fingerprint for need, artifact in inputs.items()},
    }
    name = fingerprint(recipe)
    return store / folder_name(node.name) / name, name


def folder_name(node: str) -> str:
    """Return a node's name as a folder: "graph:image>image" -> "graph.image_to_image"."""
    return node.replace(":", ".").replace(">", "_to_")


def _run_node(node: Node, inputs: Inputs, store: Path, backend: Backend, emit: Emit) -> Artifact:
    path, name = node_path(node, inputs, store)
    begun = time.monotonic()
    if (path / COMMIT).exists():
        artifact = Artifact.open(path)
        node.stage.check(artifact)
        emit(Event("node_kept", node.name, parts=len(artifact.parts), rows=artifact.rows))
        return artifact
    path.mkdir(parents=True, exist_ok=True)
    tasks, draft = node.stage.plan(inputs), Draft(path)
    receipts: dict[str, Receipt] = {}
    for task in tasks:
        kept = draft.receipt(task.part)
        if kept is not None:
            receipts[task.part] = kept
    todo = [task for task in tasks if task.part not in receipts]
    resources = node.stage.resources(inputs)
    emit(
        Event(
            "node_started",
            node.name,
            parts=len(tasks),
            kept=len(receipts),
            workers=backend.workers(resources, len(todo)),
        )
    )
    peak, anonymous, cores = 0, 0, 0.0
    for done in backend.map(_Job(node.stage, inputs, draft), todo, resources):
        receipts[done.receipt.part] = done.receipt
        peak, anonymous = max(peak, done.peak_bytes), max(anonymous, done.anonymous_bytes)
        cores += done.cpu_seconds
        emit(_part_event(node.name, done))
    ordered = [receipts.get(task.part) for task in tasks]
    artifact = draft.commit(name, ordered, {"identity": node.stage.identity()})
    node.stage.check(artifact)
    emit(
        Event(
            "node_done",
            node.name,
            parts=len(tasks),
            computed=len(todo),
            kept=len(tasks) - len(todo),
            rows=artifact.rows,
            seconds=round(time.monotonic() - begun, 3),
            cpu_seconds=round(cores, 3),
            peak_worker_bytes=peak,
            anonymous_worker_bytes=anonymous,
        )
    )
    return artifact


def _part_event(node: str, done: Done) -> Event:
    return Event(
        "part_done",
        node,
        part=done.receipt.part,
        rows=done.receipt.rows,
        facts=done.receipt.facts,
        seconds=round(done.seconds, 3),
        cpu_seconds=round(done.cpu_seconds, 3),
        peak_worker_bytes=done.peak_bytes,
        worker=done.worker,
        **dict(done.log),
    )


@dataclass(frozen=True)
class _Job:
    """What a process receives: a stage, its inputs, and where the parts go."""

    stage: Stage
    inputs: Inputs
    draft: Draft

    def __call__(self) -> Callable[[Task], Done]:
        meter, used = PeakMeter().start(), time.process_time()
        worker = self.stage.open(self.inputs)
        name = f"{socket.gethostname()}/{os.getpid()}"

        def run_task(task: Task) -> Done:
            nonlocal used
            begun = time.monotonic()
            output = worker(task)
            receipt = self.draft.write(task.part, output)
            meter.sample()
            seconds = time.monotonic() - begun
            peaks, before = (meter.peak_bytes, meter.anonymous_bytes), used
            used = time.process_time()
            return Done(receipt, seconds, *peaks, name, output.log, used - before)

        return run_task


@contextmanager
def only_run(store: Path) -> Iterator[None]:
    """Hold the store for this run; a second run on the same folder is refused.

    Raises:
        UsageError: another process works there.
    """
    store.mkdir(parents=True, exist_ok=True)
    with (store / "lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise UsageError(
                f"another `curate run` is writing to {store.parent}. Wait for it, stop it, or "
                "give another folder with -o."
            ) from error
        yield
