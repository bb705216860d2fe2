"""YAML read strictly: where each value stands, no key twice, numbers that are numbers.

PyYAML's own traps are closed here: `1e-4` is a number, `on` / `no` / `off` / `yes` are words,
`010` is ten, and a key given twice is an error instead of a silent overwrite.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import yaml

from ..manifests.errors import ConfigError

Path = tuple[str | int, ...]


@dataclass(frozen=True)
class Document:
    """A parsed YAML text.

    Attributes:
        name: file name, for messages.
        body: the values.
        lines: by path of keys and positions, the (line, column) of the value, from 1.
    """

    name: str
    body: dict[str, Any]
    lines: dict[Path, tuple[int, int]] = field(default_factory=dict)

    def place(self, path: Sequence[str | int]) -> str:
        """Return "file:line:column" of a value, or of the nearest part of its path."""
        steps = tuple(path)
        while steps and steps not in self.lines:
            steps = steps[:-1]
        if steps not in self.lines:
            return self.name
        line, column = self.lines[steps]
        return f"{self.name}:{line}:{column}"


class _Loader(yaml.SafeLoader):
    """SafeLoader with its own list of implicit types."""


_Loader.yaml_implicit_resolvers = {
    first: [item for item in items if item[0].rsplit(":", 1)[1] in {"null", "merge"}]
    for first, items in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:bool", re.compile(r"^(?:true|false|True|False)$"), list("tfTF")
)
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:int", re.compile(r"^[-+]?[0-9][0-9_]*$"), list("-+0123456789")
)
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(
        r"^[-+]?(?:[0-9][0-9_]*\.[0-9_]*(?:[eE][-+]?[0-9]+)?"
        r"|[0-9][0-9_]*[eE][-+]?[0-9]+|\.[0-9]+(?:[eE][-+]?[0-9]+)?|\.inf|\.nan)$"
    ),
    list("-+.0123456789"),
)


def _integer(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> int:
    return int(str(loader.construct_scalar(node)).replace("_", ""), 10)


_Loader.add_constructor("tag:yaml.org,2002:int", _integer)


def parse(text: str, name: str) -> Document:
    """Parse a YAML mapping.

    Args:
        text: the YAML text.
        name: what messages call it.

    Raises:
        ConfigError: not YAML, not a mapping, or a key that stands twice; names file and line.
    """
    loader = _Loader(text)
    try:
        root = loader.get_single_node()
        lines: dict[Path, tuple[int, int]] = {}
        if root is not None:
            _note_lines(root, (), lines, name)
        body = loader.construct_document(root) if root is not None else {}
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{name}:{mark.line + 1}:{mark.column + 1}" if mark else name
        problem = getattr(error, "problem", None) or str(error)
        raise ConfigError(f"{where}: not valid YAML: {problem}.") from error
    finally:
        loader.dispose()
    if not isinstance(body, dict):
        raise ConfigError(f"{name}: a mapping is expected at the top, such as `corpus: ...`.")
    return Document(name, body, lines)


def scalar(text: str) -> Any:
    """Return the value of one YAML scalar or flow expression: "0.5", "true", "[1, 2]"."""
    return parse(f"value: {text}", "--set").body["value"]


def _note_lines(node: yaml.Node, path: Path, lines: dict[Path, tuple[int, int]], name: str) -> None:
    lines[path] = (node.start_mark.line + 1, node.start_mark.column + 1)
    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            word = str(key.value)
            if word in seen:
                line = key.start_mark.line + 1
                raise ConfigError(f"{name}:{line}: {word!r} stands twice; keep one of them.")
            seen.add(word)
            _note_lines(value, (*path, word), lines, name)
    elif isinstance(node, yaml.SequenceNode):
        for position, value in enumerate(node.value):
            _note_lines(value, (*path, position), lines, name)
