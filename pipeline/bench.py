"""The scripts of `benchmarks/`: which there are, and one run of some of them as a table.

A benchmark is a script with a `__main__` block: the first line of its docstring is its title, and a
line `Quick: ARGUMENTS` there gives the sizes that take about a minute. Another file of the folder
is a helper of these. A new script is found by its name; nothing is listed here.
"""

from __future__ import annotations

import ast
import os
import re
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..manifests.errors import UsageError
from ..stages.registry import suggestion

FOLDER = Path(__file__).parents[1] / "benchmarks"
"""Where they stand in a source checkout; a wheel has none of them."""
_MAIN = 'if __name__ == "__main__":'
_QUICK = re.compile(r"^Quick: *(.*)$", re.MULTILINE)
_CELL = re.compile(r"(?<!\\)\|")


@dataclass(frozen=True)
class Benchmark:
    """A script: its name, its title, and the arguments of its quick run."""

    name: str
    path: Path
    title: str
    quick: tuple[str, ...]


@dataclass(frozen=True)
class Ran:
    """A run of a script.

    Attributes:
        name: of the script.
        seconds: on the clock.
        exit_code: of the process.
        output: lines that it printed.
        tables: its Markdown tables, a dictionary a row.
    """

    name: str
    seconds: float
    exit_code: int
    output: list[str]
    tables: list[list[dict[str, str]]]


def benchmarks() -> dict[str, Benchmark]:
    """Return all benchmarks by name.

    Raises:
        UsageError: there is no folder of them: this is not a source checkout.
    """
    if not FOLDER.is_dir():
        raise UsageError(
            f"no benchmarks are here ({FOLDER} is missing): an installed package leaves them out. "
            "They stand in the folder benchmarks/ of the source, beside pyproject.toml; install "
            'that with pip install -e ".[dev]" and try again.'
        )
    found = (_read(path) for path in sorted(FOLDER.glob("*.py")))
    return {item.name: item for item in found if item is not None}


def _read(path: Path) -> Benchmark | None:
    text = path.read_text(encoding="utf-8")
    if _MAIN not in text:
        return None
    about = ast.get_docstring(ast.parse(text)) or ""
    quick = _QUICK.search(about)
    words = shlex.split(quick.group(1)) if quick else []
    return Benchmark(path.stem, path, about.split("\n", 1)[0], tuple(words))


def chosen(names: Sequence[str]) -> list[Benchmark]:
    """Return the named benchmarks, all where none is named.

    Raises:
        UsageError: there is none of a name.
    """
    known = benchmarks()
    asked = [name.replace("-", "_") for name in names] or list(known)
    for name in asked:
        if name not in known:
            raise UsageError(
                f"no benchmark is called {name!r}.{suggestion(name, list(known))} "
                f"Known: {', '.join(known)}."
            )
    return [known[name] for name in dict.fromkeys(asked)]


def run(benchmark: Benchmark, quick: bool, echo: Callable[[str], None]) -> Ran:
    """Run a benchmark in a process of its own, on one thread where it does not say otherwise.

    Args:
        benchmark: to run.
        quick: with the arguments of its quick run.
        echo: is told each line as it is printed.
    """
    command = [sys.executable, str(benchmark.path), *(benchmark.quick if quick else ())]
    env = {"OMP_NUM_THREADS": "1", **os.environ, "PYTHONUNBUFFERED": "1"}
    lines: list[str] = []
    begun = time.monotonic()
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=env) as process:
        for line in process.stdout or ():
            lines.append(line.rstrip("\n"))
            echo(lines[-1])
    seconds = round(time.monotonic() - begun, 1)
    return Ran(benchmark.name, seconds, process.returncode, lines, tables(lines))


def tables(lines: Sequence[str]) -> list[list[dict[str, str]]]:
    """Return the Markdown tables among some lines: one dictionary a row, by the header's words."""
    found: list[list[dict[str, str]]] = []
    header: list[str] = []
    for line, below in zip(lines, [*lines[1:], ""], strict=False):
        cells = [cell.strip() for cell in _CELL.split(line.strip().strip("|"))]
        if not line.lstrip().startswith("|"):
            header = []
        elif not header and _is_rule(below):
            header = cells
            found.append([])
        elif header and not _is_rule(line):
            found[-1].append(dict(zip(header, cells, strict=False)))
    return found


def _is_rule(line: str) -> bool:
    return bool(re.fullmatch(r"\|[-:| ]+\|?", line.strip()))


def summary(runs: Sequence[Ran]) -> str:
    """Return the table of what ran, how long, and how it ended."""
    rows = [f"| {item.name} | {item.seconds:.1f} | {_ended(item.exit_code)} |" for item in runs]
    return "\n".join(["| benchmark | seconds | ended |", "|---|---|---|", *rows])


def _ended(code: int) -> str:
    return "well" if code == 0 else f"exit code {code}"
