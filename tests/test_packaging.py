"""What pip installs is what the tree holds; what a trainer imports stays light."""

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
HEAVY = ("ray", "faiss", "open_clip", "torchvision")


def test_every_package_is_listed():
    listed = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    found = {
        "curate." + ".".join(init.parent.relative_to(ROOT).parts)
        for floor in ("manifests", "stages", "pipeline")
        for init in (ROOT / floor).rglob("__init__.py")
    }
    assert set(listed) == {"curate", *found}
    assert listed == sorted(listed)


def test_root_holds_no_other_module():
    assert [path.name for path in ROOT.glob("*.py")] == ["__init__.py"]


def test_version_stands_in_one_form():
    import curate

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["version"] == curate.__version__


@pytest.mark.parametrize(
    "line",
    [
        "import curate.manifests",
        "from curate.manifests import PairStream",
        "from curate.manifests.consumer import train",
    ],
)
def test_a_trainer_imports_nothing_heavy(line):
    code = f"import sys\n{line}\nprint([m for m in {HEAVY!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_help_is_quick_to_import():
    code = (
        "import sys\nfrom curate.pipeline.cli import main\n"
        "main(['--help'], standalone_mode=False)\n"
        "print([m for m in ('torch', 'ray', 'pyarrow', 'numpy') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip().splitlines()[-1] == "[]"
