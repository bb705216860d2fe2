"""What answers imply, against networkx: paths of yes, and a no between two of its components."""

import itertools

import networkx as nx
import numpy as np

from curate.manifests.questions.implied import Closure, Told, ToldPairs


def answers(seed, n=40, count=45):
    rng = np.random.default_rng(seed)
    kinds = rng.integers(0, 3, n)
    found = []
    for _ in range(count):
        a, b = rng.choice(n, 2, replace=False).tolist()
        said = "yes" if kinds[a] == kinds[b] else "no"
        if rng.random() < 0.15:
            said = rng.choice(["yes", "no", "unsure"]).item()
        found.append((a, b, said))
    return found


def reference(n, given):
    graph = nx.Graph([(a, b) for a, b, said in given if said == "yes"])
    graph.add_nodes_from(range(n))
    part = {node: at for at, nodes in enumerate(nx.connected_components(graph)) for node in nodes}
    no = [(a, b) for a, b, said in given if said == "no"]
    torn = {part[a] for a, b in no if part[a] == part[b]}
    apart = {frozenset((part[a], part[b])) for a, b in no}
    asked = {frozenset((a, b)) for a, b, _ in given}

    def told(a, b):
        if frozenset((a, b)) in asked:
            return Told.ASKED
        if {part[a], part[b]} & torn:
            return Told.CONFLICT
        if part[a] == part[b]:
            return Told.SAME
        return Told.DIFFERENT if frozenset((part[a], part[b])) in apart else Told.NOTHING

    return told


def test_every_pair():
    n, met = 40, set()
    pairs = np.array(list(itertools.permutations(range(n), 2)))
    for seed in range(12):
        given = answers(seed, count=20 + 4 * seed)
        told = reference(n, given)
        asked = np.array([(a, b) for a, b, _ in given])
        found = ToldPairs.of(n, asked, Closure(given)).tell(pairs[:, 0], pairs[:, 1])
        expected = [told(a, b) for a, b in pairs.tolist()]
        assert found.tolist() == expected
        met |= set(expected)
    assert met == set(Told)


def test_nothing_is_known_without_answers():
    nobody = ToldPairs.of(5, np.zeros((0, 2), np.int64), Closure())
    assert nobody.tell(np.array([0, 1]), np.array([1, 4])).tolist() == [0, 0]


def test_a_chain_of_a_hundred_thousand_needs_no_deep_stack():
    closure = Closure((i, i + 1, "yes") for i in range(100_000))
    assert closure.root(0) == closure.root(100_000)
    closure.add(0, 100_000, "no")
    assert closure.contradicted() == [(0, 100_000)]
