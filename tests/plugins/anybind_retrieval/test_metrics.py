"""Ranks and metrics against a slow reference implementation of their definitions."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import anybind
from anybind_retrieval import ranks as module
from anybind_retrieval.kernels import CHUNK
from anybind_retrieval.metrics import bootstrap_intervals, compute_chance, compute_metrics
from anybind_retrieval.ranks import Ranks, rank_embeddings, rank_similarities


def list_relevance(similarities, queries, gallery):
    """Yield for each query whether each gallery sample is relevant, by rank; ties and NaN never help."""
    for row, group in zip(similarities.tolist(), queries.tolist(), strict=True):
        pairs = zip(row, (gallery == group).tolist(), strict=True)
        order = sorted(pairs, key=lambda pair: (-pair[0] if pair[0] == pair[0] else (2 * pair[1] - 1) * 9e9, pair[1]))
        yield [relevant for _, relevant in order]


def compute_reference(similarities, queries, gallery):
    result = {f"{name}@{k}": [] for name in ("R", "mAP") for k in (1, 5, 10)} | {"MRR": [], "median_rank": []}
    for flags in list_relevance(similarities, queries, gallery):
        ranks = [rank for rank, relevant in enumerate(flags, 1) if relevant]
        for k in (1, 5, 10):
            result[f"R@{k}"].append(any(flags[:k]))
            precisions = [Fraction(j, rank) for j, rank in enumerate(ranks, 1) if rank <= k]
            result[f"mAP@{k}"].append(float(sum(precisions) / min(k, len(ranks))))
        result["MRR"].append(1 / ranks[0])
        result["median_rank"].append(ranks[0])
    median = float(np.median(result.pop("median_rank")))
    return {name: float(np.mean(values)) for name, values in result.items()} | {"median_rank": median}


@settings(max_examples=60)
@given(st.integers(1, 60), st.integers(1, 300), st.integers(1, 40), st.integers(1, 30), st.integers(0, 2**32))
def test_metrics_equal_a_slow_reference_with_ties(q, n, groups, levels, seed):
    random = np.random.default_rng(seed)
    gallery = random.integers(0, groups, n)
    queries = random.choice(gallery, q)
    similarities = random.integers(-levels, levels, (q, n)).astype(np.float32) / levels
    result = compute_metrics(rank_similarities(similarities, queries, gallery))
    assert result == pytest.approx(compute_reference(similarities, queries, gallery))
    of_columns = rank_similarities(np.asfortranarray(similarities), queries, gallery)
    assert compute_metrics(of_columns) == result


@pytest.mark.parametrize("apart", [0.0, 1.0, 3.0])
@pytest.mark.parametrize("n", [CHUNK - 1, 5 * CHUNK, 6 * CHUNK + 17])
def test_long_rows_near_and_far_classes_and_what_is_no_number(apart, n):
    random = np.random.default_rng(n)
    gallery = random.integers(0, 12, n)
    queries = random.choice(gallery, 40)
    for sign in (1, -1):  # of falling magnitude where all are below zero
        drawn = random.standard_normal((40, n)) + apart * (gallery == queries[:, None]) + 3 * (sign - 1)
        similarities = np.round(drawn, 2).astype(np.float32)
        expected = compute_reference(similarities, queries, gallery)
        assert compute_metrics(rank_similarities(similarities, queries, gallery)) == pytest.approx(expected)
        similarities[random.random((40, n)) < 0.002] = np.nan
        similarities[:3, :CHUNK] = -np.nan
        expected = compute_reference(similarities, queries, gallery)
        assert compute_metrics(rank_similarities(similarities, queries, gallery)) == pytest.approx(expected)


def test_infinite_similarities_are_ranked_like_others():
    similarities = np.array([[np.inf, np.inf, 1, -np.inf, 0]], np.float32)
    groups = np.array([3, 4, 3, 3, 4])
    np.testing.assert_array_equal(rank_similarities(similarities, np.array([3]), groups).ranks[0, :4], [2, 3, 5, 0])


@given(st.integers(1, 200), st.integers(1, 6), st.integers(0, 2**32))
def test_rank_of_one_relevant_sample_counts_samples_at_least_as_similar(n, levels, seed):
    random = np.random.default_rng(seed)
    similarities = random.integers(0, levels, (n, n)).astype(np.float32)
    result = rank_similarities(similarities, np.arange(n), np.arange(n)).ranks[:, 0]
    np.testing.assert_array_equal(result, (similarities >= similarities.diagonal()[:, None]).sum(axis=1))


def test_all_ties_give_the_relevant_sample_the_last_rank():
    result = compute_metrics(rank_similarities(np.zeros((3, 20), np.float32), np.arange(3), np.arange(20)))
    assert result["median_rank"] == 20
    assert result["R@10"] == result["mAP@10"] == 0
    assert result["MRR"] == pytest.approx(1 / 20)


def test_several_relevant_samples_by_hand():
    # Relevant, irrelevant, relevant, the last two tied: ranks 1 and 3.
    result = compute_metrics(
        rank_similarities(np.array([[0.9, 0.5, 0.5]], np.float32), np.array([7]), np.array([7, 8, 7]))
    )
    assert result["mAP@1"] == 1
    assert result["mAP@5"] == pytest.approx((1 + 2 / 3) / 2)
    assert result["median_rank"] == 1


@settings(max_examples=20)
@given(st.integers(2, 60), st.integers(1, 12), st.integers(0, 2**32))
def test_blocks_and_equal_vectors_do_not_change_ranks(n, distinct, seed):
    random = np.random.default_rng(seed)
    gallery = anybind.normalize(random.standard_normal((distinct, 24)))[random.integers(0, distinct, n)]
    queries = anybind.normalize(random.standard_normal((n, 24)))
    exact = (queries[:, None].astype(np.float64) * gallery).sum(axis=2).astype(np.float32)
    groups = np.arange(n)
    previous, module.BLOCK_BYTES = module.BLOCK_BYTES, 4 * n * 7
    try:
        result = rank_embeddings(queries, gallery, groups, groups)
    finally:
        module.BLOCK_BYTES = previous
    np.testing.assert_array_equal(
        result.ranks, rank_similarities(exact, groups, groups, tolerance=module.TOLERANCE).ranks
    )


def test_invalid_inputs_are_refused():
    similarities = np.zeros((2, 3), np.float32)
    with pytest.raises(anybind.BadInput, match="query 1 has no relevant sample"):
        rank_similarities(similarities, np.array([0, 5]), np.array([0, 1, 2]))
    with pytest.raises(anybind.BadInput, match=r"expected similarities of shape \(2, 4\)"):
        rank_similarities(similarities, np.arange(2), np.arange(4))
    with pytest.raises(anybind.BadInput, match="dtype float32, got float64"):
        rank_similarities(similarities.astype(np.float64), np.arange(2), np.arange(3))
    with pytest.raises(anybind.BadInput, match="gallery is empty"):
        rank_similarities(np.zeros((2, 0), np.float32), np.arange(2), np.arange(0))


def test_nan_similarities_never_help():
    similarities = np.eye(30, dtype=np.float32)
    similarities[0, 20], similarities[1, 1] = np.nan, np.nan
    result = rank_similarities(similarities, np.arange(30), np.arange(30)).ranks[:, 0]
    np.testing.assert_array_equal(result, [2, 30, *[1] * 28])


@pytest.mark.parametrize("gallery", [np.arange(12) % 12, np.arange(30) % 4, np.array([0, 0, 0, 1])])
def test_chance_equals_the_mean_of_random_rankings(gallery):
    random = np.random.default_rng(0)
    n, rounds = len(gallery), 4000
    similarities = random.permuted(np.tile(np.arange(n, dtype=np.float32), (rounds * n, 1)), axis=1)
    queries = np.tile(gallery, rounds)
    result = rank_similarities(similarities, queries, gallery)
    expected = compute_chance(result.n_relevant, n)
    measured = compute_metrics(result)
    for name in measured.keys() - {"median_rank"}:
        assert measured[name] == pytest.approx(expected[name], abs=0.01), name
    assert abs(measured["median_rank"] - expected["median_rank"]) <= 1


def test_chance_of_one_relevant_sample_is_k_in_n():
    result = compute_chance(np.ones(5, int), 200)
    assert (result["R@1"], result["mAP@1"]) == pytest.approx((1 / 200, 1 / 200))
    assert result["R@10"] == pytest.approx(10 / 200)
    assert result["MRR"] == pytest.approx(sum(1 / rank for rank in range(1, 201)) / 200)
    assert result["median_rank"] == 100


@pytest.mark.slow
def test_intervals_contain_the_metrics_and_narrow_with_more_queries():
    random = np.random.default_rng(0)

    def drawn(n):
        return Ranks(random.geometric(0.3, (n, 1)), np.ones(n, int), 100)

    few, many = drawn(40), drawn(4000)
    for ranks in (few, many):
        for name, value in compute_metrics(ranks).items():
            low, high = bootstrap_intervals(ranks, seed=0)[name]
            assert low <= value <= high
    width = {
        ranks: np.subtract(*bootstrap_intervals(each, seed=0)["R@1"]) for ranks, each in (("few", few), ("many", many))
    }
    # The standard error of a fraction of 0.3 in n is sqrt(0.21 / n); an interval is 3.92 of them.
    assert width["few"] == pytest.approx(-3.92 * np.sqrt(0.21 / 40), rel=0.15)
    assert width["many"] == pytest.approx(-3.92 * np.sqrt(0.21 / 4000), rel=0.15)
    assert bootstrap_intervals(few, seed=1) == bootstrap_intervals(few, seed=1) != bootstrap_intervals(few, seed=2)
