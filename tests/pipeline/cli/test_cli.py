"""The surface of the command line: its commands, its help, its exit codes."""

import click
import pytest
from click.testing import CliRunner

from curate.manifests import errors
from curate.pipeline.cli import main
from curate.pipeline.cli.common import guarded

COMMANDS = [
    "ask",
    "bench",
    "diff",
    "explain",
    "export",
    "init",
    "inspect",
    "recipes",
    "report",
    "run",
    "sample",
    "train",
]


def invoke(*arguments):
    return CliRunner().invoke(main, list(arguments))


def test_the_commands_are_those_of_the_contract():
    assert sorted(main.list_commands(click.Context(main))) == [*COMMANDS, "verify", "view"]


@pytest.mark.parametrize("name", [*COMMANDS, "verify", "view"])
def test_every_help_has_an_example(name):
    text = invoke(name, "--help").output
    assert "Example" in text
    assert f"curate {name}" in text
    assert "\\b" not in text
    assert any(line.strip().startswith(f"curate {name}") for line in text.splitlines())


def test_the_first_page_keeps_its_lines():
    lines = [line.strip() for line in invoke("--help").output.splitlines()]
    assert "curate inspect demo/out" in lines


def test_a_misspelt_command_or_option_is_suggested():
    result = invoke("rnu")
    assert result.exit_code == 2
    assert "Did you mean 'run'?" in result.output
    result = invoke("inspect", "--jsn", "x")
    assert result.exit_code == 2
    assert "--json" in result.output


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.DataError("x"), 1),
        (errors.ResourceError("x"), 1),
        (errors.ConfigError("x"), 2),
        (errors.UsageError("x"), 2),
        (errors.Interrupted("x"), 3),
        (OSError(13, "x: no right"), 1),
        (KeyboardInterrupt(), 3),
    ],
)
def test_errors_leave_as_a_sentence_and_a_code(error, code):
    @click.command()
    @guarded
    def command():
        raise error

    result = CliRunner().invoke(command)
    assert result.exit_code == code
    assert "Traceback" not in result.output
    assert result.stderr.startswith(("error: x", "interrupted"))


def test_recipes_are_listed_and_shown():
    text = invoke("recipes").output
    assert "nv-retriever" in text
    text = invoke("recipes", "nnclr").output
    assert "Dwibedi" in text
    assert "miner: knn" in text
    wrong = invoke("recipes", "nnclrr")
    assert wrong.exit_code == 2
    assert "Did you mean 'nnclr'" in wrong.stderr
