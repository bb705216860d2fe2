"""The rule of each planner against plain numpy, scipy or networkx."""

from typing import Any

import networkx as nx
import numpy as np
import pytest
from pydantic import ValidationError
from scipy.sparse import csr_matrix

from curate.manifests.errors import DataError
from curate.stages.batches._centroids import assign
from curate.stages.batches._joint import select
from curate.stages.batches._losses import Encoder, Sigmoid, Softmax
from curate.stages.batches.batchsampler import BatchSampler, proximity
from curate.stages.batches.gcbs import Gcbs
from curate.stages.batches.grit import Grit, chain
from curate.stages.batches.jest import Jest
from curate.stages.batches.kmeans import KMeans
from curate.stages.batches.learnability import Learnability
from curate.stages.batches.pk import Pk, deal


def vectors(pool, space="image"):
    return pool.vectors[space].rows(pool.anchors).astype(np.float64)


def hardest(pool, batches):
    x = vectors(pool)
    values = []
    for rows in batches:
        s = x[rows] @ x[rows].T
        s[pool.groups[rows][:, None] == pool.groups[rows]] = -1
        values.append(s.max(axis=1).mean())
    return np.mean(values)


def test_clusters_are_those_of_the_nearest_centroid_and_zero_rows_have_none(pool):
    found = assign(pool, "image", 8, 10)
    x = vectors(pool)
    assert ((found == -1) == ~x.any(axis=1)).all()
    assert (found == -1).sum() == 1
    centroids = np.stack([x[found == c].mean(axis=0) for c in range(8)])
    centroids /= np.linalg.norm(centroids, axis=1, keepdims=True)
    agree = (x @ centroids.T).argmax(axis=1) == found
    assert agree[found >= 0].mean() > 0.97  # the last step, and rounding, move a few


