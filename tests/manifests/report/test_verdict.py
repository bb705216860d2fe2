"""Each number that asks for a look is said to, and no other."""

import copy
from dataclasses import replace

import numpy as np
import pytest

from curate.manifests.report.corpus import scan_samples
from curate.manifests.report.fills import Side, scan_pairs
from curate.manifests.report.graph import scan_graph
from curate.manifests.report.verdict import judge, percent


@pytest.fixture
def parts(pairset):
    """Facts of a pairset that has nothing wrong with it."""
    manifest = copy.deepcopy(dict(pairset.manifest))
    rate = {"value": 0.009, "low": 0.007, "high": 0.011, "source": "label", "judged": 2000}
    manifest["quality"]["false_negative_rate"] = rate
    pairs = scan_pairs(pairset, 1, 0)
    pairs = replace(
        pairs,
        positives=Side(2, np.array([0, 0, 600]), {"knn": 1200}, 0, 0),
        negatives=Side(4, np.array([0, 0, 0, 12, 588]), {"hard": 2340, "random": 48}, 48, 0),
    )
    graphs = [replace(scan_graph(pairset, "image>image"), skewness=1.0)]
    return {
        "manifest": manifest,
        "pairs": pairs,
        "samples": scan_samples(pairset, 0),
        "graphs": graphs,
    }


def looks(parts):
    return {f.title: f.text for f in judge(**parts) if f.level == "look"}


def said(parts, title):
    return next(f.text for f in judge(**parts) if f.title == title)


def test_a_sound_pairset_asks_for_nothing(parts):
    assert looks(parts) == {}
    text = said(parts, "Hard negatives").replace("\N{NO-BREAK SPACE}", " ")
    assert text == "4 of 4 filled for 98.0 % of anchors; 2.0 % of the places hold random fill."
    text = said(parts, "False negatives").replace("\N{NO-BREAK SPACE}", " ")
    assert text.startswith("0.9 % of 2,000 judged negatives share the anchor’s label (95 %: 0.70 %")


def test_a_high_false_negative_rate(parts):
    parts["manifest"]["quality"]["false_negative_rate"]["value"] = 0.2
    assert "False negatives" in looks(parts)


def test_the_rate_without_the_random_fill_is_told(parts):
    parts["manifest"]["quality"] |= {"hard_judged_by_label": 100, "hard_false_by_label": 25}
    assert "25.0\N{NO-BREAK SPACE}% without the random fill" in said(parts, "False negatives")


def test_an_unknown_rate_is_said_to_be_unknown(parts):
    parts["manifest"]["quality"]["false_negative_rate"] = {"value": None, "source": "unknown"}
    assert said(parts, "False negatives").startswith("Unknown")
    assert looks(parts) == {}


def test_many_rejects(parts):
    parts["manifest"]["counts"]["rejects"] = 60
    assert "60 of 660 inputs" in looks(parts)["Rejects"]


def test_recall_below_what_was_asked(parts):
    entry = parts["graphs"][0].entry
    low = {**entry, "recall": {**entry["recall"], "value": 0.91}}
    parts["graphs"] = [replace(parts["graphs"][0], entry=low)]
    assert "0.9100" in looks(parts)["Neighbours image>image"]


def test_recall_that_nobody_measured(parts):
    parts["graphs"] = [replace(parts["graphs"][0], entry={})]
    assert said(parts, "Neighbours image>image") == "Recall was not measured."


def test_hubs(parts):
    parts["graphs"] = [replace(parts["graphs"][0], skewness=9.0)]
    assert list(looks(parts)) == ["Hubs of image>image"]


@pytest.mark.parametrize(
    ("side", "asks"),
    [
        (Side(4, np.array([0, 0, 0, 300, 300]), {"hard": 2100}, 0, 0), True),
        (Side(4, np.array([0, 0, 0, 0, 600]), {"hard": 1200, "random": 1200}, 1200, 0), True),
        (Side(4, np.array([0, 0, 0, 0, 600]), {"random": 2400}, 2400, 600), False),
        (Side(0, np.array([600]), {}, 0, 0), False),
    ],
)
def test_thin_negatives(parts, side, asks):
    parts["pairs"] = replace(parts["pairs"], negatives=side)
    assert ("Hard negatives" in looks(parts)) == asks


def test_anchors_with_no_positive_but_themselves(parts):
    side = Side(2, np.array([0, 400, 200]), {"knn": 400, "self_aug": 400}, 400, 400)
    parts["pairs"] = replace(parts["pairs"], positives=side)
    assert "66.7" in looks(parts)["Positives"]
    side = Side(1, np.array([0, 600]), {"self_aug": 600}, 600, 600)
    parts["pairs"] = replace(parts["pairs"], positives=side)
    assert "Positives" not in looks(parts)


def test_low_coverage(parts):
    samples = parts["samples"]
    few = [replace(samples.coverage[0], samples=100), *samples.coverage[1:]]
    parts["samples"] = replace(samples, coverage=few)
    assert "images: 16.7" in looks(parts)["Low coverage"]


def test_the_built_in_encoder_is_called_what_it_is(parts):
    assert not any(finding.title == "Encoder" for finding in judge(**parts))
    entry = {"of": "image", "encoder": {"class": "curate.stages.embed.builtin:Builtin"}}
    parts["manifest"]["embeddings"] = {"image": entry}
    assert "rendered scenes only" in said(parts, "Encoder")


def test_no_pairs(parts):
    parts["pairs"] = replace(parts["pairs"], rows=0, masking=0)
    assert "Pairs" in looks(parts)


@pytest.mark.parametrize(
    ("share", "text"),
    [(0, "0"), (1, "100"), (0.98, "98.0"), (0.99999, "99.9"), (0.00001, "<0.1"), (0.009, "0.9")],
)
def test_shares_are_never_rounded_to_all_or_nothing(share, text):
    assert percent(share) == f"{text}\N{NO-BREAK SPACE}%"
