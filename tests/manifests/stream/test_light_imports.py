import subprocess
import sys

import pytest

HEAVY = {"ray", "faiss", "open_clip", "torchvision", "pydantic", "click"}


@pytest.mark.parametrize(
    ("code", "unwanted"),
    [
        ("import curate.manifests", HEAVY | {"torch", "pyarrow"}),
        ("from curate.manifests import Pairset", HEAVY | {"torch"}),
        ("from curate.manifests import PairStream", HEAVY),
        ("import curate.manifests.consumer", HEAVY),
    ],
)
def test_reading_a_pairset_needs_few_packages(code, unwanted):
    probe = f"import sys\n{code}\nprint(' '.join(sys.modules))"
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    assert not set(done.stdout.split()) & unwanted


def test_unknown_names_are_attribute_errors():
    import curate.manifests

    with pytest.raises(AttributeError, match="no attribute 'PairStraem'"):
        _ = curate.manifests.PairStraem
    for name in curate.manifests.__all__:
        assert getattr(curate.manifests, name)
