"""Which round a run is, and where its near-duplicates are found."""

import copy
import json

import pytest
from runs import vector_config, vector_corpus
from tiny_pairset import edit_manifest, write_tiny_pairset

from curate.manifests.errors import ConfigError
from curate.manifests.pairset import Pairset
from curate.pipeline import plan
from curate.pipeline.config import load
from curate.pipeline.resolve import Request, resolve
from curate.pipeline.rounds import FROZEN, Round, keep_groups
from curate.pipeline.runner import Node
from curate.pipeline.yaml_file import parse
from curate.stages.embed.checkpoint import Checkpoint
from curate.stages.embed.stage import Embed
from curate.stages.mining.stage import Mine

BUILTIN = {"of": "image", "encoder": "builtin"}
TRAINED = {"of": "image", "encoder": "checkpoint", "path": "train"}


@pytest.fixture
def parent(tmp_path):
    """A pairset whose config says where near-duplicates were found."""
    write_tiny_pairset(tmp_path / "out1", samples=60)

    def describe(manifest):
        manifest["round"] = 2
        manifest["config"] = {
            "spaces": {"image": BUILTIN, "caption": {"of": "caption", "encoder": "builtin"}},
            "neighbors": {"image>image": {"k": 17, "correct": None}},
            "duplicates": {"space": None, "threshold": 0.97},
        }

    with edit_manifest(tmp_path / "out1") as manifest:
        describe(manifest)
    return tmp_path / "out1"


def body(parent, **changes):
    return {
        "round_of": str(parent),
        "spaces": {"image": dict(TRAINED)},
        "neighbors": {"image>image": {"k": 9}},
        **changes,
    }


def test_a_round_counts_on_from_its_parent(parent):
    assert Round.after(None) == Round(0, ())
    assert Round.after(str(parent)) == Round(3, (Pairset.open(parent).manifest_id,))
    with pytest.raises(ConfigError, match=r"round_of: .* is not a pairset"):
        Round.after(str(parent.parent))


def test_groups_stay_in_the_space_of_the_parent(parent):
    made = body(parent)
    keep_groups(made)
    assert made["spaces"] == {"image": TRAINED, FROZEN: BUILTIN}
    assert made["duplicates"] == {"space": FROZEN, "threshold": 0.97}
    assert made["neighbors"][f"{FROZEN}>{FROZEN}"] == {"k": 17, "correct": None}
    assert made["neighbors"]["image>image"] == {"k": 9}


def test_a_space_that_did_not_change_is_not_made_twice(parent):
    made = body(parent, spaces={"image": BUILTIN})
    keep_groups(made)
    assert list(made["spaces"]) == ["image"]
    assert made["duplicates"]["space"] == "image"


@pytest.mark.parametrize(
    ("changes", "duplicates"),
    [
        ({"duplicates": {"threshold": 0.9}}, {"threshold": 0.9, "space": FROZEN}),
        ({"duplicates": {"space": "image"}}, {"threshold": 0.97, "space": FROZEN}),
        ({"duplicates": {"space": "other"}}, {"space": "other"}),
        ({"round_of": None}, None),
        ({"round_of": 7}, None),
    ],
)
def test_what_the_config_says_of_duplicates_is_stronger(parent, changes, duplicates):
    made = body(parent, **changes)
    keep_groups(made)
    assert made.get("duplicates") == duplicates


def test_a_parent_without_that_graph_leaves_all_as_it_is(parent):
    with edit_manifest(parent) as manifest:
        manifest["config"]["neighbors"] = {}
    made = body(parent)
    before = copy.deepcopy(made)
    keep_groups(made)
    assert made == before


def test_the_third_round_finds_duplicates_where_the_first_did(parent):
    second = body(parent)
    keep_groups(second)
    with edit_manifest(parent) as manifest:
        manifest["config"] = {key: second[key] for key in ("spaces", "neighbors", "duplicates")}
    third = body(parent, spaces={"image": {**TRAINED, "path": "train2"}})
    keep_groups(third)
    assert third["spaces"][FROZEN] == BUILTIN
    assert third["duplicates"] == second["duplicates"]


def test_miners_draw_anew_in_each_round(tmp_path):
    corpus = vector_corpus(tmp_path / "corpus", rows=300)
    path = vector_config(corpus, tmp_path / "c.yaml")
    config = load(parse(json.dumps(json.loads(path.read_text())), "c.yaml"))
    nodes = plan.build_nodes(config, plan.open_corpus(config), 8 << 30, 3)
    mines = [node.stage for node in nodes if isinstance(node.stage, Mine)]
    assert {stage.round for stage in mines} == {3}


def test_a_checkpoint_of_another_pairset_is_refused(monkeypatch):
    monkeypatch.setattr(Checkpoint, "trained_on", lambda self: "sha256:a")
    stage = Embed(space="image", encoder=Checkpoint(path="train"))
    nodes = [Node("vectors:image", stage, {})]
    Round(1, ("sha256:a",)).check(nodes)
    Round().check(nodes)
    with pytest.raises(ConfigError, match=r"trained on sha256:a\. Name the pairset"):
        Round(1, ("sha256:b",)).check(nodes)


def test_an_encoder_of_images_leaves_captions_alone(tmp_path):
    (tmp_path / "photos").mkdir()
    spaces = "{image: {of: image, encoder: builtin}, caption: {of: caption, encoder: builtin}}"
    path = tmp_path / "c.yaml"
    path.write_text(f"corpus: {{source: '{tmp_path}/photos'}}\nspaces: {spaces}\n")
    config = resolve(Request(str(path), encoder="checkpoint:train"))
    assert config.spaces["image"].encoder == "checkpoint"
    assert config.spaces["image"].settings == {"path": "train"}
    assert config.spaces["caption"].encoder == "builtin"
    path.write_text(path.read_text().replace("image: {of: image, encoder: builtin}, ", ""))
    with pytest.raises(ConfigError, match="it embeds image, and the config has no such space"):
        resolve(Request(str(path), encoder="checkpoint:train"))
