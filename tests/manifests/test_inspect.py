"""The numbers of `inspect`, held against DuckDB, scipy and numpy over the same tables."""

import json

import duckdb
import numpy as np
import pytest
from scipy.stats import skew
from tiny_pairset import edit, write_tiny_pairset

from curate.manifests.inspect import inspect, render


@pytest.fixture(scope="module")
def facts(tiny):
    return inspect(tiny.root)


def sql(tiny, query):
    tables = {t: f"'{tiny.root}/{t}/*.parquet'" for t in ("edges", "pairs", "samples", "rejects")}
    return duckdb.execute(query.format(**tables)).fetchall()


def test_edges_by_role_and_miner_equal_sql(facts, tiny):
    expected = sql(
        tiny,
        "select role, miner, space, count(*), count(similarity), quantile_disc(similarity, 0.5), "
        "quantile_disc(similarity, 0.9) from {edges} group by role, miner, space",
    )
    found = {(r["role"], r["miner"], r["space"]): r for r in facts["similarities"]}
    assert len(found) == len(expected)
    for *name, edges, measured, middle, high in expected:
        row = found[tuple(name)]
        assert (row["edges"], row["measured"]) == (edges, measured)
        if measured:
            assert row["quantiles"]["p50"] == pytest.approx(middle, abs=0.02)
            assert row["quantiles"]["p90"] == pytest.approx(high, abs=0.02)
        else:
            assert row["quantiles"] == {}


def test_quantiles_are_exact_to_a_thousandth(facts, tiny):
    values = [r[0] for r in sql(tiny, "select similarity from {edges} where reason = 'threshold'")]
    values += [
        r[0]
        for r in sql(
            tiny,
            "select similarity from {edges} where miner = 'topk_threshold' and reason = 'positive'",
        )
    ]
    row = next(
        r for r in facts["similarities"] if (r["role"], r["miner"]) == ("refused", "topk_threshold")
    )
    for name, value in row["quantiles"].items():
        expected = np.quantile(values, int(name[1:]) / 100, method="lower")
        assert value == pytest.approx(expected, abs=1.01e-3), name


def test_refusals_equal_sql(facts, tiny):
    query = "select miner, reason, count(*) from {edges} where reason != '' group by miner, reason"
    found = {(m, r): n for m, part in facts["refused"].items() for r, n in part.items()}
    assert found == {(m, r): n for m, r, n in sql(tiny, query)}


def test_coverage_equals_sql(facts, tiny):
    kinds = tiny.manifest["kinds"]
    query = f"""
        select avg((list_contains(positive_kinds, {kinds.index("knn")}))::int),
               avg((list_contains(negative_kinds, {kinds.index("hard")}))::int),
               avg((false_negative_ids[1] >= 0)::int),
               avg(len(list_filter(positive_ids, lambda x: x >= 0)))
        from {{pairs}}"""
    positive, negative, masked, length = sql(tiny, query)[0]
    coverage = facts["coverage"]
    assert coverage["anchors_with_mined_positive"] == pytest.approx(positive, abs=1e-6)
    assert coverage["anchors_with_hard_negative"] == pytest.approx(negative, abs=1e-6)
    assert coverage["anchors_with_false_negative"] == pytest.approx(masked, abs=1e-6)
    assert coverage["positives_a_row"] == pytest.approx(length, abs=1e-6)


def test_hubness_equals_scipy(facts, tiny):
    query = f"select unnest(neighbor_ids) from '{tiny.root}/neighbors/image_to_image/*.parquet'"
    ids = np.array([row[0] for row in duckdb.execute(query).fetchall()])
    counts = np.bincount(ids[ids >= 0], minlength=300)
    found = facts["hubness"]["image>image"]
    assert found["skewness"] == pytest.approx(skew(counts), abs=1e-3)
    assert found["max"] == counts.max()
    assert found["top1_share"] == pytest.approx(np.sort(counts)[-3:].sum() / counts.sum(), abs=1e-6)
    assert found["orphans"] == pytest.approx((counts == 0).mean(), abs=1e-6)


def test_samples_rejects_splits(facts, tiny):
    assert facts["rejects"] == tiny.manifest["quality"]["rejects_by_code"]
    assert facts["samples"]["with_caption"] == sum(bool(texts) for texts in tiny.captions)
    assert facts["samples"]["captions"] == sum(map(len, tiny.captions))
    assert facts["splits"] == {name: tiny.splits.count(name) for name in ("train", "val")}
    assert facts["spaces"]["caption"]["missing"] == 7


def test_it_is_json_and_text(facts):
    assert json.loads(json.dumps(facts)) == facts
    text = render(facts)
    for word in ("topk_threshold", "truncated_image", "image>caption", "mutuality", "judged by"):
        assert word in text


def test_what_cannot_be_judged_is_called_unknown(facts):
    rate = {"value": None, "low": None, "high": None, "source": "unknown", "judged": 0}
    assert "unknown: no labels" in render({**facts, "false_negative_rate": rate})


def test_empty_lists_and_tables(tmp_path):
    root = write_tiny_pairset(tmp_path, samples=20, K=0, F=0).root
    with edit(root, "rejects") as rows:
        rows.clear()
    facts = inspect(root)
    assert facts["coverage"]["random_negatives"] == 0.0
    assert facts["hubness"]["negatives of pairs"]["orphans"] == 1.0
    assert "none" in render(facts)
