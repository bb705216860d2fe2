"""What a stage is.

A stage is a frozen model: its fields are its settings. Two methods do the work:

    plan(inputs)  -> the tasks, one per output part; cheap, no models, always the same list
    open(inputs)  -> a function from one task to one output; loads what is heavy, once a process

A stage never starts processes, never writes files and never draws from a global generator.
"""

from __future__ import annotations

import abc
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict

from ..manifests.arrays import ArraySource
from ..manifests.artifact import Artifact, Output

Inputs = Mapping[str, Artifact]


@dataclass(frozen=True)
class Runtime:
    """Marks a setting that changes speed but not results: `Annotated[int, Runtime()]`.

    So does the path of a file whose content is in the identity by itself, as the digest of weights
    is. Such a setting is left out of the fingerprint.
    """


@dataclass(frozen=True)
class Task:
    """The work behind one output part; `spec` is small JSON."""

    part: str
    spec: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Resources:
    """What one worker of a stage occupies.

    Attributes:
        cpus: cores of a worker without a device.
        memory_bytes: memory at its peak.
        wants_gpu: one device for each worker, where the machines that run it have any. The stage
            does not ask for itself: the driver may have no device and the workers eight.
        cpus_with_gpu: cores that keep one device busy; fewer where the devices must share.
    """

    cpus: float = 1
    memory_bytes: int = 600 << 20
    wants_gpu: bool = False
    cpus_with_gpu: float = 4


Worker = Callable[[Task], Output]


class Component(BaseModel):
    """Something with settings that decide a result: a stage, a reader, a miner, an encoder."""

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)

    version: ClassVar[int] = 1
    """Raise it when the same settings give other results than before."""

    def identity(self) -> dict[str, Any]:
        """Return all that decides the result, nested components included, as JSON."""
        kept = {
            name: getattr(self, name)
            for name, info in type(self).model_fields.items()
            if not any(isinstance(mark, Runtime) for mark in info.metadata)
        }
        return {
            "class": f"{type(self).__module__}:{type(self).__qualname__}",
            "version": self.version,
            **{name: _identity_of(value) for name, value in kept.items()},
        }


def _identity_of(value: Any) -> Any:
    if isinstance(value, Component | ArraySource):
        return value.identity()
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    if isinstance(value, Mapping):
        return {str(key): _identity_of(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_identity_of(item) for item in value]
    return value


class Stage(Component, abc.ABC):
    """Base class of all stages."""

    @abc.abstractmethod
    def plan(self, inputs: Inputs) -> list[Task]:
        """List the tasks, in the order of the output parts."""

    @abc.abstractmethod
    def open(self, inputs: Inputs) -> Worker:
        """Load what the work needs and return the function that does it."""

    def check(self, artifact: Artifact) -> None:
        """Look at the whole committed artifact once; the default finds nothing wrong.

        Raises:
            DataError: the parts together are not what was asked for.
        """
        del artifact

    def resources(self, inputs: Inputs) -> Resources:
        """Say what one worker occupies; the backend decides how many there are."""
        del inputs
        return Resources()


def task_per_part(artifact: Artifact) -> list[Task]:
    """Plan one task for each part of an input."""
    return [Task(part) for part in artifact.parts]
