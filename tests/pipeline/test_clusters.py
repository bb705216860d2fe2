"""Sets of clusters in a config: what is refused, what is planned, what is published."""

import json

import duckdb
import pytest
from runs import curate, vector_config, vector_corpus

from curate.manifests.errors import ConfigError
from curate.pipeline import estimate, plan
from curate.pipeline.config import load
from curate.pipeline.resolve import Request, resolve
from curate.pipeline.yaml_file import parse

SETS = {"fine": {"space": "image", "levels": [20, 5]}, "coarse": {"space": "image", "k": 3}}


@pytest.fixture
def path(tmp_path):
    corpus = vector_corpus(tmp_path / "corpus", rows=300)
    return vector_config(corpus, tmp_path / "c.yaml")


def nodes_of(path, **changes):
    body = {**json.loads(path.read_text()), "clusters": SETS, **changes}
    config = load(parse(json.dumps(body, indent=1), "c.yaml"))
    reader = plan.open_corpus(config)
    nodes = plan.build_nodes(config, reader, 8 << 30)
    estimate.estimate(config, reader, nodes, 2)
    return {node.name: node for node in nodes}


def test_a_set_has_four_nodes_and_feeds_its_miner(path):
    nodes = nodes_of(path, positives=[{"miner": "cluster", "clusters": "fine", "level": 1}])
    for kind in ("centroids", "clusters", "ranks", "final_clusters"):
        assert f"{kind}:fine" in nodes
    assert {"clusters:fine", "ranks:fine"} <= set(nodes["mine:cluster"].sources)
    assert "clusters" not in nodes["final_samples"].sources


def test_a_miner_that_masks_by_clusters_publishes_them(path):
    ifnd = [{"miner": "ifnd", "clusters": "fine", "level": 1}]
    nodes = nodes_of(path, false_negatives=ifnd)
    samples = nodes["final_samples"]
    assert samples.sources["ranks"] == "ranks:fine"
    assert samples.stage.level == nodes["assemble"].stage.cluster_level == 1


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"clusters": {"a": {"space": "imag"}}}, "Did you mean 'image'"),
        ({"clusters": {"a": {"space": "image", "k": 0}}}, "clusters.a.k"),
        ({"clusters": {"a": {"space": "image", "kk": 3}}}, "unknown key"),
        ({"clusters": {"a": {}}}, "give `space`"),
        ({"output": {"cluster": "fin"}}, "Did you mean 'fine'"),
        ({"output": {"cluster": "fine.2"}}, "levels 0 .* to 1, not 2"),
        ({"positives": [{"miner": "cluster", "clusters": "nope"}]}, "miner cluster: no set"),
        ({"positives": [{"miner": "knn", "within": "coarse", "level": 1}]}, "miner knn: .*to 0"),
        (
            {
                "false_negatives": [{"miner": "ifnd", "clusters": "fine"}],
                "output": {"cluster": "coarse"},
            },
            "must stand in the column",
        ),
        (
            {
                "false_negatives": [
                    {"miner": "ifnd", "clusters": "fine"},
                    {"miner": "ifnd", "clusters": "coarse"},
                ]
            },
            "must stand in the column",
        ),
    ],
)
def test_what_cannot_be_is_refused_before_any_work(path, changes, said):
    with pytest.raises(ConfigError, match=said):
        nodes_of(path, **changes)


@pytest.mark.parametrize("name", ["cmsf", "terrain", "xdc", "ifnd"])
def test_a_recipe_brings_its_clusters(path, name):
    body = json.loads(path.read_text())
    body["spaces"]["caption"] = {**body["spaces"]["image"], "of": "caption"}
    for section in ("positives", "negatives", "false_negatives"):
        body.pop(section)
    path.write_text(json.dumps(body))
    config = resolve(Request(str(path), recipes=[name]))
    assert list(config.clusters) == [name]
    assert config.output.cluster in (name, None)
    assert {f"clusters:{name}"} <= {
        node.name for node in plan.build_nodes(config, plan.open_corpus(config), 8 << 30)
    }


def test_two_recipes_with_clusters_combine(path):
    sets = ["loss.kind=infonce"]
    config = resolve(Request(str(path), recipes=["cmsf", "terrain"], sets=sets))
    assert list(config.clusters) == ["cmsf", "terrain"]
    assert config.output.cluster == "cmsf"


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    folder = tmp_path_factory.mktemp("clusters")
    corpus = vector_corpus(folder / "corpus", rows=400)
    config = vector_config(
        corpus,
        folder / "c.yaml",
        clusters=SETS,
        positives=[
            {"miner": "cluster", "clusters": "coarse", "count": 2},
            {"miner": "knn", "space": "image>image", "k": 3, "within": "fine", "level": 1},
        ],
        false_negatives=[{"miner": "ifnd", "clusters": "fine", "level": 1, "k": 8}],
    )
    curate("run", config, "-o", folder / "out", "--ray", "off", "--no-report")
    return folder / "out"


def test_the_published_columns_are_those_of_the_set(out):
    table = duckdb.sql(f"""
        select s.cluster_id, s.accept_rank, c.cluster_ids[2], c.accept_ranks[2], p.cluster_id
        from '{out}/samples/*.parquet' s
        join '{out}/clusters/fine/*.parquet' c using (sample_id)
        join '{out}/pairs/*.parquet' p on p.anchor_id = s.sample_id
    """).fetchall()
    assert len(table) == 400
    assert all(row[0] == row[2] == row[4] and row[1] == row[3] for row in table)
    assert sorted(row[1] for row in table) == list(range(400))


