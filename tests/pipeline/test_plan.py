import json

import pytest
from runs import vector_config, vector_corpus

from curate.manifests.errors import ConfigError
from curate.pipeline import estimate, plan
from curate.pipeline.config import load
from curate.pipeline.resolve import Request, resolve
from curate.pipeline.yaml_file import parse


@pytest.fixture
def path(tmp_path):
    corpus = vector_corpus(tmp_path / "corpus", rows=300)
    return vector_config(corpus, tmp_path / "c.yaml")


def config_of(path, **changes):
    body = {**json.loads(path.read_text()), **changes}
    return load(parse(json.dumps(body), "c.yaml"))


def nodes_of(config):
    return plan.build_nodes(config, plan.open_corpus(config), 8 << 30)


def test_every_node_comes_after_those_that_feed_it(path):
    seen = set()
    for node in nodes_of(config_of(path)):
        assert set(node.sources.values()) <= seen
        assert node.name not in seen
        seen.add(node.name)
    assert {"scan", "census", "samples", "groups", "assemble", "final_pairs"} <= seen


def test_miners_run_positives_first_and_fillers_last_of_their_role(path):
    ids = [item.id for item in plan.planned_miners(config_of(path))]
    assert ids == ["knn", "label", "self_aug", "topk_threshold", "hard", "random"]


def test_two_entries_of_one_miner_have_two_ids(path):
    twice = [{"miner": "knn", "k": 1}, {"miner": "knn", "k": 2}, {"miner": "self_aug"}]
    ids = [item.id for item in plan.planned_miners(config_of(path, positives=twice))]
    assert ids[:3] == ["knn", "knn-2", "self_aug"]


def test_no_negatives_need_no_filler(path):
    config = config_of(path, negatives=[], output={"negatives": 0})
    assert "random" not in [item.id for item in plan.planned_miners(config)]


def test_speed_is_not_in_a_name_and_results_are(path):
    config = config_of(path)
    reader = plan.open_corpus(config)

    def identities(chosen, memory):
        found = plan.build_nodes(chosen, reader, memory)
        return {node.name: json.dumps(node.stage.identity(), sort_keys=True) for node in found}

    base = identities(config, 8 << 30)
    assert identities(config, 1 << 30) == base
    other = identities(config_of(path, seed=1), 8 << 30)
    assert other["scan"] == base["scan"]
    assert other["mine:random"] != base["mine:random"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"spaces": {"image": {"of": "image", "encoder": "array", "pth": "x"}}},
            r"spaces.image.pth: unknown key. Did you mean 'path'\?",
        ),
        ({"spaces": {"image": {"of": "image", "encoder": "array"}}}, "needs `path`"),
        (
            {"spaces": {"image": {"of": "audio", "encoder": "builtin"}}},
            "embeds image, caption, not 'audio'",
        ),
        (
            {"spaces": {"image": {"of": "image", "encoder": "builtinn"}}},
            r"no encoder is called 'builtinn'. Did you mean 'builtin'\?",
        ),
        ({"negatives": [{"miner": "hard", "space": "a>b"}]}, "miner hard needs neighbors: a>b"),
        ({"duplicates": {"space": "other"}}, "add neighbors: other>other"),
        ({"corpus": {"source": "x", "format": "folderr"}}, "folder"),
    ],
)
def test_what_cannot_work_is_said_before_any_work(path, changes, message):
    with pytest.raises(ConfigError, match=message):
        nodes_of(config_of(path, **changes))


def test_a_plan_says_parts_memory_disk_and_time(path):
    config = resolve(Request(str(path)))
    reader = plan.open_corpus(config)
    needs = estimate.estimate(config, reader, nodes_of(config), workers=2)
    assert needs.corpus.rows == 300
    assert needs.corpus.exact
    assert needs.disk_bytes > 300 * 32 * 2
    by_name = {line.node: line for line in needs.lines}
    assert by_name["vectors:image"].parts == 2
    assert by_name["census"].parts == 1
    assert json.dumps(needs.to_json())
    assert "300 inputs" in needs.text


def test_pairs_that_a_miner_measures_cost_time(path):
    def seconds(pool):
        miner = {"miner": "bcl", "count": pool}
        config = config_of(path, negatives=[miner], output={"negatives": 4})
        needs = estimate.estimate(config, plan.open_corpus(config), nodes_of(config), workers=1)
        return next(line.core_seconds for line in needs.lines if line.node == "mine:bcl")

    more = seconds(1000) - seconds(100)
    assert more == pytest.approx(300 * 900 / estimate.MEASURE_RATE)


def test_memory_of_a_plan_grows_only_with_what_is_announced(path):
    config = resolve(Request(str(path)))
    assert estimate.part_rows(1_000) == 256
    assert estimate.part_rows(100_000) == 1563
    assert estimate.part_rows(10**9) == 8192
    assert config.budget.memory == "auto"


@pytest.mark.parametrize(
    ("batches", "text"),
    [
        (
            [{"planner": "b4"}],
            "no planner is called 'b4'. Known: b3, batchsampler",
        ),
        ([{"planner": "b3", "sise": 3}], r"batches\[0\].sise: unknown key. Did you mean 'size'\?"),
        ([{"planner": "b3", "size": 100}], "must be a multiple of group"),
        ([{"planner": "b3"}], "needs 130 neighbours of image>image, which has k = 16"),
        ([{"planner": "gcbs", "graph": "image>sound"}], "image>sound, which is not in the config"),
        ([{"planner": "kmeans", "space": "sound"}], "needs the space 'sound'. Spaces: image"),
    ],
)
def test_planners_that_cannot_work_are_refused(path, batches, text):
    with pytest.raises(ConfigError, match=text):
        nodes_of(config_of(path, batches=batches))


def test_planners_get_what_they_name_and_a_space_to_be_judged_in(path):
    batches = [{"planner": "random"}, {"planner": "gcbs", "depth": 9}, {"planner": "random"}]
    nodes = {node.name: node for node in nodes_of(config_of(path, batches=batches))}
    assert {"plan:random", "plan:random-2", "final_plan:gcbs"} <= set(nodes)
    judged = {"samples", "pairs", "vectors:image"}
    assert set(nodes["plan:random"].sources) == judged
    assert set(nodes["plan:gcbs"].sources) == {*judged, "graph:image>image"}
    assert nodes["plan:random"].sources["pairs"] == "final_pairs"


def test_a_view_of_given_vectors_is_refused(path):
    spaces = json.loads(path.read_text())["spaces"]
    spaces["image"]["view"] = 2
    config = config_of(path, spaces=spaces)
    with pytest.raises(ConfigError, match="a view is a crop of a picture"):
        nodes_of(config)
