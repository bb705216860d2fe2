"""The house rules, held by a test: who may import whom, where a library may stand, file sizes."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FLOORS = {"manifests": set(), "stages": {"manifests"}, "pipeline": {"manifests", "stages"}}
HOMES = {
    "ray": ("pipeline/backends/ray.py",),
    "click": ("pipeline/cli/", "stages/embed/builtin/"),
    "faiss": ("stages/neighbors/",),
    "open_clip": (
        "stages/embed/open_clip.py",
        "stages/embed/builtin/",
        "manifests/consumer/open_clip.py",
    ),
    "pydantic": ("stages/", "pipeline/"),
    "rich": ("pipeline/",),
    "jinja2": ("manifests/report/",),
}
MAX_LINES = 400
MAX_FUNCTION_LINES = 60


def sources():
    return [path for floor in FLOORS for path in sorted((ROOT / floor).rglob("*.py"))]


def imports(path):
    """Yield each imported module with its package written out in full."""
    package = ("curate", *path.relative_to(ROOT).parts[:-1])
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            stem = ".".join((*base, *([node.module] if node.module else [])))
            yield stem
            yield from (f"{stem}.{alias.name}" for alias in node.names)


def floors_of(name):
    parts = name.split(".")
    return parts[1] if parts[0] == "curate" and len(parts) > 1 else None


@pytest.mark.parametrize("path", sources(), ids=lambda path: str(path.relative_to(ROOT)))
def test_a_floor_imports_only_those_below(path):
    floor = path.relative_to(ROOT).parts[0]
    for name in imports(path):
        target = floors_of(name)
        if target in FLOORS:
            assert target in FLOORS[floor] | {floor}, f"{path} imports {name}"


def test_rooms_of_stages_meet_through_artifacts_only():
    rooms = {path.name for path in (ROOT / "stages").iterdir() if path.is_dir()}
    for path in sorted((ROOT / "stages").rglob("*.py")):
        room = path.relative_to(ROOT / "stages").parts[0]
        for name in imports(path):
            parts = name.split(".")
            if parts[:2] == ["curate", "stages"] and len(parts) > 2 and parts[2] in rooms:
                trains_on_the_sample = (room, parts[2]) == ("embed", "sample_corpus")
                assert parts[2] == room or trains_on_the_sample, f"{path} imports {name}"


def test_miners_import_only_their_base():
    for kind in ("positives", "negatives", "false_negatives", "soft", "synthetic"):
        for path in sorted((ROOT / "stages/mining" / kind).glob("*.py")):
            for name in imports(path):
                own = name.startswith(f"curate.stages.mining.{kind}._")
                if name.startswith("curate.stages") and not own:
                    assert name.startswith("curate.stages.mining.base"), f"{path} imports {name}"


@pytest.mark.parametrize("library", sorted(HOMES))
def test_a_library_stands_in_its_home(library):
    for path in sources():
        where = path.relative_to(ROOT).as_posix()
        if any(name.split(".")[0] == library for name in imports(path)):
            assert where.startswith(HOMES[library]), f"{where} imports {library}"


@pytest.mark.parametrize("path", sources(), ids=lambda path: str(path.relative_to(ROOT)))
def test_files_and_functions_fit_a_screen_or_two(path):
    text = path.read_text()
    assert len(text.splitlines()) <= MAX_LINES
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef):
            assert node.end_lineno - node.lineno <= MAX_FUNCTION_LINES, f"{path}: {node.name}"


@pytest.mark.parametrize("path", sources(), ids=lambda path: str(path.relative_to(ROOT)))
def test_every_module_says_what_it_is(path):
    docstring = ast.get_docstring(ast.parse(path.read_text()))
    assert docstring
    assert len(docstring) > 10