def test_the_manifest_says_what_was_clustered_and_what_masks(out):
    manifest = json.loads((out / "manifest.json").read_text())
    fine = manifest["clusters"]["fine"]
    sizes = duckdb.sql(f"""
        select count(*) n from '{out}/clusters/fine/*.parquet' group by cluster_ids[1]
    """).fetchall()
    assert [level["clusters"] for level in fine["levels"]] == [20, 5]
    assert fine["levels"][0]["max"] == max(sizes)[0]
    assert manifest["cluster_id"] == {"clusters": "fine", "level": 1}
    (schedule,) = manifest["mask_schedules"]
    assert (schedule["column"], schedule["accept"]) == ("cluster_id", "accept_rank")
    assert (schedule["from"], schedule["to"], schedule["ranked"]) == (0, 1, 400)
    assert manifest["counts"]["V"] == 1


def test_it_is_sound_and_explained(out):
    curate("verify", out)
    said = curate("explain", out, "item-0010").stdout
    assert "both in cluster" in said
    assert "(coarse, level 0)" in said
    assert "the anchor is in cluster" in said
    assert "from progress 0." in said
    assert "fine.1" in curate("inspect", out).stdout


def test_clusters_are_found_before_selectors_read_them_and_among_all_samples(path):
    nodes = nodes_of(path, selection=[{"selector": "semdedup", "clusters": "fine"}])
    assert nodes["measure:semdedup"].sources["clusters:fine"] == "clusters:fine"
    assert "ranks:fine" not in nodes["measure:semdedup"].sources
    assert list(nodes).index("clusters:fine") < list(nodes).index("measure:semdedup")
    assert set(nodes["centroids:fine"].sources) == {"samples", "vectors"}
    assert "selected:semdedup" not in nodes


def test_clusters_after_a_selector_see_what_it_and_those_before_it_keep(path):
    nodes = nodes_of(
        path,
        clusters={**SETS, "late": {"space": "image", "k": 4, "after": "top_score"}},
        selection=[
            {"selector": "semdedup", "clusters": "fine"},
            {"selector": "top_score", "spaces": "image>image"},
            {"selector": "dbp", "clusters": "late", "among": "kept"},
        ],
    )
    assert nodes["centroids:late"].sources["selected"] == "selected:top_score"
    assert set(nodes["selected:top_score"].sources) == {"select:semdedup", "select:top_score"}
    assert "selected" not in nodes["clusters:late"].sources
    names = list(nodes)
    assert names.index("select:top_score") < names.index("clusters:late")
    assert names.index("clusters:late") < names.index("measure:dbp")


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ({"clusters": "fin"}, "selector semdedup: no set .* Did you mean 'fine'"),
        ({"clusters": "coarse", "level": 1}, "levels 0 .* to 0, not 1"),
        ({"clusters": "late"}, "found after dbp: it must stand behind"),
        ({"clusters": "fine", "space": "imag"}, "needs spaces: imag"),
        ({"clusters": "other"}, "compares vectors of image, but clusters other are of twin"),
        ({"clusters": "places"}, "clusters places are of places: name one space"),
        ({"clusters": "fine", "eps": -1}, r"selection\[0\].eps"),
        ({"clusters": "fine", "selector": "hierarchical", "pick": "best"}, r"selection\[0\].pick"),
    ],
)
def test_a_selector_that_cannot_be_is_refused_before_any_work(path, entry, said):
    body = json.loads(path.read_text())
    spaces = {**body["spaces"], "twin": body["spaces"]["image"]}
    sets = {
        **SETS,
        "late": {"space": "image", "after": "dbp"},
        "other": {"space": "twin"},
        "places": {"by": ["lat", "lon"]},
    }
    entries = [{"selector": "semdedup", **entry}, {"selector": "dbp", "clusters": "fine"}]
    with pytest.raises(ConfigError, match=said):
        nodes_of(path, spaces=spaces, clusters=sets, selection=entries)


def test_clusters_after_a_selector_that_is_not_there_are_refused(path):
    sets = {"late": {"space": "image", "after": "semdedupp"}}
    with pytest.raises(ConfigError, match=r"clusters.late.after: no selector .* Selectors: none"):
        nodes_of(path, clusters=sets)
    sets["early"] = {"space": "image"}
    with pytest.raises(ConfigError, match="Did you mean 'semdedup'"):
        nodes_of(path, clusters=sets, selection=[{"selector": "semdedup", "clusters": "early"}])


def test_no_clusters_no_columns(tmp_path):
    corpus = vector_corpus(tmp_path / "corpus", rows=120)
    config = vector_config(corpus, tmp_path / "c.yaml")
    curate("run", config, "-o", tmp_path / "out", "--ray", "off", "--no-report")
    manifest = json.loads((tmp_path / "out/manifest.json").read_text())
    assert (manifest["clusters"], manifest["cluster_id"]) == ({}, None)
    columns = duckdb.sql(f"select * from '{tmp_path}/out/samples/*.parquet'").columns
    assert "accept_rank" not in columns
    assert not list((tmp_path / "out").glob("clusters/*"))
