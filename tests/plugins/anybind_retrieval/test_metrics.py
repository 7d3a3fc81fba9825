"""Ranks and metrics against slow ones that follow the definitions word by word."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import anybind
from anybind_retrieval import ranks as module
from anybind_retrieval.kernels import CHUNK
from anybind_retrieval.metrics import compute_chance, bootstrap_intervals, compute_metrics
from anybind_retrieval.ranks import Ranks, rank_similarities, rank_embeddings


def listed(similarities, queries, gallery):
    """For each query whether each answer is right, in the order that the convention gives: ties, and what is no number,
    never help.
    """
    for row, group in zip(similarities.tolist(), queries.tolist(), strict=True):
        pairs = zip(row, (gallery == group).tolist(), strict=True)
        order = sorted(pairs, key=lambda pair: (-pair[0] if pair[0] == pair[0] else (2 * pair[1] - 1) * 9e9, pair[1]))
        yield [right for _, right in order]


def slow_metrics(similarities, queries, gallery):
    found = {f"{name}@{k}": [] for name in ("R", "mAP") for k in (1, 5, 10)} | {"MRR": [], "median_rank": []}
    for flags in listed(similarities, queries, gallery):
        places = [place for place, right in enumerate(flags, 1) if right]
        for k in (1, 5, 10):
            found[f"R@{k}"].append(any(flags[:k]))
            precisions = [Fraction(j, place) for j, place in enumerate(places, 1) if place <= k]
            found[f"mAP@{k}"].append(float(sum(precisions) / min(k, len(places))))
        found["MRR"].append(1 / places[0])
        found["median_rank"].append(places[0])
    median = float(np.median(found.pop("median_rank")))
    return {name: float(np.mean(values)) for name, values in found.items()} | {"median_rank": median}


@settings(max_examples=60)
@given(st.integers(1, 60), st.integers(1, 300), st.integers(1, 40), st.integers(1, 30), st.integers(0, 2**32))
def test_metrics_equal_a_slow_reference_with_ties(q, n, groups, levels, seed):
    random = np.random.default_rng(seed)
    gallery = random.integers(0, groups, n)
    queries = random.choice(gallery, q)
    similarities = random.integers(-levels, levels, (q, n)).astype(np.float32) / levels
    found = compute_metrics(rank_similarities(similarities, queries, gallery))
    assert found == pytest.approx(slow_metrics(similarities, queries, gallery))
    of_columns = rank_similarities(np.asfortranarray(similarities), queries, gallery)
    assert compute_metrics(of_columns) == found


@pytest.mark.parametrize("apart", [0.0, 1.0, 3.0])
@pytest.mark.parametrize("n", [CHUNK - 1, 5 * CHUNK, 6 * CHUNK + 17])
def test_long_rows_near_and_far_classes_and_what_is_no_number(apart, n):
    random = np.random.default_rng(n)
    gallery = random.integers(0, 12, n)
    queries = random.choice(gallery, 40)
    for sign in (1, -1):  # of falling magnitude where all are below zero
        drawn = random.standard_normal((40, n)) + apart * (gallery == queries[:, None]) + 3 * (sign - 1)
        similarities = np.round(drawn, 2).astype(np.float32)
        expected = slow_metrics(similarities, queries, gallery)
        assert compute_metrics(rank_similarities(similarities, queries, gallery)) == pytest.approx(expected)
        similarities[random.random((40, n)) < 0.002] = np.nan
        similarities[:3, :CHUNK] = -np.nan
        expected = slow_metrics(similarities, queries, gallery)
        assert compute_metrics(rank_similarities(similarities, queries, gallery)) == pytest.approx(expected)


def test_infinite_similarities_are_ranked_like_others():
    similarities = np.array([[np.inf, np.inf, 1, -np.inf, 0]], np.float32)
    groups = np.array([3, 4, 3, 3, 4])
    np.testing.assert_array_equal(rank_similarities(similarities, np.array([3]), groups).ranks[0, :4], [2, 3, 5, 0])


@given(st.integers(1, 200), st.integers(1, 6), st.integers(0, 2**32))
def test_with_one_right_answer_the_rank_is_how_many_are_at_least_as_similar(n, levels, seed):
    random = np.random.default_rng(seed)
    similarities = random.integers(0, levels, (n, n)).astype(np.float32)
    found = rank_similarities(similarities, np.arange(n), np.arange(n)).ranks[:, 0]
    np.testing.assert_array_equal(found, (similarities >= similarities.diagonal()[:, None]).sum(axis=1))


def test_a_gallery_of_equals_gives_the_right_answer_the_last_place():
    found = compute_metrics(rank_similarities(np.zeros((3, 20), np.float32), np.arange(3), np.arange(20)))
    assert found["median_rank"] == 20
    assert found["R@10"] == found["mAP@10"] == 0
    assert found["MRR"] == pytest.approx(1 / 20)


def test_several_right_answers_by_hand():
    # Right, wrong, right, with the wrong one and the last right one tied: places 1 and 3.
    found = compute_metrics(rank_similarities(np.array([[0.9, 0.5, 0.5]], np.float32), np.array([7]), np.array([7, 8, 7])))
    assert found["mAP@1"] == 1
    assert found["mAP@5"] == pytest.approx((1 + 2 / 3) / 2)
    assert found["median_rank"] == 1


@settings(max_examples=20)
@given(st.integers(2, 60), st.integers(1, 12), st.integers(0, 2**32))
def test_blocks_and_equal_vectors_change_nothing(n, kinds, seed):
    random = np.random.default_rng(seed)
    gallery = anybind.normalize(random.standard_normal((kinds, 24)))[random.integers(0, kinds, n)]
    queries = anybind.normalize(random.standard_normal((n, 24)))
    exact = (queries[:, None].astype(np.float64) * gallery).sum(axis=2).astype(np.float32)
    groups = np.arange(n)
    former, module.BLOCK_BYTES = module.BLOCK_BYTES, 4 * n * 7
    try:
        found = rank_embeddings(queries, gallery, groups, groups)
    finally:
        module.BLOCK_BYTES = former
    np.testing.assert_array_equal(found.ranks, rank_similarities(exact, groups, groups, tolerance=module.TOLERANCE).ranks)


def test_what_cannot_be_ranked_is_refused():
    similarities = np.zeros((2, 3), np.float32)
    with pytest.raises(anybind.BadInput, match="query 1 has no right answer"):
        rank_similarities(similarities, np.array([0, 5]), np.array([0, 1, 2]))
    with pytest.raises(anybind.BadInput, match="do not fit"):
        rank_similarities(similarities, np.arange(2), np.arange(4))
    with pytest.raises(anybind.BadInput, match="must be float32, got float64"):
        rank_similarities(similarities.astype(np.float64), np.arange(2), np.arange(3))
    with pytest.raises(anybind.BadInput, match="gallery is empty"):
        rank_similarities(np.zeros((2, 0), np.float32), np.arange(2), np.arange(0))


def test_similarities_that_are_no_numbers_never_help():
    similarities = np.eye(30, dtype=np.float32)
    similarities[0, 20], similarities[1, 1] = np.nan, np.nan
    found = rank_similarities(similarities, np.arange(30), np.arange(30)).ranks[:, 0]
    np.testing.assert_array_equal(found, [2, 30, *[1] * 28])


@pytest.mark.parametrize("gallery", [np.arange(12) % 12, np.arange(30) % 4, np.array([0, 0, 0, 1])])
def test_chance_is_what_random_rankings_give_on_average(gallery):
    random = np.random.default_rng(0)
    n, rounds = len(gallery), 4000
    similarities = random.permuted(np.tile(np.arange(n, dtype=np.float32), (rounds * n, 1)), axis=1)
    queries = np.tile(gallery, rounds)
    found = rank_similarities(similarities, queries, gallery)
    expected = compute_chance(found.n_relevant, n)
    measured = compute_metrics(found)
    for name in measured.keys() - {"median_rank"}:
        assert measured[name] == pytest.approx(expected[name], abs=0.01), name
    assert abs(measured["median_rank"] - expected["median_rank"]) <= 1


def test_chance_of_one_right_answer_is_k_in_n():
    found = compute_chance(np.ones(5, int), 200)
    assert (found["R@1"], found["mAP@1"]) == pytest.approx((1 / 200, 1 / 200))
    assert found["R@10"] == pytest.approx(10 / 200)
    assert found["MRR"] == pytest.approx(sum(1 / rank for rank in range(1, 201)) / 200)
    assert found["median_rank"] == 100


@pytest.mark.slow
def test_intervals_hold_the_metrics_and_narrow_with_more_queries():
    random = np.random.default_rng(0)

    def drawn(n):
        return Ranks(random.geometric(0.3, (n, 1)), np.ones(n, int), 100)

    few, many = drawn(40), drawn(4000)
    for ranks in (few, many):
        for name, value in compute_metrics(ranks).items():
            low, high = bootstrap_intervals(ranks, seed=0)[name]
            assert low <= value <= high
    width = {ranks: np.subtract(*bootstrap_intervals(each, seed=0)["R@1"]) for ranks, each in (("few", few), ("many", many))}
    # The standard error of a share of 0.3 in n is sqrt(0.21 / n); an interval is 3.92 of them.
    assert width["few"] == pytest.approx(-3.92 * np.sqrt(0.21 / 40), rel=0.15)
    assert width["many"] == pytest.approx(-3.92 * np.sqrt(0.21 / 4000), rel=0.15)
    assert bootstrap_intervals(few, seed=1) == bootstrap_intervals(few, seed=1) != bootstrap_intervals(few, seed=2)
