"""The reason why one input, or one picture, cannot be used; the work goes on without it."""

from __future__ import annotations

from .errors import CurateError
from .schema import RejectCode


class Refused(CurateError):
    """One input cannot become a sample.

    Attributes:
        code: why, as it stands in `rejects`.
        message: the same for people.
    """

    def __init__(self, code: RejectCode, message: str) -> None:
        super().__init__(code, message)
        self.code = code
        self.message = message

    def __str__(self) -> str:
        return self.message
