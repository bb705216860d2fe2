"""Histograms, medians and refusals of `edges`, against numpy over the whole table."""

from collections import Counter

import numpy as np
import pytest

from curate.manifests.report.similarity import BINS, bin_of, quantile, scan_edges


@pytest.fixture(scope="module")
def facts(pairset):
    return scan_edges(pairset, 0)


def test_counts_equal_numpy(facts, rows):
    values, without = {}, Counter()
    for edge in rows("edges"):
        name = edge["role"], edge["miner"], edge["space"]
        if edge["similarity"] is None:
            without[name] += 1
        else:
            values.setdefault(name, []).append(edge["similarity"])
    assert {(s.role, s.miner, s.space) for s in facts.series} == set(values) | set(without)
    for series in facts.series:
        name = series.role, series.miner, series.space
        wanted, _ = np.histogram(np.clip(values.get(name, []), -1, 1), BINS, (-1, 1))
        assert series.counts.tolist() == wanted.tolist()
        assert series.without == without[name]
        if values.get(name):
            assert series.median == pytest.approx(np.median(values[name]), abs=0.02)


def test_refusals_and_roles_are_counted(facts, rows):
    edges = rows("edges")
    refused = Counter((e["miner"], e["reason"]) for e in edges if e["role"] == "refused")
    assert facts.refusals == dict(refused)
    assert facts.roles == dict(Counter(e["role"] for e in edges))


def test_the_hardest_negatives_are_found(facts, rows):
    known = [e for e in rows("edges") if e["role"] == "negative" and e["similarity"] is not None]
    known.sort(key=lambda e: (-e["similarity"], e["anchor_id"], e["other_id"]))
    wanted = [(e["anchor_id"], e["other_id"]) for e in known[: len(facts.interesting.hardest)]]
    assert facts.interesting.hardest == wanted
    assert len(wanted) == 512


def test_anchors_of_each_reason_are_drawn(facts, rows):
    truth = {}
    for edge in rows("edges"):
        truth.setdefault(edge["reason"], set()).add(edge["anchor_id"])
    for reason, anchors in facts.interesting.refused.items():
        assert reason != ""
        assert set(anchors) <= truth[reason]
    masked = {e["anchor_id"] for e in rows("edges") if e["role"] == "false_negative"}
    assert set(facts.interesting.masked) <= masked
    assert len(facts.interesting.masked) == min(128, len(masked))


def test_series_stand_in_the_order_of_roles_and_config(facts):
    assert [(s.role, s.miner) for s in facts.series] == [
        ("positive", "self_aug"),
        ("positive", "knn"),
        ("negative", "random"),
        ("negative", "hard"),
        ("false_negative", "topk_threshold"),
        ("refused", "knn"),
        ("refused", "topk_threshold"),
        ("refused", "hard"),
    ]


def test_similarities_beyond_one_fall_in_the_last_bins():
    assert bin_of(np.array([-1.0001, -1.0, 0.0, 0.999999, 1.0, 1.0004])).tolist() == [
        *(0, 0, BINS // 2),
        *(BINS - 1, BINS - 1, BINS - 1),
    ]


def test_quantiles_of_an_empty_histogram_are_unknown():
    assert quantile(np.zeros(BINS, np.int64), 0.5) is None
