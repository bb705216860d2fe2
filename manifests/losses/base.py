"""What settings of losses have in common: bounds of each, and the check against them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import Field, asdict, dataclass, field, fields
from typing import Any, ClassVar

from ..errors import UsageError


def within(default: Any, **bounds: Any) -> Any:
    """Return a field with bounds: gt, ge, lt, le for numbers, `among` for words."""
    return field(default=default, metadata=bounds)


def positive(default: float) -> Any:
    """Return a field that must be greater than 0."""
    return within(default, gt=0)


def share(default: float) -> Any:
    """Return a field that must be in [0, 1]."""
    return within(default, ge=0, le=1)


@dataclass(frozen=True)
class Loss:
    """Base: settings of one kind; all are plain numbers, words and truth values.

    Raises:
        UsageError: a value out of bounds.
    """

    kind: ClassVar[str]

    def __post_init__(self) -> None:
        for item in fields(self):
            if text := refused(getattr(self, item.name), item):
                raise UsageError(
                    f"loss.{item.name}: input should be {text} (got {getattr(self, item.name)!r})."
                )

    @property
    def recipes(self) -> int:
        """Recipes of synthetic negatives that an anchor draws each time."""
        return 0

    def block(self) -> dict[str, Any]:
        """Return the whole `loss` block, defaults included, as JSON."""
        return {"kind": self.kind, **asdict(self)}


_SAID = {
    "gt": "greater than",
    "ge": "greater than or equal to",
    "lt": "less than",
    "le": "less than or equal to",
}
_HOLDS = {
    "gt": lambda value, bound: value > bound,
    "ge": lambda value, bound: value >= bound,
    "lt": lambda value, bound: value < bound,
    "le": lambda value, bound: value <= bound,
}
_TYPES: Mapping[type, tuple[str, tuple[type, ...]]] = {
    float: ("a number", (int, float)),
    int: ("a whole number", (int,)),
    bool: ("true or false", (bool,)),
    str: ("a word", (str,)),
}


def refused(value: Any, item: Field[Any]) -> str:
    """Say what the value of a setting should be; "" if it is that."""
    said, types = _TYPES[type(item.default)]
    if not isinstance(value, types) or (isinstance(value, bool) and bool not in types):
        return said
    bounds = dict(item.metadata)
    among = bounds.pop("among", None)
    if among and value not in among:
        return " or ".join(map(repr, among))
    # Not a number compares as false, so it is refused by any bound.
    broken = [name for name, bound in bounds.items() if not _HOLDS[name](value, bound)]
    return " and ".join(f"{_SAID[name]} {bounds[name]}" for name in broken)