def test_kmeans_batches_are_of_one_cluster_as_far_as_they_can_be(pool):
    made = KMeans(size=16, clusters=8).compose(pool)
    found = assign(pool, "image", 8, 10)
    pure = [len(set(found[rows])) == 1 for rows in made.places]
    whole = sum(count // 16 for count in np.bincount(found[found >= 0]))
    assert sum(pure) >= whole
    assert made.facts["one_cluster_share"] == pytest.approx(whole / len(made.places), abs=1e-6)
    assert hardest(pool, made.places) > hardest(pool, np.arange(384).reshape(-1, 16)) + 0.05


def test_kmeans_takes_labels_instead(pool):
    made = KMeans(size=16, by="label")
    assert made.space_names == ()
    labels = pool.columns["label"]
    places = made.compose(pool).places
    whole = sum(count // 16 for count in np.bincount(labels[labels >= 0]))
    assert [len(set(labels[rows])) for rows in places[:whole]] == [1] * whole


def test_gcbs_is_a_narrower_order_of_the_most_similar_pairs(pool):
    made = Gcbs(size=16, edges=6, depth=40).compose(pool)
    ids, sims = pool.graphs["image>image"].rows(pool.anchors)
    place = {int(sample): at for at, sample in enumerate(pool.anchors)}
    listed = sorted(
        (-sims[a, r], a, place[int(b)])
        for a, row in enumerate(ids)
        for r, b in enumerate(row)
        if int(b) in place
    )[: 6 * len(pool)]
    edges = {(min(a, b), max(a, b)) for _, a, b in listed}
    assert made.facts["entries"] == pytest.approx(len(edges), abs=6)  # ties at the threshold
    order = made.places.reshape(-1)
    assert len(np.unique(order)) == len(order)
    at = np.full(len(pool), -1)
    at[order] = np.arange(len(order))
    rows, others = np.array(sorted(edges)).T
    matrix = csr_matrix((np.ones(len(rows)), (rows, others)), (len(pool), len(pool))).tocoo()
    kept = (at[matrix.row] >= 0) & (at[matrix.col] >= 0)
    after = np.abs(at[matrix.row] - at[matrix.col])[kept]
    assert after.mean() < np.abs(matrix.row - matrix.col).mean() / 2
    assert made.facts["mean_after"] < made.facts["mean_before"] / 2
    assert made.facts["bandwidth_after"] < made.facts["bandwidth_before"]
    assert hardest(pool, made.places) > hardest(pool, np.arange(384).reshape(-1, 16)) + 0.05


def test_gcbs_leaves_first_ranks_out(pool):
    ids, _ = pool.graphs["image>image"].rows(pool.anchors)
    made = Gcbs(size=16, edges=500, skip=10, depth=20).compose(pool)
    inside = np.isin(ids[:, 10:30], pool.anchors)
    place = {int(sample): at for at, sample in enumerate(pool.anchors)}
    graph = nx.Graph(
        (a, place[int(ids[a, 10 + r])]) for a, r in zip(*np.nonzero(inside), strict=True)
    )
    assert made.facts["entries"] == graph.number_of_edges()
    assert made.facts["threshold"] is None


def test_proximity_edges_are_the_nearest_of_the_candidates(pool):
    n = len(pool)
    x = vectors(pool)
    graph = proximity(pool, "image", 30, 5)
    assert graph.shape == (n, 5)
    similarity = np.take_along_axis(x @ x.T, graph.astype(int), axis=1)
    real = graph != np.arange(n)[:, None]
    falling = np.diff(np.where(real, similarity, -2), axis=1)
    assert (falling <= 1e-6).all()
    assert (
        pool.groups[graph][real] != np.broadcast_to(pool.groups[:, None], real.shape)[real]
    ).all()
    wide = proximity(pool, "image", 300, 5)
    assert np.take_along_axis(x @ x.T, wide.astype(int), axis=1).mean() > similarity.mean() + 0.05


def test_walks_stay_near_and_share_rows_only_when_told(pool):
    settings: dict[str, Any] = {"size": 16, "candidates": 300, "edges": 8}
    alone = BatchSampler(**settings).compose(pool)
    assert alone.facts["uses_most"] == 1
    shared = BatchSampler(overlap=True, **settings).compose(pool)
    uses = np.bincount(shared.places.reshape(-1))
    assert shared.facts["uses_most"] == uses.max() > 1
    assert all(len(set(rows)) == 16 for rows in shared.places.tolist())
    chance = hardest(pool, np.arange(384).reshape(-1, 16))
    few = BatchSampler(size=16, candidates=8, edges=8).compose(pool)
    assert hardest(pool, shared.places) > hardest(pool, few.places) > chance - 0.02
    with pytest.raises(ValidationError, match="must not exceed candidates"):
        BatchSampler(candidates=5, edges=6)


def test_walks_end_where_no_edge_leads_out(make_pool):
    pool = make_pool(count=64)
    pool.vectors["image"].vectors[:] = 0  # all ties: candidates stand in the order of the draw
    made = BatchSampler(size=16, candidates=1, edges=1, restart=0.9, patience=3).compose(pool)
    assert made.places.shape == (4, 16)
    assert made.facts["jumps"] > 0


@pytest.mark.parametrize("seed", range(3))
def test_consecutive_rows_of_a_chain_are_argmax_among_what_is_left(seed):
    s = np.random.default_rng(seed).normal(size=(40, 40)).round(1)  # with ties
    walk = chain(s).tolist()
    assert sorted(walk) == list(range(40))
    for step in range(1, 40):
        left = sorted(walk[step:])
        row = s[walk[step - 1]] if step % 2 else s[:, walk[step - 1]]
        best = max(row[other] for other in left)
        assert walk[step] == next(other for other in left if row[other] == best)


def test_grit_batches_stay_in_their_windows(pool):
    made = Grit(size=16, window=64).compose(pool)
    order = pool.shuffled("batches/grit/windows")
    window = np.empty(len(pool), int)
    window[order] = np.arange(len(pool)) // 64
    assert all(len(set(window[rows])) == 1 for rows in made.places)
    with pytest.raises(ValidationError, match="must not be smaller"):
        Grit(size=128, window=64)


@pytest.mark.parametrize(
    ("classes", "width"), [(8, 8), (8, 3), (7, 5), (100, 12), (2, 2), (13, 12)]
)
def test_classes_are_dealt_evenly_and_once_a_batch(classes, width):
    dealt = deal(classes, width, 29, 4)
    assert dealt.shape == (29, width)
    assert all(len(set(batch)) == width for batch in dealt.tolist())
    uses = np.bincount(dealt.reshape(-1), minlength=classes)
    assert uses.max() - uses.min() <= 1


def test_pk_batches_hold_each_class_k_times(pool):
    made = Pk(size=24, samples=4).compose(pool)
    labels = pool.columns["label"]
    for rows in made.places:
        codes, counts = np.unique(labels[rows], return_counts=True)
        assert counts.tolist() == [4] * 6
        assert codes.min() >= 0
        assert len(set(rows.tolist())) == 24
    assert made.facts["without_class"] == (labels < 0).sum() > 0
    uses = np.bincount(made.places.reshape(-1), minlength=len(pool))
    for code in range(8):
        mine = uses[labels == code]
        assert mine.max() - mine.min() <= 1


def test_small_classes_are_over_sampled_and_declared(make_pool):
    pool = make_pool(count=200)
    labels = pool.columns["label"]
    labels[labels == 3] = -1
    labels[5] = 3  # a class of one
    made = Pk(size=400, samples=4).compose(pool)
    assert made.places.shape == (200 // 32, 32)
    assert made.facts["classes_below_k"] == 1
    assert made.facts["row_uses_most"] == 4 * len(made.places)
    assert (made.places == 5).sum() == 4 * len(made.places)
    labels[:] = 0
    with pytest.raises(DataError, match="has 1 classes here"):
        Pk().compose(pool)


def sigmoid_scores(pool, scale, bias):
    """-L_ref of every image and text, from the formula."""
    logits = scale * vectors(pool) @ vectors(pool, "caption").T + bias
    sign = np.where(np.eye(len(pool), dtype=bool), 1, -1)
    return np.log(1 / (1 + np.exp(-sign * logits)))


def test_selection_follows_the_conditional_scores_step_by_step(pool):
    s = sigmoid_scores(pool, 5, -3)
    rows = np.arange(0, 300, 3)
    noise = np.random.default_rng(1).random((100, 5))
    scores = Sigmoid(pool, [Encoder("image", "caption", -1, 5, -3)])
    chosen = select(scores, rows, 20, 5, noise)
    table = s[np.ix_(rows, rows)]
    taken: list[int] = []
    for step in range(5):
        keys = [
            -np.inf
            if i in taken
            else table[i, i]
            + sum(table[i, j] + table[j, i] for j in taken)
            - np.log(-np.log(noise[i, step]))
            for i in range(100)
        ]
        taken += sorted(range(100), key=lambda i: -keys[i])[:4]
    assert chosen.tolist() == taken


def softmax_score(table, i, others):
    """The loss of row i whose negatives are `others`, from the formula."""
    if not others:
        return -table[i, i]
    rows, columns = np.exp(table[i, others]).sum(), np.exp(table[others, i]).sum()
    return -table[i, i] + (np.log(rows) + np.log(columns)) / 2


@pytest.mark.parametrize("learner", [False, True])
def test_softmax_selection_knows_the_chosen_rows_only(pool, learner):
    strong = 12 * vectors(pool) @ vectors(pool, "caption").T
    weak = 12 * vectors(pool, "caption") @ vectors(pool).T
    encoders = [Encoder("image", "caption", -1, 12, 0)]
    encoders += [Encoder("caption", "image", 1, 12, 0)] * learner
    rows = np.arange(0, 300, 3)
    noise = np.random.default_rng(2).random((100, 5))
    chosen = select(Softmax(pool, encoders), rows, 20, 5, noise)
    tables = [(-1, strong[np.ix_(rows, rows)])] + [(1, weak[np.ix_(rows, rows)])] * learner
    taken: list[int] = []
    for step in range(5):
        keys = [
            -np.inf
            if i in taken
            else sum(sign * softmax_score(table, i, taken) for sign, table in tables)
            - np.log(-np.log(noise[i, step]))
            for i in range(100)
        ]
        taken += sorted(range(100), key=lambda i: -keys[i])[:4]
    assert chosen.tolist() == taken
    batch = rows[chosen]
    expected = np.mean(
        [
            sum(sign * softmax_score(t, i, [j for j in taken if j != i]) for sign, t in tables)
            for i in taken
        ]
    )
    assert Softmax(pool, encoders).of_batch(batch) == pytest.approx(expected)


def test_softmax_jest_is_better_than_chance_and_another_choice(make_pool):
    pool = make_pool(count=800)
    made = Jest(size=40, chunks=4, loss="softmax", scale=20).compose(pool)
    assert made.places.shape == (4, 40)
    assert made.facts["z"] > 1
    other = Jest(size=40, chunks=4, scale=20).compose(pool)
    assert not np.array_equal(np.sort(made.places), np.sort(other.places))
    shifted = Jest(size=40, chunks=4, loss="softmax", scale=20, bias=3).compose(pool)
    np.testing.assert_array_equal(made.places, shifted.places)


def test_jest_chooses_a_fifth_of_each_super_batch_and_better_than_chance(make_pool):
    pool = make_pool(count=800)
    made = Jest(size=40, chunks=4, scale=10, bias=-5).compose(pool)
    assert made.places.shape == (4, 40)
    order = pool.shuffled("batches/joint")
    for number, rows in enumerate(made.places):
        assert set(rows) <= set(order[number * 200 : (number + 1) * 200])
    s = sigmoid_scores(pool, 10, -5)

    def score(rows):
        t = s[np.ix_(rows, rows)]
        return (t.sum(0) + t.sum(1) - np.diagonal(t)).mean()

    mine = np.mean([score(rows) for rows in made.places])
    assert made.facts["score"] == pytest.approx(mine, abs=1e-5)
    rng = np.random.default_rng(0)
    chance = [score(rng.permutation(len(pool))[:40]) for _ in range(50)]
    assert mine > np.mean(chance) + 3 * np.std(chance) / 2  # the mean of four
    assert made.facts["z"] > 1


def test_learnability_prefers_what_the_reference_knows_and_the_learner_does_not(make_pool):
    pool = make_pool(count=800)
    rng = np.random.default_rng(0)
    image = pool.vectors["image"].vectors
    weak = image.copy()
    known = rng.random(len(weak)) < 0.5
    weak[~known] = rng.permutation(image)[~known]
    pool.vectors["weak"] = type(pool.vectors["image"])(weak)
    made = Learnability(
        size=40, chunks=4, learner_image="weak", learner_caption="caption", scale=20, bias=-5
    )
    places = made.compose(pool).places
    assert made.fidelity == "surrogate"
    assert known[pool.anchors[places]].mean() < known[pool.anchors].mean() - 0.1


def test_sizes_that_do_not_fit_the_ratio_are_refused():
    with pytest.raises(ValidationError, match="multiple of chunks"):
        Jest(size=100, chunks=16)
    with pytest.raises(ValidationError, match="must be whole"):
        Jest(size=16, filter_ratio=0.7)
