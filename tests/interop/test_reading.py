"""Every code block of docs/reading.md, run in a pairset's folder where `curate` cannot be imported.

What a block prints last is held against what the test works out by itself.
"""

import ast
import hashlib
import os
import re
import shutil
import subprocess
import sys
from collections import Counter, defaultdict
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from tiny_pairset import add_texts, edit, write_tiny_pairset

from curate.manifests.export import export

DOC = Path(__file__).parents[2] / "docs/reading.md"

EXPORTS = [
    ("triplets", "triplets", {}),
    ("captions", "triplets", {"anchor": "caption", "others": "caption"}),
    ("open_clip", "open-clip", {}),
    ("negclip", "negclip", {}),
    ("datacomp", "datacomp", {}),
    ("hub", "hf", {}),
]

BARRED = """
import sys

class Barred:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == "curate":
            raise ImportError("curate is barred here")

sys.meta_path.insert(0, Barred())
"""
AFTER = '\nimport sys\nassert not any(name.split(".")[0] == "curate" for name in sys.modules)\n'


def blocks():
    """Return (heading, number within it, code) of each block."""
    out, seen = [], Counter()
    for section in re.split(r"^##+ ", DOC.read_text(), flags=re.MULTILINE)[1:]:
        heading = section.splitlines()[0]
        for code in re.findall(r"```python\n(.*?)```", section, flags=re.DOTALL):
            seen[heading] += 1
            out.append((f"{heading} {seen[heading]}", code))
    return out


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    tiny = write_tiny_pairset(tmp_path_factory.mktemp("reading") / "out", files=3, tars=2)
    export(tiny.root, "webdataset", tiny.root / "packed", {"pairs_per_shard": 100})
    for name, to, options in EXPORTS:
        export(twin(tiny), to, tiny.root / name, options)
    return tiny


def twin(tiny):
    """Return the same pairset with uids and hard captions, which the document's has not."""
    root = tiny.root.parent / "twin"
    if not root.exists():
        shutil.copytree(tiny.root, root, ignore=shutil.ignore_patterns("packed"))
        add_texts(root, [[f"not {i}"] for i in range(300)])
        for file in range(3):
            with edit(root, "samples", file) as rows:
                for row in rows:
                    row["uid"] = hashlib.md5(row["key"].encode()).hexdigest()
    return root


def expected(tiny):
    """Return what each block must print, worked out from the builder's rows."""
    pairs = pq.read_table(tiny.root / "pairs").sort_by("pair_id").to_pylist()
    edges = pq.read_table(tiny.root / "edges").to_pylist()
    refused = Counter((e["miner"], e["reason"]) for e in edges if e["role"] == "refused")
    by_label = defaultdict(list)
    for edge in edges:
        if edge["role"] == "positive" and edge["similarity"] is not None:
            by_label[tiny.labels[edge["anchor_id"]]].append(edge["similarity"])
    negatives = sum(i >= 0 for pair in pairs for i in pair["negative_ids"])
    return {
        "DuckDB 1": [tiny.keys[i] for i in sorted(pairs[0]["negative_ids"])],
        "DuckDB 2": [(*name, count) for name, count in sorted(refused.items())],
        "Polars 1": negatives,
        "pandas 1": {k: pytest.approx(sum(v) / len(v), abs=1e-4) for k, v in by_label.items()},
        "pyarrow 1": 300,
        "Hugging Face datasets 1": "[32, 4] torch.float32",
        "webdataset 1": 300,
        "webdataset 2": "0 True",
        "sentence-transformers 1": [["anchor", "positive", "negative_1"], True],
        "sentence-transformers 2": True,
        "open_clip 1": f"{sum(map(len, tiny.captions))} {tiny.captions[0][0]}",
        "NegCLIP 1": "True True",
        "DataComp 1": "True 0",
        "A folder for a hub 1": f"{tiny.keys[pairs[0]['anchor_id']]} True",
        "numpy: embeddings 1": True,
        "Bytes of one image 1": True,
        "Is everything there? 1": [],
    }


@pytest.mark.parametrize(("name", "code"), blocks(), ids=[name for name, _ in blocks()])
def test_a_block_of_the_document_runs_without_curate(out, tmp_path, name, code):
    script = tmp_path / "block.py"
    script.write_text(BARRED + code + AFTER)
    done = subprocess.run(
        [sys.executable, str(script)],
        cwd=out.root,
        capture_output=True,
        text=True,
        env={**os.environ, "HF_HOME": str(tmp_path), "HF_HUB_OFFLINE": "1"},
    )
    assert done.returncode == 0, done.stderr
    printed, wanted = done.stdout.strip().splitlines()[-1], expected(out)[name]
    assert (printed if isinstance(wanted, str) else ast.literal_eval(printed)) == wanted


def test_every_block_has_an_expectation(out):
    assert {name for name, _ in blocks()} == set(expected(out))


def test_the_bar_holds(tmp_path):
    script = tmp_path / "block.py"
    script.write_text(BARRED + "import curate.manifests\n")
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True)
    assert "curate is barred here" in done.stderr


def test_column_types_are_ones_that_every_reader_knows(out):
    """No fixed-size lists, dictionaries, maps, unsigned or large types in any published table."""
    plain = re.compile(
        r"^(int64|int8|int32|float|double|string|timestamp\[us, tz=UTC\]|"
        r"list<element: (int64|float|int8|string) not null>)$"
    )
    files = set(out.root.rglob("*.parquet"))
    files -= {path for name, *_ in EXPORTS for path in (out.root / name).rglob("*")}
    for path in sorted(files):
        for field in pq.read_schema(path):
            assert plain.match(str(field.type)), f"{path}: {field}"
