"""The two reference pages equal the code; every setting and key of a manifest has a meaning."""

import importlib.util
import json
import re
from pathlib import Path

import pyarrow as pa
import pytest
from runs import curate, vector_config, vector_corpus

from curate.manifests import schema
from curate.manifests.meanings import MANIFEST_KEYS, MEANINGS
from curate.pipeline.config import BatchEntry, Config, Entry, SelectorEntry

DOCS = Path(__file__).parent.parent.parent / "docs"
OPEN = (
    "config",
    "clusters",
    "cluster_id",
    "mask_schedules",
    "versions",
    "fidelity",
    "attributes",
    "quality",
    "loss",
)
"""Keys of the manifest whose own keys follow what a run does."""


def load():
    spec = importlib.util.spec_from_file_location("docs_generate", DOCS / "generate.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


generate = load()


@pytest.mark.parametrize("name", sorted(generate.pages()))
def test_a_page_equals_the_code(name):
    assert (DOCS / name).read_text() == generate.pages()[name], "run: make docs"


def test_every_setting_has_a_meaning():
    rows = re.findall(r"^\| `([\w.]+)` \| (.*) \| (.*) \| (.*) \|$", generate.config_page(), re.M)
    assert len(rows) > 50
    without = [key for key, kind, _, text in rows if not text or not kind]
    assert not without, f"a docstring below the field is missing: {without}"


def test_every_list_of_components_is_on_the_page():
    lists = [
        name
        for name, info in Config.model_fields.items()
        if info.annotation in (tuple[Entry, ...], tuple[BatchEntry, ...], tuple[SelectorEntry, ...])
    ]
    assert lists
    assert set(lists) == set(generate.FAMILIES), "name its package in docs/generate.py"


def test_types_in_words():
    field = Config.model_fields["seed"]
    assert generate.type_text(field.annotation, field.metadata).startswith("int (at least 0, below")
    assert generate.type_text(int | None, []) == "int or null"
    assert generate.type_text(tuple[str, ...], []) == "list of text"
    assert generate.type_text(tuple[float, float], []) == "[number, number]"
    assert generate.type_text(schema.Action, []).startswith("`eliminate` or ")


def test_a_meaning_stands_below_its_field_or_among_the_attributes():
    class Sized(Entry):
        """A model.

        Attributes:
            low, high: both ends
                of it.
        """

        low: int = 0
        high: int = 1
        depth: int = 2
        """How deep
        it goes."""

    found = generate.meanings_of(Sized)
    assert found["low"] == found["high"] == "both ends of it."
    assert found["depth"] == "How deep it goes."


@pytest.mark.parametrize(("table", "layout"), generate.LAYOUTS.items())
def test_every_column_is_on_the_page(table, layout):
    page = (DOCS / "format.md").read_text()
    section = page.split(f"## {table}\n")[1].split("\n## ")[0]
    assert re.findall(r"^\| `(\w+)` \|", section, re.M)[: len(layout.names)] == layout.names
    assert set(MEANINGS[table]) == set(layout.names)


def test_every_table_is_on_the_page():
    known = {name for layout in generate.LAYOUTS.values() for name in layout.names}
    for name, layout in vars(schema).items():
        if isinstance(layout, pa.Schema):
            assert set(layout.names) <= known, f"add {name} to LAYOUTS of docs/generate.py"
    assert set(MEANINGS) == set(generate.LAYOUTS)


@pytest.fixture(scope="module")
def manifest(tmp_path_factory):
    folder = tmp_path_factory.mktemp("docs")
    corpus = vector_corpus(folder / "corpus", rows=120)
    graph = {"image>image": {"k": 16, "correct": "csls"}}
    config = vector_config(corpus, folder / "c.yaml", neighbors=graph)
    curate("run", config, "-o", folder / "out", "--ray", "off")
    return json.loads((folder / "out" / "manifest.json").read_text())


def test_every_key_of_a_manifest_has_a_meaning(manifest):
    patterns = [re.compile(pattern_of(key)) for key in MANIFEST_KEYS]
    unknown = [
        path for path in leaves(manifest) if not any(pattern.match(path) for pattern in patterns)
    ]
    assert not unknown, f"say in manifests/meanings.py what they mean: {unknown}"


def test_every_meaning_is_of_a_key_that_is_there(manifest):
    there = set(leaves(manifest))
    sometimes = {"index.SPACE.nprobe", "index.SPACE.probe_recall"}
    sometimes |= {f"counts.{name}" for name in "VSTY"}
    for key in set(MANIFEST_KEYS) - sometimes:
        path = key.replace("GRAPH", "image>image").replace("SPACE", "image")
        path = path.replace("TABLE", "neighbors/image>image").removesuffix("[]")
        assert any(leaf == path or leaf.startswith((f"{path}.", f"{path}[")) for leaf in there), key


def pattern_of(key):
    """Return what matches the paths below a documented key; an empty list has no entries."""
    pattern = re.escape(key).replace(r"\[\]", r"(\[\])?")
    for name, form in (("GRAPH", "[^.]+>[^.]+"), ("SPACE", "[a-z]+"), ("TABLE", "[^.]+")):
        pattern = pattern.replace(name, form)
    return pattern + r"(\..*)?$"


def leaves(value, path=""):
    """Yield dotted paths; lists by their first entry, open mappings as one."""
    if (
        isinstance(value, dict)
        and value
        and path not in OPEN
        and not path.endswith(("settings", "facts"))
    ):
        for key, item in value.items():
            yield from leaves(item, f"{path}.{key}" if path else key)
    elif isinstance(value, list) and value and isinstance(value[0], dict):
        yield from leaves(value[0], f"{path}[]")
    else:
        yield path
