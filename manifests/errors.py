"""Everything that curate raises on purpose, and the exit code each one ends a command with.

* CurateError                1
  + UsageError               2  wrong usage; nothing was started
    - ConfigError            2  a config that cannot be read as meant
  + DataError                1  the corpus, or what was made of it, failed a check
    - TooManyRejects         1  more inputs were refused than `max_reject_fraction` allows
  + ResourceError            1  memory, disk or a device is not there
  + ArtifactError            1
    - ArtifactIncomplete     1  no commit record: the stage has not finished
    - ArtifactTorn           1  a part does not match its receipt
  + PairsetError             1  a folder is not a readable pairset
  + StreamError              1
    - StateMismatch          1  a stream's state belongs to another manifest, seed or order
    - TooManyBadImages       1  the failure budget of a stream is spent
  + Interrupted              3  stopped on purpose; the same command goes on from there
"""

from __future__ import annotations

from typing import ClassVar


class CurateError(Exception):
    """Base class: catch this to catch every error of this library."""

    exit_code: ClassVar[int] = 1


class UsageError(CurateError):
    """A command or a function was used in a way that cannot work; nothing was started."""

    exit_code: ClassVar[int] = 2


class ConfigError(UsageError):
    """A config cannot be read as meant; the text names file, key, value and what is allowed."""


class DataError(CurateError):
    """The corpus, or what was made of it, failed a check."""


class TooManyRejects(DataError):
    """More inputs were refused than `max_reject_fraction` allows."""


class ResourceError(CurateError):
    """Memory, disk or a device that the work needs is not there."""


class ArtifactError(CurateError):
    """An artifact on disk is not usable."""


class ArtifactIncomplete(ArtifactError):
    """An artifact has no commit record."""


class ArtifactTorn(ArtifactError):
    """A part does not match its receipt."""


class PairsetError(CurateError):
    """A folder is not a readable pairset."""


class StreamError(CurateError):
    """A stream cannot go on."""


class StateMismatch(StreamError):
    """A stream's state belongs to another manifest, seed or order."""


class TooManyBadImages(StreamError):
    """The failure budget of a stream is spent."""


class Interrupted(CurateError):
    """The run was stopped on purpose; the same command goes on from there."""

    exit_code: ClassVar[int] = 3
