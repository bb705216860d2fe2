"""The label oracle against SQL."""

import pytest
from mined import GRAPH, edges, mine, pairs

from curate.stages.mining.false_negatives.label import Label
from curate.stages.mining.positives.knn import Knn

SQL = """
    select g.a, g.b from graph g join samples x on x.id = g.a join samples y on y.id = g.b
    where g.rank < {k} and len(list_intersect(x.labels, y.labels)) > 0
"""


@pytest.mark.parametrize("action", ["eliminate", "attract"])
@pytest.mark.parametrize("k", [1, 8, 500])
def test_label_equals_sql(make_world, action, k):
    world = make_world().build()
    knn = pairs(mine(world, Knn(k=2), "knn", GRAPH), "positive")
    found = mine(world, Label(k=k, action=action), "label", GRAPH, "edges:knn")
    expected = set(world.sql().execute(SQL.format(k=k)).fetchall()) - knn
    assert pairs(found, "false_negative") == expected
    assert pairs(found, "positive") == (expected if action == "attract" else set())
    assert {row["reason"] for row in edges(found, "refused")} <= {"positive", "other_label"}


def test_without_labels_there_are_none(make_world):
    world = make_world(labels=[[]] * 120).build()
    found = mine(world, Label(), "label", GRAPH)
    assert pairs(found, "false_negative") == set()
