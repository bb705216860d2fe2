"""The benchmarks by name, one of them run, and the tables that are read out of a page."""

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from curate.manifests.errors import UsageError
from curate.pipeline import bench
from curate.pipeline.cli import main

ROOT = Path(__file__).parents[2]


def scripts():
    """Return the files of benchmarks/ that can be started, by their syntax tree."""
    found = []
    for path in sorted((ROOT / "benchmarks").glob("*.py")):
        tests = [ast.unparse(node.test) for node in ast.parse(path.read_text()).body
                 if isinstance(node, ast.If)]  # fmt: skip
        if "__name__ == '__main__'" in tests:
            found.append(path)
    return found


def invoke(*arguments):
    return CliRunner().invoke(main, ["bench", *arguments])


def test_every_script_is_listed_with_its_title():
    result = invoke("--list")
    assert result.exit_code == 0, result.output
    lines = {line.split()[0]: line for line in result.output.splitlines()}
    assert sorted(lines) == [path.stem for path in scripts()]
    for path in scripts():
        title = ast.get_docstring(ast.parse(path.read_text())).splitlines()[0]
        assert lines[path.stem].endswith(title)
    facts = json.loads(invoke("--list", "--json").output)
    assert [item["name"] for item in facts] == sorted(lines)


@pytest.mark.parametrize("path", scripts(), ids=lambda path: path.stem)
def test_the_quick_arguments_are_ones_that_the_script_knows(path):
    item = bench.benchmarks()[path.stem]
    known = {
        node.args[0].value
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "add_argument"
    }
    assert {word for word in item.quick if word.startswith("--")} <= known


def test_a_quick_one_runs_and_its_table_is_read(tmp_path):
    command = [sys.executable, "-m", "curate.pipeline.cli", "bench", "sample-corpus", "--quick"]
    done = subprocess.run([*command, "--json"], capture_output=True, text=True, cwd=tmp_path)
    (ran,) = json.loads(done.stdout)
    # Its floor is one of speed, which a busy machine may miss: what counts is that it ran.
    assert ran["exit_code"] == done.returncode
    assert ran["exit_code"] in (0, 1)
    (table,) = ran["tables"]
    assert [row["what"] for row in table][:2] == ["64 px", "128 px"]
    assert all(float(row["a second"].replace(",", "")) > 0 for row in table)
    assert list(tmp_path.iterdir()) == []


def fake(folder, name, body, about="A title."):
    (folder / f"{name}.py").write_text(f'"""{about}"""\nif __name__ == "__main__":\n    {body}\n')


def test_a_failure_is_told_and_the_others_still_run(tmp_path, monkeypatch):
    monkeypatch.setattr(bench, "FOLDER", tmp_path)
    fake(tmp_path, "first", "raise SystemExit(3)")
    fake(tmp_path, "second", "import sys; print(sys.argv[1:])", "A title.\n\nQuick: --rows '1 2'\n")
    (tmp_path / "helper.py").write_text('"""No benchmark."""\n')
    result = invoke("--quick")
    assert result.exit_code == 1
    assert "['--rows', '1 2']" in result.output
    rows = [line for line in result.output.splitlines() if line.startswith("|")]
    assert [row.split("|")[1].strip() for row in rows[2:]] == ["first", "second"]
    assert "exit code 3" in rows[2]
    assert "well" in rows[3]
    assert "[]" in invoke("second").output
    assert "helper" not in invoke("--list").output


def test_wrong_names_and_a_missing_folder_are_refused(tmp_path, monkeypatch):
    with pytest.raises(UsageError, match="Did you mean 'stream'"):
        bench.chosen(["steam"])
    monkeypatch.setattr(bench, "FOLDER", tmp_path / "none")
    result = invoke("--list")
    assert result.exit_code == 2
    assert "source" in result.output


def test_tables_are_read_out_of_a_page():
    page = ["text | with a bar", "| a | b |", "|---|--:|", "| 1 | 2 \\| 3 |", "", "|x|", "|---|"]
    assert bench.tables(page) == [[{"a": "1", "b": "2 \\| 3"}], []]
    assert bench.tables(["| a |", "| b |"]) == []
