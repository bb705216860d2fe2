"""Runs the tasks on Ray actors. The only file that imports ray.

Ray core and not Ray Data: a task is a part, a part is a file, and only receipts travel. One pool
of actors lives as long as the stages ask for the same resources; actors of another kind are
killed first, so that an idle model never holds a device that the next stage waits for.
"""

from __future__ import annotations

import os
import secrets
import socket
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from ...manifests.errors import CurateError, ResourceError
from ...stages.base import Resources, Task
from ..memory import release_unused
from .base import Done, Job

IN_FLIGHT = 2
"""Tasks given to each actor at a time: one runs, one waits, so that no actor idles."""
OBJECT_STORE_BYTES = 128 << 20
"""Only job descriptions and receipts pass through it."""
RESTARTS = 3
REACH_S = 5.0


class _Actor:
    """Holds the job that it opened last."""

    def __init__(self) -> None:
        self._token = ""
        self._run: Callable[[Task], Done] | None = None

    def run(self, token: str, job: Job, task: Task) -> Done:
        """Run one task, opening its job first if another one is open."""
        if token != self._token or self._run is None:
            self._run = None
            release_unused()
            self._run = job()
            self._token = token
        return self._run(task)


class RayBackend:
    """Actors on a local cluster of this machine, or on the cluster at an address.

    Args:
        address: None for a cluster of our own, "auto" or "host:port" or "ray://..." to join one.
        workers: most workers of a stage; None for as many as cores, devices and memory allow.
        memory_bytes: what all workers of a stage may occupy together; None for no bound.
    """

    name = "ray"

    def __init__(
        self,
        address: str | None = None,
        workers: int | None = None,
        memory_bytes: int | None = None,
    ) -> None:
        self._limit = workers
        self._memory = memory_bytes
        self._pool: list[Any] = []
        self._kind: tuple[float, float] | None = None
        self._ray = _import_ray(joins=address is not None)
        self._ours = not self._ray.is_initialized()
        if self._ours:
            _start(self._ray, address, workers)

    def workers(self, resources: Resources, tasks: int) -> int:
        """Say how many actors a job gets: bounded by tasks, cores, devices, memory, `workers`."""
        cpus, gpus = self._need(resources)
        there = self._ray.cluster_resources()
        bounds = [max(tasks, 1)]
        for name, need in (("CPU", cpus), ("GPU", gpus)):
            have = there.get(name, 0.0)
            if need > have:
                raise ResourceError(
                    f"a worker of this stage needs {need:g} {name}, the Ray cluster has {have:g}. "
                    "Join a larger one with --ray ADDRESS."
                )
            if need:
                bounds.append(int(have // need))
        if self._memory is not None:
            bounds.append(max(1, self._memory // max(1, resources.memory_bytes)))
        if self._limit is not None:
            bounds.append(self._limit)
        return max(1, min(bounds))

    def map(self, job: Job, tasks: Sequence[Task], resources: Resources) -> Iterator[Done]:
        """Yield what came of each task as it ends.

        A worker that dies is started again and its task repeated, three times at most.

        Raises:
            ResourceError: a worker died again and again: out of memory, most often.
        """
        if not tasks:
            return
        actors = self._actors(resources, self.workers(resources, len(tasks)))
        token, reference = secrets.token_hex(8), self._ray.put(job)
        waiting, running = iter(tasks), {}

        def feed(actor: Any) -> None:
            task = next(waiting, None)
            if task is not None:
                running[actor.run.remote(token, reference, task)] = (actor, task)

        for actor in actors * IN_FLIGHT:
            feed(actor)
        while running:
            (ready,), _ = self._ray.wait(list(running), num_returns=1)
            actor, task = running.pop(ready)
            yield self._result(ready, task)
            feed(actor)

    def _need(self, resources: Resources) -> tuple[float, float]:
        """Return cores and devices of one worker on this cluster."""
        there = self._ray.cluster_resources()
        devices = there.get("GPU", 0.0)
        if not (resources.wants_gpu and devices >= 1):
            return resources.cpus, 0.0
        share = max(1.0, there.get("CPU", 1.0) // devices)
        return min(resources.cpus_with_gpu, share), 1.0

    def _actors(self, resources: Resources, count: int) -> list[Any]:
        kind = self._need(resources)
        if kind != self._kind or len(self._pool) < count:
            self._release()
            actor = self._ray.remote(_Actor).options(
                num_cpus=kind[0],
                num_gpus=kind[1],
                max_restarts=RESTARTS,
                max_task_retries=RESTARTS,
            )
            self._pool = [actor.remote() for _ in range(count)]
            self._kind = kind
        return self._pool[:count]

    def _release(self) -> None:
        for actor in self._pool:
            self._ray.kill(actor)
        self._pool, self._kind = [], None

    def close(self) -> None:
        """Kill our actors; stop the cluster if we started it."""
        if not self._ray.is_initialized():
            return
        self._release()
        if self._ours:
            self._ray.shutdown()

    def _result(self, reference: Any, task: Task) -> Done:
        failures = self._ray.exceptions
        try:
            return self._ray.get(reference)
        except failures.RayTaskError as error:
            cause = error.cause
            if isinstance(cause, CurateError):
                raise cause from None
            raise
        except (failures.RayActorError, failures.WorkerCrashedError) as error:
            raise ResourceError(
                f"the worker of {task.part} died {RESTARTS + 1} times. It was probably killed for "
                "memory: lower --workers or set budget.memory. All finished parts are kept; the "
                "same command goes on from here."
            ) from error


def _import_ray(joins: bool) -> Any:
    # No telemetry; and since an open Ray port is remote code execution, a cluster of our own checks
    # a token, which is never stored in HOME. Ray reads the mode once, when it is imported: where a
    # program did that before us, only `ray.init` can still turn tokens on, and does so where the
    # mode is not set.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    if not joins:
        os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
        if "ray" not in sys.modules:
            os.environ.setdefault("RAY_AUTH_MODE", "token")
    import ray
    import ray.exceptions

    return ray


def _start(ray: Any, address: str | None, workers: int | None) -> None:
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR"}
    try:
        if address is not None:
            _knock(address)
            ray.init(address=address, **quiet)
            return
        ray.init(
            address="local",
            num_cpus=max(workers or 0, os.cpu_count() or 1),
            include_dashboard=False,
            object_store_memory=OBJECT_STORE_BYTES,
            **quiet,
        )
    except (OSError, RuntimeError, ValueError) as error:
        where = f"the Ray cluster at {address}" if address else "a local Ray cluster"
        raise ResourceError(
            f"cannot reach {where}: {error} Use --ray off to run in this process."
        ) from error


def _knock(address: str) -> None:
    """Open and close a connection: Ray itself waits for minutes where nobody listens."""
    host, sign, port = address.removeprefix("ray://").rpartition(":")
    if sign and port.isdigit():
        socket.create_connection((host, int(port)), timeout=REACH_S).close()
