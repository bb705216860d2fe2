"""The dataset card: its header is YAML that names Parquet, and plans and pictures are told."""

import json

import pytest
import yaml
from tiny_pairset import add_plan, write_tiny_pairset

from curate.pipeline.card import card


@pytest.fixture
def body(tmp_path):
    tiny = write_tiny_pairset(tmp_path / "out", samples=60)
    members = [[0, 1, 2, 3], [4, 5, 6, 8]]
    facts = {"hardest": 0.8125, "hardest_random": 0.5, "false_negative_rate": 0.125}
    add_plan(tiny.root, members, "hard", "gcbs", facts=facts, split="a|b <c>\n`d")
    return {"assets": {}, **json.loads((tiny.root / "manifest.json").read_text())}


def test_the_header_names_parquet_of_pairs_and_samples(body):
    header = yaml.safe_load(card(body).split("---")[1])
    assert [item["config_name"] for item in header["configs"]] == ["pairs", "samples"]
    assert all(item["data_files"].endswith("*.parquet") for item in header["configs"])


def test_a_plan_is_a_row_beside_random_batches(body):
    lines = card(body).splitlines()
    (row,) = [line for line in lines if line.startswith("| `hard`")]
    assert row == (
        "| `hard` | gcbs (exact) | a\\|b \\<c> \\`d | 2 x 4 | 0.812 (0.500) | 12.50% (unknown) |"
    )
    assert lines[lines.index(row) - 1] == "|---|---|---|---|---|---|"


def test_generated_pictures_are_told_and_nothing_where_there_are_none(body):
    plain = card({**body, "plans": []})
    assert "Plans of batches" not in plain
    assert "Generated" not in plain
    made = {"clsp": {"assets": 480, "fidelity": "approximate", "count": 8}}
    assert "- `clsp`: 480 pictures (approximate), 8 an anchor" in card({**body, "assets": made})
    assert "\n\n\n" not in plain
